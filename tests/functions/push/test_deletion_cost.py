"""The pod's own annotation, through the real Kubernetes client, against tests/kubernetes_api.py."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kvcast.bus.workers import WorkerReport
from kvcast.cluster import Cluster, NotInCluster
from kvcast.embedded import Valkey
from tests.conftest import Server
from tests.kubernetes_api import PODS, Api, pod
from tests.polling import eventually, never_within

from functions.push.deletion_cost import ANNOTATION, DeletionCost

OWN = f"{PODS}/push-a"


class Pod:
    """Workers of one pod, each with a number of connections, and what they told the API."""

    def __init__(self, redis_url: str, stack: ExitStack) -> None:
        self._redis_url = redis_url
        self._stack = stack
        self.api = Api()
        self.api.answers[OWN] = (200, pod("push-a"))
        stack.callback(self.api.close)

    def worker(self, connections: Callable[[], int], process: int, **options: Any) -> None:
        report = WorkerReport("push", self._redis_url, connections)
        report.worker = f"{socket.gethostname()}-{process}"
        given = {"open_cluster": self.api.cluster, "every_seconds": 0.1, "rarely_seconds": 0.1, **options}
        cost = DeletionCost(report, "push-a", **given)
        for part in (report, cost):
            self._stack.callback(part.stop)
            part.start()

    def told(self) -> list[str]:
        return [body["metadata"]["annotations"][ANNOTATION] for _, _, body in self.api.patched]


@pytest.fixture
def own_pod(tmp_path: Path) -> Iterator[Pod]:
    """With a Redis of its own, so that no other test's workers are of this pod."""
    with ExitStack() as stack:
        valkey = Valkey(tmp_path)
        valkey.start()
        stack.callback(valkey.stop)
        yield Pod(valkey.redis_url, stack)


def test_the_cost_is_told_when_it_changes_and_only_then(own_pod: Pod) -> None:
    connections = 3
    own_pod.worker(lambda: connections, 1)
    assert eventually(lambda: own_pod.told() == ["3"])
    assert never_within(lambda: len(own_pod.told()) > 1, 0.5)
    connections = 0
    assert eventually(lambda: own_pod.told() == ["3", "0"])
    assert {path for path, _, _ in own_pod.api.patched} == {OWN}


def test_it_is_not_told_more_often_than_may_be(own_pod: Pod) -> None:
    own_pod.worker(lambda: 3, 1, every_seconds=60.0)
    assert never_within(own_pod.told, 1.5)


def test_one_worker_speaks_for_all_of_its_pod(own_pod: Pod) -> None:
    own_pod.worker(lambda: 5, 2)
    assert eventually(lambda: own_pod.told() == ["5"])
    own_pod.worker(lambda: 4, 1)
    assert eventually(lambda: own_pod.told()[-1] == "9")
    assert never_within(lambda: own_pod.told().count("9") > 1, 0.5)


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """Our log, also where a function that another test made in this process keeps it to itself."""
    for name in ("kvcast", "functions"):
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    monkeypatch.setattr(logging.getLogger("functions"), "level", logging.INFO)
    return caplog


def test_a_refusal_is_logged_once_with_the_role_and_tried_again(own_pod: Pod, heard: pytest.LogCaptureFixture) -> None:
    own_pod.api.answers[OWN] = (403, {"kind": "Status", "code": 403})
    own_pod.worker(lambda: 3, 1)
    assert eventually(lambda: len(own_pod.told()) >= 3)
    answered = len(own_pod.told())
    own_pod.api.answers[OWN] = (200, pod("push-a"))
    assert eventually(lambda: len(own_pod.told()) > answered)
    assert never_within(lambda: len(own_pod.told()) > answered + 2, 0.5)
    [line] = [record.getMessage() for record in heard.records if "deletion cost" in record.getMessage()]
    assert 'resources ["pods"], verbs ["patch"]' in line
    assert "push-a" in line


def test_the_function_does_so_where_it_is_set(serve: Callable[..., Server]) -> None:
    server = serve("push", KVCAST_DELETION_COST="1", KVCAST_SERVER_NAME="push-a")
    assert eventually(lambda: "deletion cost of pod push-a cannot be told: kvcast does not run in" in server.log())


def test_outside_a_cluster_it_says_so_and_waits(own_pod: Pod, heard: pytest.LogCaptureFixture) -> None:
    clusters: list[Cluster] = []

    def in_none() -> Cluster:
        if not clusters:
            raise NotInCluster("kvcast does not run in Kubernetes here.")
        return clusters[0]

    own_pod.worker(lambda: 3, 1, open_cluster=in_none)
    assert never_within(own_pod.told, 1.5)
    said = lambda: [record.levelname for record in heard.records if "does not run" in record.getMessage()]  # noqa: E731
    assert eventually(said) == ["WARNING"]
    clusters.append(own_pod.api.cluster())
    assert eventually(lambda: own_pod.told() == ["3"])
