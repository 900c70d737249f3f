"""A wrong database password: said once, and right again when it is mended."""

from __future__ import annotations

import json
import re
import time

from tests.cluster.conftest import Figure
from tests.cluster.release import CHART, FUNCTIONS, NAME, Cluster, Namespace, Release, restarts, single
from tests.polling import eventually

SECRET = "kvcast-own"
POLL_SECONDS = 1.0
WATCHED_SECONDS = 20


def keys(owner: str) -> dict[str, str]:
    """owner: the password that the migration uses; PostgreSQL is made with `right`."""
    host = f"{NAME}-postgresql:5432/kvcast"
    return {
        "admin-token": "a-token-of-the-cluster-tests", "tokens": "",
        "database-url": f"postgresql://kvcast_functions:functions@{host}",
        "migration-url": f"postgresql://kvcast:{owner}@{host}",
        "redis-url": f"redis://kvcast:cache@{NAME}-redis:6379/0",
        "postgresql-password": "right", "redis-password": "cache",
    }


def waiting_lines(namespace: Namespace) -> list[str]:
    """What the migration of each write pod says about its wait."""
    return [
        line
        for pod in namespace.pods("write")
        for line in namespace.logs(pod["metadata"]["name"], "migrate")
        if "password" in line
    ]


def test_it_is_said_once_and_nothing_crashes(cluster: Cluster, namespace: Namespace, figure: Figure) -> None:
    literals = [f"--from-literal={key}={value}" for key, value in keys("wrong").items()]
    namespace.kubectl("create", "secret", "generic", SECRET, *literals)
    values = single() | {"auth": {"existingSecret": SECRET}, "postgresql": {"persistence": {"enabled": False}}}
    release = Release(cluster, namespace, **values, redis={"persistence": {"enabled": False}})
    assert release.attempt("install").returncode == 0, CHART
    eventually(lambda: waiting_lines(namespace), 120, POLL_SECONDS)
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > WATCHED_SECONDS, WATCHED_SECONDS + 5, POLL_SECONDS)
    (line,) = waiting_lines(namespace)
    figure("what write's pod says, once", f"`{line}`")
    assert re.search(r"KVCAST_MIGRATION_URL", line)
    assert "wrong" not in line
    pods = [pod for function in FUNCTIONS for pod in namespace.pods(function)]
    assert sum(map(restarts, pods)) == 0
    assert [release.serving(function) for function in FUNCTIONS] == [[], [], []]
    mend(release, figure)


def mend(release: Release, figure: Figure) -> None:
    data = {"stringData": {"migration-url": keys("right")["migration-url"]}}
    release.namespace.kubectl("patch", "secret", SECRET, "--patch", json.dumps(data))
    began = time.monotonic()
    release.namespace.kubectl("rollout", "restart", f"deployment/{NAME}-write")
    release.await_whole()
    release.await_routed()
    figure("all ready after the secret was mended and write restarted", time.monotonic() - began)
    assert release.site().add("mended", "1").status == 200
