"""What pods say of given secrets: it changes with them, stays over upgrades, and nothing can be guessed by it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import yaml

from tests.chart.cases import EXISTING_SECRET
from tests.chart.rendering import NAMESPACE, SECRETS, Object, helm, laid_over, of_kind, pods, render
from tests.kubernetes_api import Api

KINDS = {  # what the chart makes or looks up, for the discovery
    "v1": ["Secret", "ConfigMap", "Namespace", "Service", "ServiceAccount", "PersistentVolumeClaim"],
    "apps/v1": ["Deployment", "StatefulSet"], "autoscaling/v2": ["HorizontalPodAutoscaler"],
    "policy/v1": ["PodDisruptionBudget"], "networking.k8s.io/v1": ["Ingress", "NetworkPolicy"],
}
SECRETS_PATH = f"/api/v1/namespaces/{NAMESPACE}/secrets/"


def plural(kind: str) -> str:
    return kind.lower().replace("policy", "policie") + ("es" if kind.endswith("ss") else "s")


def resources(version: str) -> Object:
    listed = [
        {"name": plural(kind), "singularName": kind.lower(), "namespaced": kind != "Namespace", "kind": kind,
         "verbs": ["get", "list"]}
        for kind in KINDS[version]
    ]
    return {"kind": "APIResourceList", "groupVersion": version, "resources": listed}


def groups() -> Object:
    named = [{"groupVersion": name, "version": name.partition("/")[2]} for name in KINDS if "/" in name]
    listed = [
        {"name": one["groupVersion"].partition("/")[0], "versions": [one], "preferredVersion": one} for one in named
    ]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


class Cluster:
    """As much of the Kubernetes API as helm's `lookup` asks, and the secrets that it keeps."""

    def __init__(self) -> None:
        default = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}
        self._api = Api({
            "/version": (200, {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}),
            "/api": (200, {"kind": "APIVersions", "versions": ["v1"]}), "/api/v1": (200, resources("v1")),
            "/apis": (200, groups()), "/api/v1/namespaces/default": (200, default),
            **{f"/apis/{version}": (200, resources(version)) for version in KINDS if "/" in version},
        })  # fmt: skip

    def upgrade(self, values: dict[str, Any]) -> list[Object]:
        """The objects, whose secrets are kept as a cluster does."""
        given = ("--dry-run=server", "--disable-openapi-validation", "--kube-apiserver", self._api.url, "--skip-tests")
        done = helm("template", values, *given)
        assert done.returncode == 0, done.stderr
        objects = [found for found in yaml.safe_load_all(done.stdout) if found]
        for made in objects:
            if made["kind"] == "Secret":
                secret = deepcopy(made)
                owner = {"meta.helm.sh/release-name": "kvcast", "meta.helm.sh/release-namespace": NAMESPACE}
                secret["metadata"]["annotations"] = owner
                self._api.answers[SECRETS_PATH + made["metadata"]["name"]] = (200, secret)
        return objects

    def forget(self) -> None:
        """All secrets."""
        for path in [path for path in self._api.answers if path.startswith(SECRETS_PATH)]:
            del self._api.answers[path]

    def close(self) -> None:
        self._api.close()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    yield cluster
    cluster.close()


def checksums(objects: list[Object]) -> dict[str, str]:
    return {
        name.rpartition("-")[2]: value
        for name, pod in pods(objects)
        for key, value in pod["metadata"].get("annotations", {}).items() if key.startswith("checksum/given")
    }


def digests(*values: Any) -> set[str]:
    """What a guesser would try for a password, each as it may have been hashed without a key."""
    texts = [*values, *(json.dumps(value, separators=(",", ":")) for value in values)]
    return {hashlib.sha256(str(text).encode()).hexdigest() for text in texts}


def test_they_are_keyed_with_what_the_secret_keeps(cluster: Cluster) -> None:
    first = cluster.upgrade({"redis": {"password": "weak"}})
    key = of_kind(first, "Secret")[""]["data"]["checksum-key"]
    assert len(key) > 32
    before = checksums(first)
    assert len(set(before.values())) == 2, "the functions have one, made with the same key"
    again = cluster.upgrade({"redis": {"password": "weak"}})
    assert checksums(again) == before
    assert of_kind(again, "Secret")[""]["data"]["checksum-key"] == key
    changed = checksums(cluster.upgrade({"redis": {"password": "other"}}))
    assert all(changed[name] != before[name] for name in ("write", "read", "push", "redis"))
    assert checksums(cluster.upgrade({"redis": {"password": "weak"}})) == before


def test_two_releases_with_the_same_password_have_nothing_in_common(cluster: Cluster) -> None:
    found = []
    for _ in range(2):
        cluster.forget()
        found.append(set(checksums(cluster.upgrade({"redis": {"password": "weak"}})).values()))
    assert not found[0] & found[1]
    assert not found[0] & digests("weak", ["weak"])


def test_what_the_chart_makes_by_itself_restarts_nothing(cluster: Cluster) -> None:
    before = checksums(cluster.upgrade({}))
    assert checksums(cluster.upgrade({})) == before


def test_without_a_cluster_a_guess_takes_scrypt_and_a_secret_of_ours_no_key() -> None:
    objects = render({"redis": {"password": "weak"}})
    assert "checksum-key" not in of_kind(objects, "Secret")[""]["data"]
    assert not set(checksums(objects).values()) & digests("weak", ["weak"])
    assert not set(checksums(objects).values()) & set(
        checksums(render({"redis": {"password": "weak"}}, "--namespace", "other")).values()
    )
    assert checksums(render(laid_over(SECRETS, EXISTING_SECRET)))
