"""k8s/: what `kubectl apply -k` takes, the cluster file for kind, and the example values."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.chart.rendering import ROOT, SECRETS, Object, helm, laid_over, of_kind, pods, program, render
from tests.chart.security import restricted_violations
from tests.chart.test_objects import OTHERS, versions

K8S = ROOT / "k8s"
KUSTOMIZATIONS = (".", "overlays/small", "overlays/production")
EXAMPLES = sorted(path.stem for path in (K8S / "values").glob("*.yaml"))
every_kustomization = pytest.mark.parametrize("name", KUSTOMIZATIONS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """k8s/ with secrets, as a person prepares it."""
    folder = tmp_path_factory.mktemp("kustomize") / "k8s"
    shutil.copytree(K8S, folder, ignore=shutil.ignore_patterns("secrets.env"))
    subprocess.run([str(folder / "make-secrets")], check=True, capture_output=True)
    return folder


@cache
def kustomized(folder: Path) -> list[Object]:
    done = subprocess.run([program("kubectl"), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr
    return list(yaml.safe_load_all(done.stdout))


@every_kustomization
def test_kubernetes_takes_every_object(folder: Path, name: str) -> None:
    for found in kustomized(folder / name):
        if found["kind"] not in OTHERS:
            kubernetes_validate.validate(found, versions()[-1], strict=True)


@every_kustomization
def test_everything_lies_in_one_namespace_that_holds_pods_to_the_restricted_profile(folder: Path, name: str) -> None:
    objects = kustomized(folder / name)
    (namespace,) = (found for found in objects if found["kind"] == "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for found in objects:
        if found["kind"] != "Namespace":
            assert found["metadata"]["namespace"] == namespace["metadata"]["name"] == "kvcast"
            assert found["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "kustomize"
    for pod_name, pod in pods(objects):
        assert list(restricted_violations(pod)) == [], pod_name


@every_kustomization
def test_pods_find_every_key_of_the_secret(folder: Path, name: str) -> None:
    objects = kustomized(folder / name)
    held = of_kind(objects, "Secret")["secrets"]["data"]
    asked = {
        item["key"]
        for _, pod in pods(objects)
        for volume in pod["spec"]["volumes"]
        for source in (volume, *volume.get("projected", {}).get("sources", []))
        if "secret" in source
        for item in source["secret"]["items"]
    }
    assert asked == held.keys()


def test_the_chart_is_not_changed_by_the_base(folder: Path) -> None:
    rendered = [found for found in yaml.safe_load_all((K8S / "base/kvcast.yaml").read_text(encoding="utf-8")) if found]
    kept = {(found["kind"], found["metadata"]["name"]): found for found in kustomized(folder)}
    for found in rendered:
        assert kept[(found["kind"], found["metadata"]["name"])].get("spec") == found.get("spec")


def test_small_is_one_replica_and_at_most_two(folder: Path) -> None:
    objects = kustomized(folder / "overlays/small")
    bounds = {(found["spec"]["minReplicas"], found["spec"]["maxReplicas"]) for found in scalers(objects)}
    assert bounds == {(1, 2)}
    assert not of_kind(objects, "PodDisruptionBudget")
    for name, pod in pods(objects):
        for container in (*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]):
            assert container["resources"]["requests"]["cpu"] == "50m", name


def test_production_is_three_replicas_in_three_zones_with_larger_stores_and_is_watched(folder: Path) -> None:
    objects = kustomized(folder / "overlays/production")
    assert all(found["spec"]["minReplicas"] == 3 for found in scalers(objects))
    for found in of_kind(objects, "Deployment").values():
        zone = found["spec"]["template"]["spec"]["topologySpreadConstraints"][1]
        assert (zone["topologyKey"], zone["whenUnsatisfiable"]) == ("topology.kubernetes.io/zone", "DoNotSchedule")
    assert set(of_kind(objects, "PodMonitor")) == set(of_kind(objects, "PrometheusRule")) == {""}
    assert "dashboard" in of_kind(objects, "ConfigMap")
    stores = of_kind(objects, "StatefulSet")
    redis, postgresql = (stores[name]["spec"]["template"]["spec"]["containers"][0] for name in ("redis", "postgresql"))
    assert redis["env"] == [{"name": "MAX_MEMORY", "value": "2gb"}]
    assert "shared_buffers=2GB" in postgresql["args"]
    for found in stores.values():
        size = found["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
        assert size in ("10Gi", "100Gi")


def scalers(objects: list[Object]) -> list[Object]:
    found = list(of_kind(objects, "HorizontalPodAutoscaler").values())
    assert len(found) == 3
    return found


def test_secrets_are_random_private_and_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    shutil.copy(K8S / "make-secrets", tmp_path)
    written = [tmp_path / "base/secrets.env", tmp_path / "base/kept.env"]
    subprocess.run([str(tmp_path / "make-secrets")], check=True, capture_output=True)
    again = subprocess.run([str(tmp_path / "make-secrets")], capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "is kept: the database opens with its passwords only" in again.stderr
    assert written[0].stat().st_mode & 0o077 == 0
    written[0].rename(written[1])
    subprocess.run([str(tmp_path / "make-secrets")], check=True, capture_output=True)
    first, second = (dict(line.split("=", 1) for line in path.read_text().splitlines()) for path in written)
    assert all(first[name] != second[name] for name in first if name != "tokens")
    assert all(len(first[name]) == 32 for name in ("admin-token", "postgresql-password", "redis-password"))
    assert f":{first['redis-password']}@kvcast-redis:6379" in first["redis-url"]
    assert "/k8s/base/secrets.env" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_values_renders(example: str) -> None:
    given: dict[str, Any] = yaml.safe_load((K8S / f"values/{example}.yaml").read_text(encoding="utf-8"))
    values = given if given.get("auth", {}).get("existingSecret") else laid_over(SECRETS, given)
    done = helm("template", values)
    assert done.returncode == 0, done.stderr
    for found in yaml.safe_load_all(done.stdout):
        if found and found["kind"] not in OTHERS:
            kubernetes_validate.validate(found, versions()[-1], strict=True)
    for name, pod in pods([found for found in yaml.safe_load_all(done.stdout) if found]):
        assert list(restricted_violations(pod)) == [], name


def test_the_examples_are_those_that_the_documents_speak_of() -> None:
    assert set(EXAMPLES) == {
        "development", "external-stores", "keda-connections", "three-zones", "tls-cert-manager",
    }
    text = (ROOT / "charts/kvcast/README.md").read_text(encoding="utf-8")
    assert all(f"{name}.yaml" in text for name in EXAMPLES if name != "development")


def test_the_certificate_is_asked_for_once_and_served_by_both() -> None:
    values = yaml.safe_load((K8S / "values/tls-cert-manager.yaml").read_text(encoding="utf-8"))
    found = of_kind(render(values), "Ingress")
    assert [one["spec"]["tls"][0]["secretName"] for one in found.values()] == ["kvcast-tls"] * 2
    assert "annotations" not in found["push"]["metadata"]


def test_the_cluster_file_of_kind_maps_ports_and_has_three_zones() -> None:
    cluster = yaml.safe_load((K8S / "kind.yaml").read_text(encoding="utf-8"))
    assert (cluster["kind"], cluster["apiVersion"]) == ("Cluster", "kind.x-k8s.io/v1alpha4")
    assert [node["role"] for node in cluster["nodes"]] == ["control-plane", "worker", "worker", "worker"]
    assert len({node["labels"]["topology.kubernetes.io/zone"] for node in cluster["nodes"][1:]}) == 3
    assert {mapped["hostPort"] for mapped in cluster["nodes"][0]["extraPortMappings"]} == {8080, 8443}
