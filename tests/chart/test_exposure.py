"""How the functions are reached: what each ingress controller and the Gateway API are told, and who may call whom."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.chart.cases import CASES, CONTROLLERS, ROUTE
from tests.chart.rendering import FUNCTIONS, ROOT, Object, laid_over, notes, of_kind, render

from functions.local import Local

HOST = "kvcast.example.org"
PUSH_INGRESS: dict[str, dict[str, str]] = {
    "traefik": {},
    "haproxytech": {},
    "none": {},
    "haproxy-ingress": {
        "haproxy-ingress.github.io/affinity": "cookie", "haproxy-ingress.github.io/session-cookie-name": "kvcast",
        "haproxy-ingress.github.io/timeout-tunnel": "1h",
    },
    "nginx-f5": {
        "nginx.org/websocket-services": "kvcast-push",
        "nginx.org/sticky-cookie-services": "serviceName=kvcast-push kvcast expires=1h path=/",
        "nginx.org/proxy-read-timeout": "3600s", "nginx.org/proxy-send-timeout": "3600s",
    },
    "nginx": {
        "nginx.ingress.kubernetes.io/affinity": "cookie", "nginx.ingress.kubernetes.io/affinity-mode": "persistent",
        "nginx.ingress.kubernetes.io/session-cookie-name": "kvcast",
        "nginx.ingress.kubernetes.io/session-cookie-max-age": "3600",
        "nginx.ingress.kubernetes.io/session-cookie-path": "/",
        "nginx.ingress.kubernetes.io/proxy-read-timeout": "3600",
        "nginx.ingress.kubernetes.io/proxy-send-timeout": "3600",
    },
}
PUSH_SERVICE: dict[str, dict[str, str]] = {
    "traefik": {
        "traefik.ingress.kubernetes.io/service.sticky.cookie": "true",
        "traefik.ingress.kubernetes.io/service.sticky.cookie.name": "kvcast",
        "traefik.ingress.kubernetes.io/service.sticky.cookie.secure": "false",
        "traefik.ingress.kubernetes.io/service.sticky.cookie.httponly": "true",
        "traefik.ingress.kubernetes.io/service.sticky.cookie.samesite": "lax",
    },
    "haproxytech": {"haproxy.org/cookie-persistence": "kvcast"},
}
CLASSES = {
    "traefik": "traefik", "haproxy-ingress": "haproxy", "haproxytech": "haproxy", "nginx-f5": "nginx", "nginx": "nginx",
}


def ingresses(controller: str, **more: Any) -> dict[str, Object]:
    return of_kind(render({"ingress": {"controller": controller, "host": HOST, **more}}), "Ingress")


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_each_controller_hears_what_it_understands(controller: str) -> None:
    objects = render({"ingress": {"controller": controller, "host": HOST}})
    found = of_kind(objects, "Ingress")
    push = found.get("push", found[""])
    assert push["metadata"].get("annotations", {}) == PUSH_INGRESS[controller]
    service = of_kind(objects, "Service")["push"]
    assert service["metadata"].get("annotations", {}) == PUSH_SERVICE.get(controller, {})
    assert push["spec"].get("ingressClassName") == CLASSES.get(controller)
    if "push" in found:
        assert "annotations" not in found[""]["metadata"]


def test_the_controller_of_f5_gets_one_object_as_it_takes_one_for_a_host() -> None:
    assert set(ingresses("nginx-f5")) == {""}
    assert all(set(ingresses(name)) == {"", "push"} for name in CONTROLLERS if name != "nginx-f5")


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_without_affinity_no_cookie_is_asked_for(controller: str) -> None:
    objects = render({"ingress": {"controller": controller, "host": HOST, "affinity": {"enabled": False}}})
    for found in (*of_kind(objects, "Ingress").values(), of_kind(objects, "Service")["push"]):
        assert not [name for name in found["metadata"].get("annotations", {}) if "cookie" in name or "affinity" in name]


def test_values_add_to_the_preset_and_replace_it() -> None:
    name = "nginx.ingress.kubernetes.io/proxy-read-timeout"
    found = ingresses("nginx", annotations={"a/b": "http"}, pushAnnotations={name: "60", "a/b": "push"})
    assert found[""]["metadata"]["annotations"] == {"a/b": "http"}
    assert found["push"]["metadata"]["annotations"] == {**PUSH_INGRESS["nginx"], name: "60", "a/b": "push"}
    sticky = "traefik.ingress.kubernetes.io/service.sticky.cookie.samesite"
    service = of_kind(render({"push": {"service": {"annotations": {sticky: "none"}}}}), "Service")["push"]
    assert service["metadata"]["annotations"] == {**PUSH_SERVICE["traefik"], sticky: "none"}


def test_with_tls_the_cookie_is_for_tls_only_and_both_objects_serve_it() -> None:
    objects = render({"ingress": {"host": HOST, "tls": {"enabled": True, "secretName": "ours"}}})
    cookie = of_kind(objects, "Service")["push"]["metadata"]["annotations"]
    assert cookie["traefik.ingress.kubernetes.io/service.sticky.cookie.secure"] == "true"
    for found in of_kind(objects, "Ingress").values():
        assert found["spec"]["tls"] == [{"secretName": "ours", "hosts": [HOST]}]


def calls() -> list[tuple[str, str]]:
    """Every call that openapi.json describes, with a key in its place, and the pages and sockets."""
    document = msgspec.json.decode((ROOT / "functions/read/openapi.json").read_bytes())
    described = [
        (method.upper(), path.replace("{key}", "crypto.btc"))
        for path, methods in document["paths"].items()
        for method in methods
        if method in ("get", "post", "delete")
    ]
    pages = [
        "/", "/admin", "/admin/functions", "/docs", "/benchmark-report", "/socket-vs-polling", "/viewer/crypto.btc",
        "/client.js", "/address", "/wsx",
    ]
    return [*described, *(("GET", path) for path in (*pages, "/ws", "/ws/gold", "/sse"))]


def local_choice(method: str, path: str) -> str:
    apps: Any = {name: name for name in FUNCTIONS}
    return str(Local(apps)._choose(method, path))


@pytest.mark.parametrize("case", ["default", "ingress nginx-f5"])
def test_the_ingress_sends_each_call_where_the_local_run_does(case: str) -> None:
    rules = [
        path
        for found in of_kind(render(CASES[case]), "Ingress").values()
        for path in found["spec"]["rules"][0]["http"]["paths"]
    ]
    for method, address in calls():
        fitting = [rule for rule in rules if fits(address, rule["path"], rule["pathType"])]
        best = max(fitting, key=lambda rule: (rule["pathType"] == "Exact", len(rule["path"])))
        assert best["backend"]["service"]["name"] == f"kvcast-{local_choice(method, address)}", (method, address)


def fits(address: str, path: str, kind: str) -> bool:
    prefix = path.rstrip("/")
    return address == path if kind == "Exact" else address == prefix or address.startswith(prefix + "/")


def test_the_route_sends_each_call_where_the_local_run_does() -> None:
    rules = of_kind(render(ROUTE), "HTTPRoute")[""]["spec"]["rules"]
    for method, address in calls():
        fitting = [
            (match["path"]["type"] == "Exact", len(match["path"]["value"]), "method" in match, rule["backendRefs"])
            for rule in rules
            for match in rule["matches"]
            if fits(address, match["path"]["value"], match["path"]["type"]) and match.get("method", method) == method
        ]
        (backend,) = max(fitting, key=lambda found: found[:3])[3]
        assert backend == {"name": f"kvcast-{local_choice(method, address)}", "port": 80}, (method, address)


def test_a_route_is_well_formed_and_sticky_only_where_asked() -> None:
    route = of_kind(render(ROUTE), "HTTPRoute")[""]
    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert route["spec"].keys() == {"parentRefs", "hostnames", "rules"}
    assert all(rule.keys() <= {"matches", "backendRefs", "timeouts"} for rule in route["spec"]["rules"])
    sticky = of_kind(render(CASES["a sticky route"]), "HTTPRoute")[""]["spec"]["rules"]
    (rule,) = (rule for rule in sticky if "sessionPersistence" in rule)
    assert rule["sessionPersistence"] == {"type": "Cookie", "sessionName": "kvcast"}
    assert rule["timeouts"] == {"request": "0s"}


@pytest.mark.parametrize(
    ("values", "hops"), [({}, "1"), (ROUTE, "1"), (CASES["no ingress"], "0"), ({"trustedHops": 2}, "2")]
)
def test_the_functions_know_how_many_proxies_stand_before_them(values: dict[str, Any], hops: str) -> None:
    assert of_kind(render(values), "ConfigMap")[""]["data"]["KVCAST_TRUSTED_HOPS"] == hops


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"ingress": {"host": HOST}}, f"http://{HOST}/"),
        ({"ingress": {"host": HOST, "tls": {"enabled": True, "secretName": "x"}}}, f"https://{HOST}/"),
        ({}, "get ingress kvcast"),
        (ROUTE, f"https://{HOST}/"),
        (laid_over(ROUTE, {"httpRoute": {"hostnames": []}}), "get httproute kvcast"),
        (CASES["no ingress"], "port-forward svc/kvcast-read 8000:80"),
        (CASES["no ingress"], "get service kvcast-push"),
        ({}, "get secret kvcast -o jsonpath='{.data.admin-token}'"),
        ({}, "the secret kvcast-database, which opens the data"),
        ({}, "WARNING: no TLS is set up here"),
        ({"postgresql": {"persistence": {"enabled": False}}}, "every value is lost with the pod"),
        ({"ingress": {"controller": "nginx"}}, "WARNING: ingress-nginx is retired"),
        (CASES["nobody may call"], "networkPolicy.ingressFrom is empty"),
    ],
)
def test_the_notes_say_how_to_get_in(values: dict[str, Any], told: str) -> None:
    assert told in notes(values)
