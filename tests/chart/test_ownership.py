"""Who owns what: replicas, pods, claims, names and secrets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chart.cases import CASES
from tests.chart.rendering import Object, of_kind, pods, render

WORKLOADS = ("Deployment", "StatefulSet")
every_case = pytest.mark.parametrize("case", CASES)


def labels_match(selector: Object, labels: Object) -> bool:
    wanted = selector.get("matchLabels", {} if "matchExpressions" in selector else selector)
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return bool(wanted.items() <= labels.items())


def pod_labels(objects: list[Object]) -> list[tuple[str, Object]]:
    return [(name, pod["metadata"]["labels"]) for name, pod in pods(objects)]


@every_case
def test_a_budget_has_one_field_and_only_above_one_replica(case: str) -> None:
    objects = render(CASES[case])
    for name, budget in of_kind(objects, "PodDisruptionBudget").items():
        assert len({"minAvailable", "maxUnavailable"} & budget["spec"].keys()) == 1
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        assert least_replicas(objects, budget["metadata"]["name"]) > 1, name


def least_replicas(objects: list[Object], name: str) -> int:
    for found in objects:
        if found["metadata"]["name"] == name:
            least = {
                "Deployment": found.get("spec", {}).get("replicas"),
                "HorizontalPodAutoscaler": found.get("spec", {}).get("minReplicas"),
                "ScaledObject": found.get("spec", {}).get("minReplicaCount"),
            }.get(found["kind"])
            if least is not None:
                return int(least)
    raise AssertionError(f"nothing says how many replicas {name} has")


@every_case
def test_replicas_have_one_owner(case: str) -> None:
    objects = render(CASES[case])
    owned = [
        found["spec"]["scaleTargetRef"]["name"]
        for found in objects
        if found["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")
    ]
    assert len(owned) == len(set(owned))
    for deployment in of_kind(objects, "Deployment").values():
        assert ("replicas" in deployment["spec"]) != (deployment["metadata"]["name"] in owned)


@every_case
def test_selectors_find_the_pods_they_mean(case: str) -> None:
    objects = render(CASES[case])
    labels = pod_labels(objects)
    for found in objects:
        if found["kind"] in WORKLOADS:
            own = found["spec"]["template"]["metadata"]["labels"]
            chosen = [name for name, theirs in labels if labels_match(found["spec"]["selector"], theirs)]
            assert labels_match(found["spec"]["selector"], own)
            assert chosen == [f"{found['kind']}/{found['metadata']['name']}"], "two workloads fight for the same pods"
        elif found["kind"] in ("Service", "PodDisruptionBudget"):
            (chosen_one,) = (name for name, theirs in labels if labels_match(found["spec"]["selector"], theirs))
            assert chosen_one.endswith("/" + found["metadata"]["name"])


@every_case
def test_a_service_sends_to_a_port_that_its_pods_have(case: str) -> None:
    objects = render(CASES[case])
    workloads = {found["metadata"]["name"]: found for found in objects if found["kind"] in WORKLOADS}
    for service in of_kind(objects, "Service").values():
        main = workloads[service["metadata"]["name"]]["spec"]["template"]["spec"]["containers"][0]
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in [open_port["name"] for open_port in main["ports"]]


def test_push_shrinks_slowly_whoever_scales_it() -> None:
    slowly = {
        "stabilizationWindowSeconds": 300, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 120}],
    }
    assert of_kind(render(), "HorizontalPodAutoscaler")["push"]["spec"]["behavior"]["scaleDown"] == slowly
    scaled = of_kind(render(CASES["KEDA"]), "ScaledObject")["push"]["spec"]
    assert scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"] == slowly
    assert "behavior" not in of_kind(render(), "HorizontalPodAutoscaler")["read"]["spec"]


@every_case
def test_what_a_claim_is_labelled_with_never_changes(case: str) -> None:
    for found in of_kind(render(CASES[case]), "StatefulSet").values():
        for claim in found["spec"].get("volumeClaimTemplates", []):
            assert set(claim["metadata"]["labels"]) == {
                "app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component",
            }


@every_case
def test_names_are_unique_and_every_object_says_whose_it_is(case: str) -> None:
    objects = render(CASES[case])
    names = [(found["kind"], found["metadata"]["name"]) for found in objects]
    assert len(names) == len(set(names))
    for found in objects:
        if not found["metadata"]["name"].endswith(("-yaml", "-text")):
            labels = found["metadata"]["labels"]
            assert labels["app.kubernetes.io/instance"] == "kvcast"
            assert labels["app.kubernetes.io/managed-by"] == "Helm"
            assert CASES[case].get("commonLabels", {}).items() <= labels.items()


@every_case
def test_a_secret_or_map_that_is_named_is_made_or_ours(case: str) -> None:
    objects = render(CASES[case])
    made = {found["metadata"]["name"] for found in objects if found["kind"] in ("Secret", "ConfigMap")}
    keys = {found["metadata"]["name"]: found["data"].keys() for found in objects if found["kind"] == "Secret"}
    for name, pod in pods(objects):
        for secret, items in named_secrets(pod):
            assert secret in made | {"ours"}, f"{name} names {secret}"
            assert secret not in keys or {item["key"] for item in items} <= keys[secret], f"{name}: {secret}"


def named_secrets(pod: Object) -> Iterator[tuple[str, list[Object]]]:
    for volume in pod["spec"].get("volumes", []):
        if "secret" in volume:
            yield volume["secret"]["secretName"], volume["secret"]["items"]
        for source in volume.get("projected", {}).get("sources", []):
            yield source["secret"]["name"], source["secret"]["items"]


def test_the_database_password_outlives_the_release_with_its_claim() -> None:
    secrets = of_kind(render(), "Secret")
    assert secrets["database"]["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "annotations" not in secrets[""]["metadata"]
    outside = of_kind(render(CASES["external stores"]), "Secret")
    assert "annotations" not in outside["database"]["metadata"]
