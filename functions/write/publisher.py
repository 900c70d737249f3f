"""Tells Redis, in commit order, what was committed; then wakes those who wait for it.

Redis being down never fails a write: the sweep of every push worker finds what was not published.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Event
from typing import NamedTuple

from kvcast.bus.cache import Cache
from kvcast.bus.workers import WorkerReport
from kvcast.errors import BusUnavailable
from kvcast.loops import start_loop
from kvcast.messages import Change
from kvcast.metrics import PUBLISH_FAILURES, WRITES

_MOST_AT_ONCE = 2000


class _Waiting(NamedTuple):
    changes: list[Change]
    into: Cache
    then: Callable[[], object]
    committed_at: float
    requests: int


class Publisher:
    """enabled=False commits without publishing, as a process does that dies in between; for tests."""

    def __init__(self, cache: Cache, report: WorkerReport, *, enabled: bool = True) -> None:
        self.cache = cache
        self._report = report
        self._enabled = enabled
        self._queue: SimpleQueue[_Waiting] = SimpleQueue()

    def start(self) -> None:
        start_loop("publisher", self._run_for_ever)

    def renew(self, cache: Cache) -> None:
        """A backup was restored: what is committed from now on belongs into `cache`."""
        self.cache = cache

    def publish(
        self, changes: list[Change], into: Cache, then: Callable[[], object], received: Sequence[float] = ()
    ) -> None:
        """Queue `changes`, just committed, and call `then` once Redis has them, or has failed to take them.

        into: what `cache` was before the commit began; after a restore that brings them to nobody, as they are gone.
        received: when the requests that asked for them had come in, on the clock of `time.perf_counter`.
        """
        now = time.perf_counter()
        self._report.took_all("commit", [now - at for at in received])
        self._queue.put(_Waiting(changes, into, then, now, len(received)))

    def publish_and_wait(self, changes: list[Change], into: Cache, received: Sequence[float] = ()) -> None:
        published = Event()
        self.publish(changes, into, published.set, received)
        published.wait()

    def _run_for_ever(self) -> None:
        while True:
            waiting = [self._queue.get()]
            size = len(waiting[0].changes)
            while size < _MOST_AT_ONCE:
                try:
                    waiting.append(self._queue.get_nowait())
                except Empty:
                    break
                size += len(waiting[-1].changes)
            try:
                for cache in dict.fromkeys(one.into for one in waiting):  # one, but in the second after a restore
                    self._publish(cache, [one for one in waiting if one.into is cache])
            finally:  # whatever happened, it is committed, and nobody may wait for ever
                for one in waiting:
                    one.then()

    def _publish(self, cache: Cache, waiting: list[_Waiting]) -> None:
        changes = [change for one in waiting for change in one.changes]
        WRITES.inc(len(changes))
        self._report.count("writes", len(changes))
        if not self._enabled:
            return
        try:
            cache.publish(changes)
        except BusUnavailable:
            PUBLISH_FAILURES.inc(len(changes))
            return
        now = time.perf_counter()
        for one in waiting:
            self._report.took("publish", now - one.committed_at, one.requests)
