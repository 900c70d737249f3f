"""Tells Redis, in commit order, what was committed; then wakes those who wait for it.

Redis being down never fails a write: the sweep of every push worker finds what was not published.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event

from kvcast.bus.cache import Cache
from kvcast.bus.workers import WorkerReport
from kvcast.errors import BusUnavailable
from kvcast.loops import start_loop
from kvcast.messages import Change
from kvcast.metrics import PUBLISH_FAILURES, WRITES

_MOST_AT_ONCE = 2000


class Publisher:
    """enabled=False commits without publishing, as a process does that dies in between; for tests."""

    def __init__(self, cache: Cache, report: WorkerReport, *, enabled: bool = True) -> None:
        self._cache = cache
        self._report = report
        self._enabled = enabled
        self._queue: SimpleQueue[tuple[list[Change], Callable[[], object]]] = SimpleQueue()

    def start(self) -> None:
        start_loop("publisher", self._run_for_ever)

    def publish(self, changes: list[Change], then: Callable[[], object]) -> None:
        """Queue `changes` and call `then` once Redis has them, or has failed to take them."""
        self._queue.put((changes, then))

    def publish_and_wait(self, changes: list[Change]) -> None:
        published = Event()
        self.publish(changes, published.set)
        published.wait()

    def _run_for_ever(self) -> None:
        while True:
            waiting = [self._queue.get()]
            size = len(waiting[0][0])
            while size < _MOST_AT_ONCE:
                try:
                    waiting.append(self._queue.get_nowait())
                except Empty:
                    break
                size += len(waiting[-1][0])
            try:
                self._publish([change for changes, _ in waiting for change in changes])
            finally:  # whatever happened, it is committed, and nobody may wait for ever
                for _, then in waiting:
                    then()

    def _publish(self, changes: list[Change]) -> None:
        WRITES.inc(len(changes))
        self._report.count("writes", len(changes))
        if self._enabled:
            try:
                self._cache.publish(changes)
            except BusUnavailable:
                PUBLISH_FAILURES.inc(len(changes))
