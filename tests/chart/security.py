"""What the Pod Security profile `restricted` refuses, and what this chart promises above it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chart.rendering import Object, containers

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def restricted_violations(pod: Object) -> Iterator[str]:
    """pod: its metadata and spec."""
    spec = pod["spec"]
    security = spec.get("securityContext", {})
    yield from (name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name))
    if not security.get("runAsNonRoot") or security.get("runAsUser", 0) == 0:
        yield "may run as root"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "has no seccomp profile"
    for volume in spec.get("volumes", []):
        if not (volume.keys() - {"name"}) <= _VOLUMES:
            yield f"mounts {volume['name']}"
    for container in containers(pod):
        for violation in _of_container(container):
            yield f"{container['name']} {violation}"


def _of_container(container: Object) -> Iterator[str]:
    security = container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
        yield "may escalate"
    if security.get("capabilities") != {"drop": ["ALL"]}:
        yield "keeps capabilities"
    if security.get("readOnlyRootFilesystem") is not True:
        yield "may write to its root"
    if security.get("runAsUser") == 0 or security.get("runAsNonRoot") is False:
        yield "runs as root"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "takes a port of the node"
    resources = container.get("resources", {})
    if "requests" not in resources or "memory" not in resources.get("limits", {}):
        yield "has no bounds"
