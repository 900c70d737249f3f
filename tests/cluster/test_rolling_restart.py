"""Rolling restart of everything, under load."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from kvcast.messages import CLOSE_RESTART
from tests.cluster.conftest import Figure
from tests.cluster.loads import POLL_SECONDS, RunningLoad
from tests.cluster.release import NAME, Release
from tests.cluster.values import FUNCTIONS
from tests.cluster.verdict import WRITES
from tests.polling import eventually

HANDED_OVER = re.compile(r"^kvcast_handed_over_total\{.*\} (\S+)$", re.MULTILINE)


class HandedOver:
    """The highest that each pod of push says of itself before it is gone."""

    def __init__(self, release: Release) -> None:
        self._release = release
        self._by_pod: dict[str, float] = {}

    def look(self) -> float:
        for pod in self._release.namespace.pods("push"):
            name = pod["metadata"]["name"]
            counted = sum(map(float, HANDED_OVER.findall(self._release.metrics(name))))
            self._by_pod[name] = max(counted, self._by_pod.get(name, 0.0))
        return sum(self._by_pod.values())


def shown(release: Release) -> int:
    """What /admin/functions says was handed over, in all."""
    return int(release.site()("GET", "/admin/functions").json()["handOver"]["handedOver"])


def restart_all(release: Release, look: Callable[[], float]) -> tuple[float, float]:
    """(seconds until every pod is a new one, connections handed over)."""
    before = {function: set(release.serving(function)) for function in FUNCTIONS}
    began = time.monotonic()
    release.namespace.kubectl("rollout", "restart", *(f"deployment/{NAME}-{function}" for function in FUNCTIONS))

    def replaced() -> bool:
        look()
        return all(
            not before[function] & {pod["metadata"]["name"] for pod in release.namespace.pods(function)}
            for function in FUNCTIONS
        )

    eventually(replaced, 300, POLL_SECONDS)
    release.await_whole()
    return time.monotonic() - began, look()


def test_nobody_notices(whole: Release, figure: Figure, load: Callable[..., RunningLoad]) -> None:
    running = load(whole)
    running.goes_on(writes=300)
    before = shown(whole)
    seconds, handed_over = restart_all(whole, HandedOver(whole).look)
    running.goes_on(writes=300)
    verdict = running.finish()
    figure("seconds until every pod of the three functions is a new one", seconds)
    figure("writes and reads answered", verdict.answered(*WRITES), verdict.answered("get"))
    figure("failed requests", len(verdict.records.failures))
    figure("updates that any of 50 viewers lost, writes lost", len(verdict.lost_updates), len(verdict.lost_writes))
    figure("sockets closed, by code", *(f"{code}: {count}" for code, count in verdict.closes.items()))
    counted = shown(whole) - before
    figure("handed over: by the console, by /metrics of the ending pods when last read", counted, int(handed_over))
    figure("longest that a viewer was behind an acknowledged write", verdict.behind_seconds)
    figure("slowest write, slowest read", verdict.slowest_seconds(*WRITES), verdict.slowest_seconds("get"))
    verdict.assert_promises_kept()
    assert not verdict.records.failures
    assert not verdict.refused
    assert not verdict.told_missing
    assert set(verdict.closes) == {CLOSE_RESTART}
    assert counted == verdict.closes[CLOSE_RESTART]
    assert 0 < handed_over <= verdict.closes[CLOSE_RESTART]  # a pod's last count may be gone with it
