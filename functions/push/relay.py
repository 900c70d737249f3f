"""Bus and sweep into the hub: one subscription for each worker, and what repairs its losses."""

from __future__ import annotations

import logging
import random
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from threading import Event, Lock

from kvcast.bus.cache import Cache
from kvcast.bus.subscription import Subscription
from kvcast.config import Settings
from kvcast.errors import BusUnavailable, KvcastError
from kvcast.loops import start_loop
from kvcast.messages import Change, decode_record
from kvcast.metrics import GAPS, RESYNCS, SWEEP_FAILURES, SWEEP_REPAIRS
from kvcast.retries import may_repeat_reading, with_retries
from kvcast.storage import reads, sweeps
from kvcast.storage.pool import Pool

from functions.push.hub import Hub

GRACE_SECONDS = 0.15  # between a commit and its message, when all is well
PURGE_SECONDS = 60.0
LOOK_BACK_TRANSACTIONS = 10_000  # at the start: a writer may have died while no push worker ran
LAG_SECONDS = 10.0  # of writes that a Redis which takes over may lack
_HEARD_MOST = 200_000
_CHUNK = 1000
_log = logging.getLogger(__name__)


class Relay:
    """Of the epoch of `cache`: when `hub` has gone on to another one, it gets nothing from here any more.

    Raises what reading from `pool` raises.
    """

    def __init__(self, hub: Hub, pool: Pool, cache: Cache, settings: Settings) -> None:
        self._hub = hub
        self._pool = pool
        self._cache = cache
        self._settings = settings
        self._heard: OrderedDict[str, int] = OrderedDict()
        self._owed: sweeps.Position | None = None  # since when Redis may lack changes
        self._past: deque[tuple[float, sweeps.Position]] = deque()
        self._subscribed = False
        self._doubted = False  # it may lack, or have gone back behind, what was heard of it
        self._sweeping = Lock()
        self._ended = Event()
        self._position = sweeps.earlier(sweeps.position(pool), LOOK_BACK_TRANSACTIONS)
        self._subscription = Subscription(
            settings.redis_url, cache.channel, on_record=self.heard, on_up=self._resync_soon, on_down=self._doubt_redis
        )

    def start(self) -> None:
        self._hub.on_gap = self.fill_gap
        self._subscription.start()
        if self._settings.cured("sweep"):
            start_loop("sweep", self._sweep_for_ever)

    def stop(self) -> None:
        self._ended.set()
        self._subscription.stop()

    def heard(self, record: bytes) -> None:
        """A message of the bus."""
        change = decode_record(record)
        self._heard[change.key] = max(change.rev, self._heard.get(change.key, 0))
        self._heard.move_to_end(change.key)
        if len(self._heard) > _HEARD_MOST:
            self._heard.popitem(last=False)
        self._offer(change)

    def _offer(self, change: Change) -> bool:
        return self._hub.epoch == self._cache.epoch and self._hub.offer(change)

    def fill_gap(self, key: str, after: int, until: int) -> None:
        """Fetch the ticks between two revs, in the background."""
        start_loop("gap", lambda: self._fill_gap(key, after, until))

    def _fill_gap(self, key: str, after: int, until: int) -> None:
        ticks = []
        if self._settings.cured("gap"):
            read = with_retries(reads.ticks_after, attempts=3, most_seconds=2, only_if=may_repeat_reading)
            try:
                ticks = read(self._pool, key, after, self._settings.socket_queue_max, until)
            except KvcastError as error:
                _log.warning("Missing ticks of %s could not be read: %s", key, error.message)
        complete = self._hub.filled(key, ticks)
        GAPS.labels("filled" if complete else "told").inc()

    def _doubt_redis(self) -> None:
        # At the break as well as after it: `_past` moves on while Redis is away, which may be for long.
        self._doubted = True

    def _resync_soon(self) -> None:
        self._doubted = self._doubted or self._subscribed
        self._subscribed = True
        if self._settings.cured("resync"):
            start_loop("resync", self._resync)

    def _resync(self) -> None:
        """Re-read every watched key: what was published while nobody listened is lost."""
        keys = self._hub.watched_keys()
        if not keys:
            return
        RESYNCS.inc()
        read = with_retries(reads.latest, attempts=5, most_seconds=5, only_if=may_repeat_reading)
        try:
            for start in range(0, len(keys), _CHUNK):
                for change in read(self._pool, keys[start : start + _CHUNK]).values():
                    self._offer(change)
        except KvcastError as error:
            _log.warning("The re-read after a break of the bus is left to the sweep: %s", error.message)

    def _sweep_for_ever(self) -> None:
        purge_at = time.monotonic() + PURGE_SECONDS
        while not self._ended.wait(self._pause_seconds()):
            try:
                self.sweep()
            except KvcastError as error:
                SWEEP_FAILURES.inc()
                _log.warning("A sweep is put off: %s", error.message)
            if time.monotonic() > purge_at:
                purge_at = time.monotonic() + PURGE_SECONDS
                self._hub.purge()

    def _pause_seconds(self) -> float:
        """Until the next sweep. One that would come right before Redis may be asked again waits for that moment."""
        pause = self._settings.sweep_seconds * random.uniform(0.8, 1.2)
        refused = self._cache.breaker.open_for_seconds
        return refused if pause < refused < 2 * pause else pause

    def sweep(self) -> int:
        """Hand on what was committed and not heard of; returns how many changes that were."""
        with self._sweeping:
            self._remember()
            position, rows = sweeps.changed(self._pool, self._position)
            if position.epoch != self._cache.epoch:
                return 0  # a backup was restored, and the relay that comes after this one takes it up
            unheard = self._unheard(rows)
            if unheard:
                self._ended.wait(GRACE_SECONDS)
                unheard = self._unheard(unheard)
            taken = [self._repair(chunk) for chunk in _chunks(unheard)]
            if not all(taken):
                self._owe(self._position)
            self._position = position
            if self._owed and all(taken):
                self._pay(self._owed)
            return len(unheard)

    def _remember(self) -> None:
        """Keep where the last seconds began. After a break of the bus, what was heard since then may be gone again."""
        now = time.monotonic()
        self._past.append((now, self._position))
        while len(self._past) > 1 and self._past[1][0] <= now - LAG_SECONDS:
            self._past.popleft()
        if self._doubted:
            self._doubted = False
            self._heard.clear()
            self._owe(self._past[0][1])

    def _owe(self, since: sweeps.Position) -> None:
        if self._owed is None or int(since.xmin) < int(self._owed.xmin):
            self._owed = since

    def _pay(self, since: sweeps.Position) -> None:
        """Bring to Redis what it may lack since then: it may have come back with what it held before."""
        try:
            self._cache.ping()
        except BusUnavailable:
            return
        _, rows = sweeps.changed(self._pool, since)
        if all(self._repair(chunk) for chunk in _chunks(self._unheard(rows))):  # ends at the first that is refused
            self._owed = None

    def _unheard(self, rows: list[tuple[str, int]]) -> list[tuple[str, int]]:
        return [(key, rev) for key, rev in rows if self._heard.get(key, 0) < rev]

    def _repair(self, keys: list[str]) -> bool:
        """Hand the rows of `keys` to the hub and to Redis; whether Redis took them."""
        changes = list(reads.latest(self._pool, keys).values())
        offered = sum(self._offer(change) for change in changes)
        try:
            published = self._cache.publish(changes)
        except BusUnavailable:
            SWEEP_REPAIRS.inc(len(changes))
            return False
        SWEEP_REPAIRS.inc(max(offered, published))
        for change in changes:
            self._heard[change.key] = max(change.rev, self._heard.get(change.key, 0))
        return True


def _chunks(rows: list[tuple[str, int]]) -> Iterator[list[str]]:
    for start in range(0, len(rows), _CHUNK):
        yield [key for key, _ in rows[start : start + _CHUNK]]
