"""Every object the chart can make is one that Kubernetes takes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import kubernetes.client
import kubernetes_validate
import pytest

from tests.chart.cases import CASES
from tests.chart.rendering import SECRETS, Object, helm, laid_over, render

OLDEST = (1, 30)  # Chart.yaml
OTHERS = {"HTTPRoute", "ScaledObject", "PodMonitor", "PrometheusRule"}  # of no core API; test_others.py has them


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def versions() -> list[str]:
    """The minor releases of Kubernetes that the chart allows and that schemas are at hand for."""
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    found = (re.sub(r"^v|\.0-local-strict$", "", path.name) for path in folder.glob("*-strict"))
    return sorted((version for version in found if numbers(version) >= OLDEST), key=numbers)


def core_objects() -> dict[str, Object]:
    """Each object that any case makes, once: most are the same in many."""
    return {
        json.dumps(found, sort_keys=True): found
        for values in CASES.values()
        for found in render(values)
        if found["kind"] not in OTHERS
    }


def test_there_are_schemas_for_the_kubernetes_of_today() -> None:
    assert {"1.30", "1.34", "1.37"} <= set(versions())


@pytest.mark.parametrize("version", versions())
def test_kubernetes_takes_every_object(version: str) -> None:
    for found in core_objects().values():
        kubernetes_validate.validate(found, version, strict=True)


@pytest.mark.parametrize("version", versions())
@pytest.mark.parametrize("case", ["default", "everything"])
def test_the_objects_are_the_same_for_every_kubernetes(case: str, version: str) -> None:
    assert render(CASES[case], "--kube-version", f"{version}.0") == render(CASES[case])


def test_the_official_client_reads_every_object_back() -> None:
    client: Any = kubernetes.client.ApiClient()
    for text, found in core_objects().items():
        model = found["apiVersion"].rpartition("/")[2].capitalize() + found["kind"]
        read = client.deserialize(text, model, "application/json")
        assert client.sanitize_for_serialization(read) == without_nulls(found), found["metadata"]["name"]


def without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {name: without_nulls(child) for name, child in value.items() if child is not None}
    return [without_nulls(child) for child in value] if isinstance(value, list) else value


def test_an_older_kubernetes_is_refused() -> None:
    done = helm("template", SECRETS, "--kube-version", "1.29.9")
    assert done.returncode != 0
    assert "chart requires kubeVersion: >=1.30.0-0" in done.stderr


@pytest.mark.parametrize("case", ["default", "everything", "external stores", "monitoring", "a route", "KEDA"])
def test_helm_finds_nothing_to_mend(case: str) -> None:
    done = helm("lint", laid_over(SECRETS, CASES[case]), "--strict")
    assert done.returncode == 0, done.stdout
