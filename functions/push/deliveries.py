"""Counting what went to viewers: once for all who got the same, as counting one by one costs what sending does."""

from __future__ import annotations

import time

from kvcast import logs
from kvcast.bus.workers import WorkerReport
from kvcast.metrics import DELIVERIES, DELIVERY_SECONDS, observe

from functions.push.frames import Frame


class Deliveries:
    """Gathers until `count`."""

    def __init__(self, report: WorkerReport) -> None:
        self._report = report
        self._traces = logs.traces()
        self._traced: dict[Frame, int] = {}  # -> viewers that it went to
        self._changes = 0
        self._newest: dict[Frame, int] = {}  # -> viewers for whom it was the newest of what they were sent

    def add(self, frames: list[Frame]) -> None:
        """`frames` went to one viewer; the newest change stands for the latency of all."""
        changes = [frame for frame in frames if frame.change is not None]
        if changes:
            self._changes += len(changes)
            self._newest[changes[-1]] = self._newest.get(changes[-1], 0) + 1
            if self._traces:
                self._trace(changes)

    def _trace(self, changes: list[Frame]) -> None:
        for frame in changes:
            if frame.change is not None and frame.change.request_id and not frame.payload.startswith(b'{"op":"snap"'):
                self._traced[frame] = self._traced.get(frame, 0) + 1

    def _log(self, now: float) -> None:
        """The last line of a write's way, with the id of its request."""
        for frame, viewers in self._traced.items():
            if frame.change is not None and frame.committed_at is not None:
                fields = {
                    "function": "push", "request_id": frame.change.request_id, "key": frame.change.key,
                    "rev": frame.change.rev, "viewers": viewers,
                    "milliseconds": round(max(0.0, now - frame.committed_at) * 1000, 2),
                }
                logs.access.info("pushed", extra={"fields": fields})
        self._traced.clear()

    def count(self) -> None:
        if not self._changes:
            return
        DELIVERIES.inc(self._changes)
        self._report.count("deliveries", self._changes)
        now = time.time()
        for frame, viewers in self._newest.items():
            if frame.payload.startswith(b'{"op":"upd"') and frame.committed_at is not None:
                seconds = max(0.0, now - frame.committed_at)
                observe(DELIVERY_SECONDS, seconds, viewers)
                self._report.took("socket", seconds, viewers)
        if self._traced:
            self._log(now)
        self._changes = 0
        self._newest.clear()
