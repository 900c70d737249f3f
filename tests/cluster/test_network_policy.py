"""NetworkPolicy: only the functions reach the stores, only the ingress reaches the functions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.conftest import Figure
from tests.cluster.release import NAME, POLL_SECONDS, Release
from tests.cluster.values import FUNCTIONS
from tests.polling import eventually

PORTS = {f"{NAME}-postgresql": 5432, f"{NAME}-redis": 6379, **{f"{NAME}-{function}": 80 for function in FUNCTIONS}}
PROBE = """
import socket, sys
reached = []
for host, port in %r.items():
    try:
        socket.create_connection((host, port), 3).close()
        reached.append(host)
    except OSError:
        pass
print(*reached)
"""


def reached_from(release: Release, name: str, labels: dict[str, str]) -> set[str]:
    """Services that a pod with `labels` can connect to."""
    namespace = release.namespace
    namespace.kubectl("apply", "--filename", "-", given=json.dumps(pod(release, name, labels)))
    path = f"/api/v1/namespaces/{namespace.name}/pods/{name}"
    eventually(lambda: namespace.kube.get(path)["status"]["phase"] in ("Succeeded", "Failed"), 60, POLL_SECONDS)
    (line,) = namespace.logs(name, "probe")
    namespace.kubectl("delete", "pod", name, "--wait=false")
    return set(line.split())


def pod(release: Release, name: str, labels: dict[str, str]) -> dict[str, Any]:
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "probe", "image": release.cluster.image, "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", PROBE % PORTS], "securityContext": security,
    }
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {
            "containers": [container], "restartPolicy": "Never", "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
        },
    }


def test_a_stranger_reaches_nothing(whole: Release, figure: Figure) -> None:
    reached = reached_from(whole, "stranger", {"probe": "stranger"})
    if reached == set(PORTS):
        figure("not shown, as this network does not enforce it: services of five that a stranger reaches", len(reached))
        pytest.skip("the network of this cluster does not enforce NetworkPolicy")
    assert reached == set()
    labels = {"app.kubernetes.io/name": "kvcast", "app.kubernetes.io/instance": NAME}
    tester = reached_from(whole, "tester", {**labels, "app.kubernetes.io/component": "test"})
    assert tester == {f"{NAME}-{function}" for function in FUNCTIONS}
    figure("services of five that a stranger reaches, and the pod of `helm test`", f"0, {len(tester)}")
