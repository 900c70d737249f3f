"""Who may call whom inside the cluster."""

from __future__ import annotations

from tests.chart.cases import CASES, EXTERNAL
from tests.chart.rendering import FUNCTIONS, of_kind, pods, render
from tests.chart.test_ownership import labels_match


def test_only_the_functions_reach_the_stores() -> None:
    objects = render()
    for store in ("postgresql", "redis"):
        policy = of_kind(objects, "NetworkPolicy")[store]["spec"]
        ((rule,),) = (policy["ingress"],)
        (peer,) = rule["from"]
        callers = [name for name, pod in pods(objects) if labels_match(peer["podSelector"], pod["metadata"]["labels"])]
        assert callers == [f"Deployment/kvcast-{name}" for name in FUNCTIONS]
        assert policy["egress"] == []
        (service_port,) = of_kind(objects, "Service")[store]["spec"]["ports"]
        assert rule["ports"] == [{"protocol": "TCP", "port": service_port["port"]}]


def test_only_the_ingress_and_the_test_reach_the_functions() -> None:
    policy = of_kind(render(CASES["nobody may call"]), "NetworkPolicy")["functions"]["spec"]
    (rule,) = policy["ingress"]
    (peer,) = rule["from"]
    assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "test"
    assert rule["ports"] == [{"protocol": "TCP", "port": 8000}]
    ports = [port["port"] for rule in policy["egress"] for port in rule["ports"]]
    assert ports == [53, 53, 5432, 6379]


def test_stores_elsewhere_and_the_api_of_kubernetes_can_be_reached() -> None:
    outside = of_kind(render(EXTERNAL), "NetworkPolicy")["functions"]["spec"]["egress"]
    assert {"protocol": "TCP", "port": 1, "endPort": 65535} in outside[-1]["ports"]
    asking = of_kind(render(CASES["asking Kubernetes"]), "NetworkPolicy")["functions"]["spec"]["egress"]
    assert [port["port"] for port in asking[-1]["ports"]] == [443, 6443]
