"""kvcast installed by its chart, in a namespace of its own."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster.kube import CommandFailed
from tests.cluster.namespaces import Namespace, containers, is_ready
from tests.cluster.site import Site
from tests.cluster.values import FUNCTIONS, Cluster, merged, sized
from tests.polling import eventually

CHART = Path(__file__).parents[2] / "charts/kvcast"
NAME = "kvcast"
READY_SECONDS = 180
POLL_SECONDS = 0.5
_NOT_PULLED = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"}


class ImageMissing(Exception):
    """The message says what to do."""


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
            for container in containers(pod):
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
