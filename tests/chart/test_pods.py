"""Every pod: what it may do, where it runs, how it is asked and how it ends."""

from __future__ import annotations

import pytest

from tests.chart.cases import ASKING_KUBERNETES, CASES, EVERYTHING, each
from tests.chart.rendering import ROOT, containers, of_kind, pods, render
from tests.chart.security import restricted_violations

GUNICORN_MARGIN_SECONDS = 10  # graceful_timeout is drain_seconds and this: functions/gunicorn_conf.py
every_case = pytest.mark.parametrize("case", CASES)


@every_case
def test_a_pod_has_the_time_that_its_drain_takes(case: str) -> None:
    for function, deployment in of_kind(render(CASES[case]), "Deployment").items():
        spec = deployment["spec"]["template"]["spec"]
        main = spec["containers"][0]
        drain = int(next(item["value"] for item in main["env"] if item["name"] == "KVCAST_DRAIN_SECONDS"))
        pause = main["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert spec["terminationGracePeriodSeconds"] >= pause + drain + GUNICORN_MARGIN_SECONDS, function
        assert pause >= 5
        assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_the_margin_is_that_of_gunicorn() -> None:
    source = (ROOT / "functions/gunicorn_conf.py").read_text(encoding="utf-8")
    assert f"graceful_timeout = int(settings.drain_seconds) + {GUNICORN_MARGIN_SECONDS}\n" in source


@every_case
def test_every_image_is_pinned(case: str) -> None:
    for name, pod in pods(render(CASES[case])):
        for container in containers(pod):
            image = container["image"].rpartition("/")[2]
            assert "@sha256:" in image or ":" in image, f"{name}: {image}"
            assert not image.endswith((":latest", ":")), f"{name}: {image}"


@every_case
def test_every_pod_keeps_to_the_restricted_profile(case: str) -> None:
    for name, pod in pods(render(CASES[case])):
        assert list(restricted_violations(pod)) == [], name


@every_case
def test_only_what_asks_kubernetes_has_a_token(case: str) -> None:
    values = CASES[case]
    asking = {
        name for name, part in (("read", "clusterView"), ("push", "deletionCost"))
        if values.get(name, {}).get(part, {}).get("enabled")
    }
    for name, pod in pods(render(values)):
        function = name.rpartition("-")[2]
        assert pod["spec"]["automountServiceAccountToken"] is (function in asking), name


def test_who_asks_kubernetes_may_do_that_and_no_more() -> None:
    roles = of_kind(render(ASKING_KUBERNETES), "Role")
    rights = {
        name: {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
        for name, role in roles.items()
    }
    assert rights == {
        "read": {("deployments", "list"), ("horizontalpodautoscalers", "list"), ("pods", "list")},
        "push": {("pods", "patch")},
    }
    assert not of_kind(render(), "Role")
    assert not of_kind(render(), "ServiceAccount")


def test_an_account_of_ours_gets_the_rights_and_none_is_made() -> None:
    objects = render(CASES["accounts of ours"])
    assert set(of_kind(objects, "ServiceAccount")) == {"push"}
    assert of_kind(objects, "RoleBinding")["read"]["subjects"][0]["name"] == "ours"
    assert of_kind(objects, "Deployment")["read"]["spec"]["template"]["spec"]["serviceAccountName"] == "ours"


def test_an_account_with_annotations_is_made_without_rights_or_a_token() -> None:
    objects = render({"write": {"serviceAccount": {"annotations": {"cloud.example/role": "x"}}}})
    assert of_kind(objects, "ServiceAccount")["write"]["metadata"]["annotations"] == {"cloud.example/role": "x"}
    spec = of_kind(objects, "Deployment")["write"]["spec"]["template"]["spec"]
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("kvcast-write", False)
    assert not of_kind(objects, "Role")


def test_probes_can_be_laid_over_and_another_way_to_ask_takes_the_place() -> None:
    main = of_kind(render(EVERYTHING), "Deployment")["prices-write"]["spec"]["template"]["spec"]["containers"][0]
    assert main["startupProbe"]["failureThreshold"] == 120
    assert main["startupProbe"]["httpGet"]["path"] == "/healthz/live"
    assert "httpGet" not in main["livenessProbe"]
    assert main["livenessProbe"]["tcpSocket"] == {"port": "http"}


def test_liveness_asks_nothing_of_the_stores() -> None:
    for function, found in of_kind(render(), "Deployment").items():
        main = found["spec"]["template"]["spec"]["containers"][0]
        assert main["livenessProbe"]["httpGet"] == {"path": "/healthz/live", "port": "management"}, function
        assert main["readinessProbe"]["httpGet"]["path"] == "/healthz/ready"


def test_pods_of_one_release_lie_apart() -> None:
    objects = render(each({"topologySpread": {"zone": "DoNotSchedule"}}))
    for function, found in of_kind(objects, "Deployment").items():
        host, zone = found["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert (host["topologyKey"], host["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
        assert (zone["topologyKey"], zone["whenUnsatisfiable"]) == ("topology.kubernetes.io/zone", "DoNotSchedule")
        assert host["matchLabelKeys"] == zone["matchLabelKeys"] == ["pod-template-hash"], function
