"""Wrong values: refused with a sentence that names the mend."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.conftest import Figure
from tests.cluster.namespaces import Namespace
from tests.cluster.release import Release
from tests.cluster.values import Cluster

EXISTING = "kvcast-existing"
KEYS = ("admin-token", "tokens", "database-url", "migration-url", "redis-url", "postgresql-password", "redis-password")

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "typo": ({"writ": {"replicas": 2}}, "additional properties 'writ' not allowed"),
    "hostname": ({"ingress": {"host": "https://kvcast.example.org/"}}, "is no host name; give"),
    "HPA and KEDA": ({"read": {"keda": {"enabled": True}}}, "set read.autoscaling.enabled=false or"),
    "both PostgreSQL": ({"externalDatabase": {"url": "postgresql://u@db/kvcast"}}, "give postgresql.enabled=false, or"),
    "no PostgreSQL": ({"postgresql": {"enabled": False}}, "give postgresql.enabled=true, externalDatabase.url, or"),
    "both Redis": ({"externalRedis": {"url": "redis://cache"}}, "give redis.enabled=false, or"),
    "no Redis": ({"redis": {"enabled": False}}, "give redis.enabled=true, externalRedis.url, or"),
    "existing secret that is none": ({"auth": {"existingSecret": "nowhere"}}, 'there is no secret "nowhere" in'),
}


def refusal(cluster: Cluster, namespace: Namespace, values: dict[str, Any]) -> str:
    done = Release(cluster, namespace).attempt("install", **values)
    assert done.returncode != 0
    assert namespace.items("pods") == []
    assert namespace.kube.run("helm", "--namespace", namespace.name, "list", "--short") == ""
    return done.stderr


def test_nothing_is_installed(cluster: Cluster, namespace: Namespace, figure: Figure) -> None:
    for name, (values, sentence) in REFUSED.items():
        assert sentence in refusal(cluster, namespace, values), name
    figure("refused by `helm install`, with nothing left behind", ", ".join(REFUSED))


@pytest.mark.parametrize("lacking", ["database-url", "redis-password"])
def test_an_existing_secret_that_lacks_a_key(
    cluster: Cluster, namespace: Namespace, figure: Figure, lacking: str
) -> None:
    literals = [f"--from-literal={key}=x" for key in KEYS if key != lacking]
    namespace.kubectl("create", "secret", "generic", EXISTING, *literals)
    said = refusal(cluster, namespace, {"auth": {"existingSecret": EXISTING}})
    assert f'the secret "{EXISTING}" lacks the key "{lacking}"; add it' in said
    figure("refused: an existing secret that lacks the key", lacking)
