"""kvcast installed by its chart, in a namespace of its own."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.cluster.kube import CommandFailed, Kube
from tests.cluster.site import Site
from tests.polling import eventually

CHART = Path(__file__).parents[2] / "charts/kvcast"
FUNCTIONS = ("write", "read", "push")
NAME = "kvcast"
READY_SECONDS = 180
POLL_SECONDS = 0.5
_NOT_PULLED = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"}


class Cluster(NamedTuple):
    """Where to test. ingress_service: values of tests.ingressService, or None where it is not known."""

    kube: Kube
    ingress: str
    ingress_service: dict[str, Any] | None
    image: str


class ImageMissing(Exception):
    """The message says what to do."""


class Namespace:
    """Enforces the profile `restricted`. Deleted at the end of the block, with all that is in it."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube
        self.name = f"kvcast-test-{secrets.token_hex(3)}"
        kube.kubectl("create", "namespace", self.name)
        kube.kubectl("label", "namespace", self.name, "pod-security.kubernetes.io/enforce=restricted")

    def __enter__(self) -> Namespace:
        return self

    def __exit__(self, *_error: object) -> None:
        self.kube.kubectl("delete", "namespace", self.name, "--wait=false")

    def kubectl(self, *arguments: str, given: str | None = None, timeout: float = 120) -> str:
        return self.kube.kubectl("--namespace", self.name, *arguments, given=given, timeout=timeout)

    def items(self, kinds: str, group: str = "api/v1", **labels: str) -> list[dict[str, Any]]:
        """The objects of a kind, such as pods or, with a group, apis/apps/v1 deployments."""
        selector = {"labelSelector": ",".join(f"{name}={value}" for name, value in labels.items())} if labels else {}
        return self.kube.items(f"/{group}/namespaces/{self.name}/{kinds}", **selector)

    def pods(self, component: str) -> list[dict[str, Any]]:
        """Of a part of the release, those that are told to end included."""
        found = self.items("pods")
        label = "app.kubernetes.io/component"
        return [pod for pod in found if pod["metadata"].get("labels", {}).get(label) == component]

    def secret(self, name: str) -> dict[str, str]:
        held = self.kube.get(f"/api/v1/namespaces/{self.name}/secrets/{name}").get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in held.items()}

    def logs(self, pod: str, container: str) -> list[str]:
        return self.kubectl("logs", pod, "--container", container).splitlines()


