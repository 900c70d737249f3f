"""The way of a read: L1, then Redis, then PostgreSQL with a single flight for each key."""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Event

from kvcast.bus.cache import Cache, absent
from kvcast.bus.subscription import Subscription
from kvcast.bus.workers import WorkerReport
from kvcast.errors import BusUnavailable, KeyNotFound, KvcastError, Unavailable
from kvcast.messages import Change
from kvcast.metrics import READS
from kvcast.retries import may_repeat_reading, with_retries
from kvcast.storage import reads
from kvcast.storage.pool import Pool

from functions.read.l1 import L1, Entry, make_entry

_COUNTERS = {source: READS.labels(source) for source in ("l1", "redis", "database")}


class _Flight:
    """One fetch under way, with those who wait for it."""

    def __init__(self) -> None:
        self.landed = Event()
        self.found: tuple[Change, str] | None = None
        self.error: KvcastError | None = None


class Lookup:
    """Finds the newest change of a key in one epoch, and never one older than asked for."""

    def __init__(self, pool: Pool, cache: Cache, l1: L1, subscription: Subscription, report: WorkerReport) -> None:
        self._cache = cache
        self._l1 = l1
        self._subscription = subscription
        self._report = report
        self._flights: dict[str, _Flight] = {}
        self._pool = pool
        self._from_database = with_retries(reads.latest, attempts=3, most_seconds=2, only_if=may_repeat_reading)

    @property
    def epoch(self) -> str:
        return self._cache.epoch

    def start(self) -> None:
        self._subscription.start()

    def stop(self) -> None:
        self._subscription.stop()

    def held(self, key: str) -> Entry | None:
        """The live entry of `key` where it is in memory; `count_held` is to follow."""
        held = self._l1.get(key) if self._subscription.trusted else None
        return held if held is not None and _is_live(held.change) else None

    def count_held(self, number: int) -> None:
        _COUNTERS["l1"].inc(number)
        self._report.count("reads", number)

    def entry(self, key: str, min_rev: int = 0) -> Entry:
        """The live entry of `key`. Raises KeyNotFound, or Unavailable when `min_rev` is not reached yet."""
        if self._subscription.trusted:
            held = self._l1.get(key)
            if held is not None and held.change.rev >= min_rev:
                self.count_held(1)
                return _live(held)
        change, source = self._fetch_shared(key, min_rev) if not min_rev else self._fetch(key, min_rev)
        self._count(source)
        if change.rev < min_rev:
            raise Unavailable(
                f"Rev {min_rev} of {key!r} is not known here; it was written to another store, or try again.",
                code="rev_not_reached", detail={"rev": change.rev},
            )
        return _live(make_entry(change, source))

    def entries(self, keys: Sequence[str]) -> dict[str, Entry]:
        """The live entries among `keys`, with one call to Redis and one to PostgreSQL at most."""
        found: dict[str, Entry] = {}
        if self._subscription.trusted:
            found = {key: held for key in keys if (held := self._l1.get(key)) is not None}
        for source, fetch in (("redis", self._many_from_cache), ("database", self._many_from_database)):
            missing = [key for key in keys if key not in found]
            if missing:
                found |= {key: make_entry(change, source) for key, change in fetch(missing).items()}
        for entry in found.values():
            self._count(entry.headers[-1][1])
        return {key: found[key] for key in keys if key in found and _is_live(found[key].change)}

    def _many_from_cache(self, keys: list[str]) -> dict[str, Change]:
        try:
            changes = self._cache.get(keys)
        except BusUnavailable:
            return {}
        return {key: change for key, change in zip(keys, changes, strict=True) if change is not None}

    def _many_from_database(self, keys: list[str]) -> dict[str, Change]:
        rows = self._from_database(self._pool, keys)
        self._fill(list(rows.values()), [key for key in keys if key not in rows])
        return rows

    def _fetch_shared(self, key: str, min_rev: int) -> tuple[Change, str]:
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight()
            try:
                flight.found = self._fetch(key, min_rev)
            except KvcastError as error:
                flight.error = error
            finally:
                del self._flights[key]
                flight.landed.set()
        else:
            flight.landed.wait()
        if flight.found is None:
            raise flight.error or Unavailable("The lookup was cut off; try again.")
        return flight.found

    def _fetch(self, key: str, min_rev: int) -> tuple[Change, str]:
        self._l1.begin(key)
        change: Change | None = None
        try:
            change, source = self._newest(key, min_rev)
        finally:
            if change is None:
                self._l1.abandon(key)
            else:
                self._l1.put(key, change)
        return change, source

    def _newest(self, key: str, min_rev: int) -> tuple[Change, str]:
        try:
            cached = self._cache.get([key])[0]
            if cached is not None and cached.rev >= min_rev:
                return cached, "redis"
        except BusUnavailable:
            pass
        rows = self._from_database(self._pool, [key])
        self._fill(list(rows.values()), [] if rows else [key])
        return rows.get(key) or absent(key), "database"

    def _fill(self, changes: list[Change], absent_keys: list[str]) -> None:
        try:
            self._cache.fill(changes)
            self._cache.fill_absent(absent_keys)
        except BusUnavailable:
            pass

    def _count(self, source: str) -> None:
        _COUNTERS[source].inc()
        self._report.count("reads")


def _is_live(change: Change) -> bool:
    return change.value is not None and not (change.expires_ms and change.expires_ms <= time.time() * 1000)


def _live(entry: Entry) -> Entry:
    if not _is_live(entry.change):
        raise KeyNotFound(f"There is no key {entry.change.key!r}; POST /add makes it.")
    return entry
