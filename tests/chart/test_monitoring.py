"""The objects for the Prometheus operator and Grafana, and KEDA's: well formed, and about metrics that exist."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import Any

import jsonschema
import pytest
from prometheus_client import Counter, Gauge, Histogram

import kvcast.metrics
from kvcast.config import Settings
from tests.chart.cases import CASES, MONITORING
from tests.chart.rendering import CHART, NAMESPACE, Object, of_kind, pods, render
from tests.chart.test_ownership import labels_match

ADDED_BY_PROMETHEUS = {"namespace", "pod", "le"}
OTHERS_METRICS = ("container_", "kube_", "kubelet_")  # of the kubelet and of kube-state-metrics
OBJECT: dict[str, Any] = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {"apiVersion": {}, "kind": {}, "metadata": {"required": ["name", "labels"]}},
}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
SPECS: dict[str, tuple[str, dict[str, Any]]] = {
    "PodMonitor": ("monitoring.coreos.com/v1", {
        "required": ["selector", "podMetricsEndpoints"], "additionalProperties": False,
        "properties": {
            "selector": {"required": ["matchLabels"]},
            "podMetricsEndpoints": {"minItems": 1, "items": {
                "additionalProperties": False,
                "properties": {
                    "port": {"type": "string"}, "path": {"pattern": "^/"}, "interval": {"pattern": "^[0-9]+(ms|s|m)$"},
                }}},
        }}),
    "PrometheusRule": ("monitoring.coreos.com/v1", {
        "required": ["groups"], "additionalProperties": False,
        "properties": {"groups": {"minItems": 1, "items": {
            "required": ["name", "rules"], "additionalProperties": False,
            "properties": {"name": {"type": "string"}, "rules": {"minItems": 1, "items": {
                "required": ["alert", "expr", "labels", "annotations"], "additionalProperties": False,
                "properties": {
                    "alert": {"pattern": "^Kvcast[A-Z]"}, "expr": {"type": "string"}, "for": {"pattern": "^[0-9]+m$"},
                    "labels": {**TEXTS, "required": ["severity"]},
                    "annotations": {**TEXTS, "required": ["summary", "description", "runbook_url"]},
                }}}},
        }}}}),
    "ScaledObject": ("keda.sh/v1alpha1", {
        "required": ["scaleTargetRef", "triggers"], "additionalProperties": False,
        "properties": {
            "scaleTargetRef": {"additionalProperties": False, "properties": {"name": {"type": "string"}}},
            "minReplicaCount": {"type": "integer"}, "maxReplicaCount": {"type": "integer"}, "advanced": {},
            "triggers": {"minItems": 1, "items": {
                "required": ["type", "metadata"], "additionalProperties": False,
                "properties": {"type": {}, "metricType": {"enum": ["Utilization", "AverageValue"]}, "metadata": TEXTS},
            }},
        }}),
}


@pytest.mark.parametrize(("case", "kind"), [
    ("monitoring", "PodMonitor"), ("monitoring", "PrometheusRule"), ("KEDA", "ScaledObject"),
    ("KEDA by connections", "ScaledObject"),
])
def test_an_object_of_others_is_well_formed(case: str, kind: str) -> None:
    version, spec = SPECS[kind]
    found = of_kind(render(CASES[case]), kind)
    assert found
    schema = {**OBJECT, "properties": {**OBJECT["properties"], "apiVersion": {"const": version}, "spec": spec}}
    for one in found.values():
        jsonschema.validate(one, schema)


def metrics() -> dict[str, set[str]]:
    """The labels of every series that /metrics can show, by its name."""
    found: dict[str, set[str]] = {}
    endings: dict[Any, tuple[str, ...]] = {
        Counter: ("_total",), Gauge: ("",), Histogram: ("_bucket", "_sum", "_count"),
    }
    for metric in vars(kvcast.metrics).values():
        for ending in endings.get(type(metric), ()):
            found[metric._name + ending] = set(metric._labelnames)
    return found


def dashboard() -> Object:
    parsed: Object = json.loads((CHART / "files/dashboard.json").read_text(encoding="utf-8"))
    return parsed


def alerts() -> list[Object]:
    (rule,) = of_kind(render(MONITORING), "PrometheusRule").values()
    (group,) = rule["spec"]["groups"]
    rules: list[Object] = group["rules"]
    return rules


def expressions() -> list[str]:
    panels = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    return [*panels, *(alert["expr"] for alert in alerts())]


def test_dashboard_and_alerts_ask_for_metrics_and_labels_that_exist() -> None:
    known = metrics()
    assert "kvcast_requests_total" in known
    for expression in expressions():
        assert expression.count("(") == expression.count(")"), expression
        for name, matchers in re.findall(r"\b([a-z]+_[a-z_]+)\{([^}]*)\}", expression):
            if not name.startswith(OTHERS_METRICS):
                assert name in known, expression
                labels = set(re.findall(r"(\w+)\s*[=!]", matchers))
                assert labels <= known[name] | ADDED_BY_PROMETHEUS, expression
                for grouped in re.findall(r"by \(([^)]*)\)", expression):
                    assert set(grouped.split(", ")) <= known[name] | ADDED_BY_PROMETHEUS, expression


def test_the_dashboard_shows_every_metric_that_only_goes_wrong() -> None:
    shown = " ".join(expressions())
    for name in ("sweep_repairs", "sweep_failures", "publish_failures", "gaps", "pool_discarded", "handed_over"):
        assert f"kvcast_{name}_total" in shown


def test_the_dashboard_can_be_imported_anywhere() -> None:
    found = dashboard()
    assert (found["uid"], found["title"]) == ("kvcast", "kvcast")
    assert [variable["name"] for variable in found["templating"]["list"]] == ["datasource", "namespace"]
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    for panel in found["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert all('namespace="$namespace"' in target["expr"] for target in panel["targets"])
    taken = [cell for panel in found["panels"] for cell in cells(panel["gridPos"])]
    assert len(taken) == len(set(taken)), "two panels lie upon one another"


def cells(place: dict[str, int]) -> list[tuple[int, int]]:
    columns, rows = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
    return [(x, y) for x in columns for y in rows]


def test_the_dashboard_arrives_whole_in_its_map() -> None:
    found = of_kind(render(MONITORING), "ConfigMap")["dashboard"]
    assert json.loads(found["data"]["kvcast.json"]) == dashboard()
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_alerts_are_about_this_release() -> None:
    for alert in alerts():
        assert f'namespace="{NAMESPACE}"' in alert["expr"]
        assert "FULLNAME" not in alert["expr"]
        assert alert["annotations"]["summary"].endswith(".")
    names = [alert["alert"] for alert in alerts()]
    assert len(names) == len(set(names))


def test_each_alert_has_its_section_in_the_runbook_and_leads_there() -> None:
    text = (CHART.parents[1] / "docs/runbook.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (Kvcast\w+)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE))
    assert list(sections) == [alert["alert"] for alert in alerts()]
    for alert in alerts():
        address, _, anchor = alert["annotations"]["runbook_url"].partition("#")
        assert (address, anchor) == ("https://docs.example/runbook.md", alert["alert"].lower())
        for part in ("**What it means.**", "**How to look.**", "**What to do.**"):
            assert part in sections[alert["alert"]], f"{alert['alert']} has no {part}"


def test_the_runbook_names_metrics_and_settings_that_exist() -> None:
    text = (CHART.parents[1] / "docs/runbook.md").read_text(encoding="utf-8")
    settings = {spec.metadata["name"] for spec in fields(Settings)}
    assert set(re.findall(r"`(kvcast_[a-z_]+)", text)) <= metrics().keys()
    assert set(re.findall(r"`(KVCAST_[A-Z_]+)", text)) <= settings


def test_the_monitor_scrapes_the_functions_and_nothing_else() -> None:
    objects = render(MONITORING)
    (monitor,) = of_kind(objects, "PodMonitor").values()
    selector = monitor["spec"]["selector"]
    scraped = {name: pod for name, pod in pods(objects) if labels_match(selector, pod["metadata"]["labels"])}
    assert set(scraped) == {f"Deployment/kvcast-{name}" for name in ("write", "read", "push")}
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    for pod in scraped.values():
        assert endpoint["port"] in [port["name"] for port in pod["spec"]["containers"][0]["ports"]]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_nothing_of_others_is_made_unless_asked_for() -> None:
    groups = {found["apiVersion"].partition("/")[0] for found in render()}
    assert groups == {"v1", "apps", "autoscaling", "networking.k8s.io", "policy"}
