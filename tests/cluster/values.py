"""Where to install, and with which values."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.cluster.kube import Kube

FUNCTIONS = ("write", "read", "push")


class Cluster(NamedTuple):
    """Where to test. ingress_service: values of tests.ingressService, or None where it is not known."""

    kube: Kube
    ingress: str
    ingress_service: dict[str, Any] | None
    image: str


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


def image_of_environment(version: str) -> str:
    return os.environ.get("KVCAST_IMAGE", "") or f"kvcast:{version}"
