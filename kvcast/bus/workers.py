"""What each worker says of itself once a second, so that any of them can answer for all."""

from __future__ import annotations

import os
import socket
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from threading import Event
from typing import Any

import msgspec

from kvcast.bus.connection import Breaker, open_redis
from kvcast.draining import at_the_end, draining
from kvcast.errors import BusUnavailable
from kvcast.loops import start_loop

LATENCY_BOUNDS_MS = (0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 250, 500, 1000, 2500, 5000)
STAGES = ("commit", "publish", "socket")
_STALE_SECONDS = 5
_WINDOW_SECONDS = 10
_KEY = "kvcast:workers"
_SUMS_KEY = "kvcast:sums"


class Report(msgspec.Struct):
    """One worker's last word.

    at: by Redis' clock, as hosts need not agree. rates: events per second; cpu: processor seconds per second, of
    the whole process; stages: of the last minute, for each stage on the way of a write, counts per bound of
    LATENCY_BOUNDS_MS.
    """

    function: str
    worker: str
    at: float
    connections: int = 0
    rates: dict[str, float] = {}
    stages: dict[str, list[int]] = {}
    cpu: float = 0.0
    ready: bool = True


class WorkerReport:
    """Counts what happens in this worker and announces it. `count`, `took` and `add` are cheap.

    What is added is summed up in Redis over all workers that ever were, as a worker takes its own counters with it.
    The sums are lost with Redis.
    """

    def __init__(self, function: str, redis_url: str, connections: Callable[[], int] = lambda: 0) -> None:
        self._function = function
        self._host = socket.gethostname()
        self.worker = f"{self._host}-{os.getpid()}"
        self._client = open_redis(redis_url, connections=4)
        self._breaker = Breaker()
        self._connections = connections
        self._totals: dict[str, int] = {}
        self._added: dict[str, int] = {}
        self._samples: deque[tuple[float, float, dict[str, int]]] = deque(maxlen=_WINDOW_SECONDS + 1)
        self._stages: dict[str, list[int]] = {}
        self._minute: deque[dict[str, list[int]]] = deque(maxlen=60)  # one element a second
        self._ended = Event()

    def start(self) -> None:
        start_loop("worker-report", self._announce_for_ever)
        at_the_end(self._hand_in)

    def stop(self) -> None:
        self._ended.set()

    def count(self, what: str, number: int = 1) -> None:
        self._totals[what] = self._totals.get(what, 0) + number

    def add(self, what: str) -> None:
        """Add one to a sum that outlives this worker."""
        self._added[what] = self._added.get(what, 0) + 1

    def sums(self) -> dict[str, int]:
        """What was added by all workers since Redis began. Raises BusUnavailable."""
        with self._breaker.guard():
            raw: Any = self._client.hgetall(_SUMS_KEY)
        return {name.decode(): int(number) for name, number in raw.items()}

    def took(self, stage: str, seconds: float, times: int = 1) -> None:
        """A change took so long for one stage of its way: commit, publish or socket. times: how many did."""
        self._counts(stage)[bisect_left(LATENCY_BOUNDS_MS, seconds * 1000)] += times

    def took_all(self, stage: str, seconds: list[float]) -> None:
        """The same for several changes, each of which took its own time."""
        counts = self._counts(stage)
        for one in seconds:
            counts[bisect_left(LATENCY_BOUNDS_MS, one * 1000)] += 1

    def _counts(self, stage: str) -> list[int]:
        counts = self._stages.get(stage)
        if counts is None:
            counts = self._stages[stage] = [0] * (len(LATENCY_BOUNDS_MS) + 1)
        return counts

    def all(self) -> list[Report]:
        """The last report of every worker that is alive. Raises BusUnavailable."""
        with self._breaker.guard():
            raw = self._client.hgetall(_KEY)
            now = self._now()
        reports = []
        for name, text in raw.items():
            report = msgspec.json.decode(text, type=Report)
            if now - report.at < _STALE_SECONDS:
                reports.append(report)
            elif now - report.at > 60:
                with self._breaker.guard():
                    self._client.hdel(_KEY, name)
        return reports

    def of_this_host(self) -> list[Report]:
        """The last reports of this function's workers here, which in Kubernetes is a pod. Raises BusUnavailable."""
        return [
            report for report in self.all()
            if report.function == self._function and report.worker.rpartition("-")[0] == self._host
        ]

    def _announce_for_ever(self) -> None:
        while not self._ended.wait(1.0):
            self._minute.append(self._stages)
            self._stages = {}
            self._samples.append((time.monotonic(), time.process_time(), dict(self._totals)))
            try:
                with self._breaker.guard():
                    said = msgspec.json.encode(self._report(self._now()))
                    self._client.hset(_KEY, f"{self._function}-{self.worker}", said)
            except BusUnavailable:
                pass  # /stats then leaves this worker out
            self._hand_in()

    def _hand_in(self) -> None:
        """What Redis does not take is handed in the next time."""
        added, self._added = self._added, {}
        for what, number in added.items():
            try:
                with self._breaker.guard():
                    self._client.hincrby(_SUMS_KEY, what, number)
            except BusUnavailable:
                self._added[what] = self._added.get(what, 0) + number

    def _now(self) -> float:
        """Unix seconds by Redis' clock."""
        seconds, microseconds = self._client.time()
        return float(seconds) + float(microseconds) / 1e6

    def _report(self, at: float) -> Report:
        (first_at, first_cpu, first), (last_at, last_cpu, last) = self._samples[0], self._samples[-1]
        span = last_at - first_at
        rates = {name: (total - first.get(name, 0)) / span for name, total in last.items()} if span else {}
        stages = {name: _sum([second[name] for second in self._minute if name in second]) for name in STAGES}
        return Report(
            self._function, self.worker, at, self._connections(), rates,
            {name: counts for name, counts in stages.items() if counts},
            (last_cpu - first_cpu) / span if span else 0.0, not draining(),
        )


def _sum(counts: list[list[int]]) -> list[int]:
    return [sum(column) for column in zip(*counts, strict=True)]


def stage_counts(reports: list[Report], stage: str) -> list[int]:
    """What all workers counted of one stage."""
    return _sum([report.stages[stage] for report in reports if stage in report.stages])


def quantile_ms(latency: list[int], quantile: float) -> float | None:
    """The bound below which `quantile` of the counted latencies lie; None where nothing was counted."""
    total = sum(latency)
    if not total:
        return None
    seen = 0
    for index, count in enumerate(latency):
        seen += count
        if seen >= quantile * total:
            return float(LATENCY_BOUNDS_MS[min(index, len(LATENCY_BOUNDS_MS) - 1)])
    return None
