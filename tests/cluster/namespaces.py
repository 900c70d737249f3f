"""A namespace, and what can be asked of the pods in it."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from typing import Any

from tests.cluster.kube import Kube


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


def is_ready(pod: Mapping[str, Any]) -> bool:
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = pod["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def restarts(pod: Mapping[str, Any]) -> int:
    return sum(container["restartCount"] for container in containers(pod))


def containers(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    status = pod["status"]
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
