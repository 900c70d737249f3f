"""Where writes wait whose row somebody else's transaction holds, so that they hold up no others.

A group waits LOCK_SECONDS for its locks. Then it is found out who holds which of its rows, and its other writes are
committed. As long as a key is held, its writes come here at once: one lock costs all others that short wait once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from kvcast.errors import KvcastError, StorageUnavailable
from kvcast.storage.pool import Pool
from kvcast.storage.writes import locked

from functions.write.unit import QUEUE_SECONDS, Unit

LOCK_SECONDS = 0.2  # commits of other write functions hold locks too, for a few milliseconds
LOOK_SECONDS = 0.05
HELD = "Another transaction holds this key for long; nothing was applied, try again."


class Aside:
    """Belongs to the committer's loop. pool: its statements wait for locks only for LOCK_SECONDS."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._units: list[Unit] = []
        self._held: set[str] = set()
        self._looked_at = 0.0
        self.writes = 0

    def look(self, units: Sequence[Unit]) -> bool:
        """Whether any row of `units` is held, as it is known from now on. Raises KvcastError."""
        found = locked(self._pool, {write.key for unit in units for write in unit.writes})
        self._held |= found
        self._looked_at = time.monotonic()
        return bool(found)

    def takes(self, unit: Unit) -> bool:
        """Whether `unit` has to wait, as it does from now on."""
        if not any(write.key in self._held for write in unit.writes):
            return False
        self._units.append(unit)
        self.writes += len(unit.writes)
        return True

    def freed(self) -> list[Unit]:
        """Those whose rows are free again, in their order; those that have waited for too long are refused."""
        if not self._units or time.monotonic() < self._looked_at + LOOK_SECONDS:
            return []
        self._looked_at = time.monotonic()
        with suppress(KvcastError):  # then they count as held as before, until it is too late
            self._held = locked(self._pool, self._held)
        late_from = time.perf_counter() - QUEUE_SECONDS
        waiting, self._units, self.writes = self._units, [], 0
        freed: list[Unit] = []
        for unit in waiting:
            if unit.received_at < late_from:
                unit.finish([StorageUnavailable(HELD)] * len(unit.writes))
            elif not self.takes(unit):
                freed.append(unit)
        return freed
