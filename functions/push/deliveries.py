"""Counting what went to viewers: once for all who got the same, as counting one by one costs what sending does."""

from __future__ import annotations

import time

from kvcast.bus.workers import WorkerReport
from kvcast.metrics import DELIVERIES, DELIVERY_SECONDS, observe

from functions.push.frames import Frame


class Deliveries:
    """Gathers until `count`."""

    def __init__(self, report: WorkerReport) -> None:
        self._report = report
        self._changes = 0
        self._newest: dict[Frame, int] = {}  # -> viewers for whom it was the newest of what they were sent

    def add(self, frames: list[Frame]) -> None:
        """`frames` went to one viewer; the newest change stands for the latency of all."""
        changes = [frame for frame in frames if frame.change is not None]
        if changes:
            self._changes += len(changes)
            self._newest[changes[-1]] = self._newest.get(changes[-1], 0) + 1

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
        self._changes = 0
        self._newest.clear()