class Release:
    """values: laid over those of `sized`."""

    def __init__(self, cluster: Cluster, namespace: Namespace, **values: Any) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.host = f"{namespace.name}.test"
        self.values = merged(sized(cluster, self.host), values)

    def install(self) -> float:
        """Seconds until all of it is ready. Raises ImageMissing or CommandFailed."""
        seconds = self._helm("install", NAME, str(CHART), "--wait", "--timeout", f"{READY_SECONDS}s")
        self.await_routed()
        return seconds

    def upgrade(self, **values: Any) -> float:
        """The same, with `values` laid over those that it has."""
        self.values = merged(self.values, values)
        return self._helm("upgrade", NAME, str(CHART), "--wait", "--timeout", f"{READY_SECONDS}s")

    def attempt(self, command: str, **values: Any) -> subprocess.CompletedProcess[str]:
        """`helm install` or `upgrade` with `values`, not waited for."""
        with self._values_file(merged(self.values, values)) as path:
            return self.cluster.kube.attempt(
                "helm", "--namespace", self.namespace.name, command, NAME, str(CHART), "--values", path.name
            )

    def helm(self, *arguments: str) -> str:
        return self.cluster.kube.run("helm", "--namespace", self.namespace.name, *arguments)

    def _helm(self, *arguments: str) -> float:
        began = time.monotonic()
        with self._values_file(self.values) as values, tempfile.TemporaryFile("w+") as said:
            command = self.cluster.kube.command(
                "helm", "--namespace", self.namespace.name, *arguments, "--values", values.name
            )
            process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
            try:
                while process.poll() is None:
                    self._assert_pulled()
                    time.sleep(POLL_SECONDS)
            finally:
                process.kill()
                process.wait()
            said.seek(0)
            if process.returncode:
                raise CommandFailed(f"helm {arguments[0]}: {said.read()}\n{self.state()}")
        return time.monotonic() - began

    def _values_file(self, values: Mapping[str, Any]) -> Any:
        file = tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8")  # noqa: SIM115
        json.dump(values, file)
        file.flush()
        return file

    def _assert_pulled(self) -> None:
        for pod in self.namespace.items("pods"):
            for container in _containers(pod):
                reason = container.get("state", {}).get("waiting", {}).get("reason")
                if reason in _NOT_PULLED:
                    raise ImageMissing(
                        f"the cluster has no image {container['image']} ({reason}); build it with `make image` and "
                        "load it (kind load docker-image, k3s ctr images import), or name another with KVCAST_IMAGE."
                    )

    def state(self) -> str:
        """For a person who looks for what went wrong."""
        pods = self.namespace.kubectl("get", "pods", "--output", "wide")
        return pods + self.namespace.kubectl("get", "events", "--field-selector", "type=Warning")[-3000:]

    def deployment(self, function: str) -> dict[str, Any]:
        path = f"/apis/apps/v1/namespaces/{self.namespace.name}/deployments/{NAME}-{function}"
        return dict(self.cluster.kube.get(path))

    def desired(self) -> dict[str, int]:
        """How many pods the autoscalers want, by function."""
        found = self.namespace.items("horizontalpodautoscalers", "apis/autoscaling/v2")
        wanted = {item["metadata"]["name"]: int(item["status"].get("desiredReplicas", 0)) for item in found}
        return {name.removeprefix(f"{NAME}-"): count for name, count in wanted.items()}

    def serving(self, component: str) -> list[str]:
        """Names of the pods that are ready and not told to end."""
        return [pod["metadata"]["name"] for pod in self.namespace.pods(component) if is_ready(pod)]

    def await_whole(self, within: float = READY_SECONDS) -> None:
        """Every deployment has the pods it wants, ready, and none is left over."""

        def whole() -> bool:
            for function in FUNCTIONS:
                deployment = self.deployment(function)
                pods = self.namespace.pods(function)
                wanted = deployment["spec"]["replicas"]
                assert len(pods) == wanted == sum(map(is_ready, pods)), (function, wanted, [p["status"] for p in pods])
            return True

        eventually(whole, within, POLL_SECONDS)

    def await_routed(self) -> None:
        """The ingress knows a pod of each function, of which it hears a moment after it is ready."""
        site = self.site()

        def routed() -> bool:
            assert site.call_plainly("GET", "/get/nothing").status == 404
            assert site.call_plainly("POST", "/add", "{}").status == 400
            return site.call_plainly("GET", "/ws").status == 400

        eventually(routed, 60, POLL_SECONDS)

    @property
    def token(self) -> str:
        return self.namespace.secret(self.values.get("auth", {}).get("existingSecret", NAME))["admin-token"]

    def site(self) -> Site:
        return Site(self.cluster.ingress, self.host, self.token)

    def metrics(self, pod: str) -> str:
        """/metrics of a pod; empty when it is gone."""
        return self.cluster.kube.text(f"/api/v1/namespaces/{self.namespace.name}/pods/{pod}:8001/proxy/metrics")


def sized(cluster: Cluster, host: str) -> dict[str, Any]:
    """Values for a small machine: little is asked for, and what scales does it soon."""
    repository, _, tag = cluster.image.rpartition(":")
    scaling = {
        "minReplicas": 2, "maxReplicas": 3,
        "behavior": {
            "scaleDown": {
                "stabilizationWindowSeconds": 15, "policies": [{"type": "Pods", "value": 2, "periodSeconds": 15}]
            }
        },
    }
    function = {"resources": {"requests": {"cpu": "50m"}}, "autoscaling": scaling}
    store = {"resources": {"requests": {"cpu": "25m"}}, "persistence": {"size": "1Gi"}}
    values: dict[str, Any] = dict.fromkeys(FUNCTIONS, function)
    values |= {"postgresql": store, "redis": store}
    values |= {"image": {"repository": repository, "tag": tag}, "ingress": {"host": host}}
    if cluster.ingress_service:
        values["tests"] = {"ingressService": cluster.ingress_service}
    return values


def single() -> dict[str, Any]:
    """Values for one pod of each function, which is enough where nothing is killed or scaled."""
    return {name: {"autoscaling": {"enabled": False}, "replicas": 1} for name in FUNCTIONS}


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for name, value in above.items():
        held = result.get(name)
        result[name] = merged(held, value) if isinstance(held, dict) and isinstance(value, dict) else value
    return result


def is_ready(pod: Mapping[str, Any]) -> bool:
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = pod["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def restarts(pod: Mapping[str, Any]) -> int:
    return sum(container["restartCount"] for container in _containers(pod))


def _containers(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    status = pod["status"]
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def image_of_environment(version: str) -> str:
    return os.environ.get("KVCAST_IMAGE", "") or f"kvcast:{version}"
