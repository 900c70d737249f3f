"""Every object the chart can make is one that Kubernetes takes."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import kubernetes.client
import kubernetes_validate
import pytest

from tests.chart.cases import CASES
from tests.chart.rendering import Object, helm, laid_over, render, SECRETS

OLDEST = (1, 30)  # Chart.yaml
# Checked by tests of their own.
OTHERS = {"HTTPRoute", "ScaledObject", "PodMonitor", "PrometheusRule"}


def versions() -> list[str]:
    """The minor releases of Kubernetes that the chart allows and that schemas are at hand for."""
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    found = {re.sub(r"^v|\.0-local.*", "", path.name) for path in folder.iterdir() if path.name.endswith("-strict")}
    allowed = [name for name in found if tuple(map(int, name.split("."))) >= OLDEST]
    return sorted(allowed, key=lambda name: tuple(map(int, name.split("."))))


@cache
def check(text: str, version: str) -> None:
    kubernetes_validate.validate(json.loads(text), version, strict=True)


@pytest.mark.parametrize("version", versions())
@pytest.mark.parametrize("case", CASES)
def test_kubernetes_takes_every_object(case: str, version: str) -> None:
    objects = render(CASES[case], "--kube-version", f"{version}.0")
    for found in core(objects):
        check(json.dumps(found, sort_keys=True), version)


def core(objects: list[Object]) -> list[Object]:
    return [found for found in objects if found["kind"] not in OTHERS]


def model(found: Object) -> str:
    """The class of the official client: V1Deployment, V2HorizontalPodAutoscaler."""
    return found["apiVersion"].rpartition("/")[2].capitalize() + found["kind"]


@pytest.mark.parametrize("case", CASES)
def test_the_official_client_reads_every_object_back(case: str) -> None:
    client = kubernetes.client.ApiClient()
    for found in core(render(CASES[case])):
        read = client.deserialize(json.dumps(found), model(found), "application/json")
        assert client.sanitize_for_serialization(read) == without_nulls(found), found["metadata"]["name"]


def without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {name: without_nulls(child) for name, child in value.items() if child is not None}
    return [without_nulls(child) for child in value] if isinstance(value, list) else value


def test_an_older_kubernetes_is_refused() -> None:
    done = helm("template", SECRETS, "--kube-version", "1.29.9")
    assert done.returncode != 0
    assert "chart requires kubeVersion: >=1.30.0-0" in done.stderr


@pytest.mark.parametrize("case", CASES)
def test_helm_finds_nothing_to_mend(case: str) -> None:
    done = helm("lint", laid_over(SECRETS, CASES[case]), "--strict")
    assert done.returncode == 0, done.stdout
    assert "0 chart(s) failed" in done.stdout
