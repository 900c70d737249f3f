"""Group commit: what arrives while a commit is running is written with the next one.

One commit costs a flush to disk however many rows it has, so at 64 callers this is worth a factor of ten over
a commit for each.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from threading import Event, Lock
from typing import Protocol

from kvcast.bus.cache import Cache
from kvcast.errors import Conflict, InternalError, InvalidValue, KvcastError, OutcomeUnknown, Overloaded, RowLocked
from kvcast.loops import start_loop
from kvcast.messages import Change, Write
from kvcast.metrics import COMMIT_SECONDS, COMMITS, GROUP_SIZE
from kvcast.retries import may_repeat, with_retries
from kvcast.storage import reads
from kvcast.storage.pool import Pool
from kvcast.storage.writes import Statements, commit_all

from functions.write.aside import LOOK_SECONDS, Aside
from functions.write.publisher import Publisher
from functions.write.turns import Turns
from functions.write.unit import QUEUE_SECONDS, Result, Unit, size_of

GROUP_MOST_WRITES = 2000
GROUP_LEAST_WRITES = 50
COMMIT_SECONDS_WANTED = 0.5  # a larger group would run into the statement's timeout, with all its writes
WAIT_SECONDS = 10.0  # in all
FULL = "More writes wait than can be committed soon; nothing was applied, try again."
SLOW = "The store commits too slowly for all that is written; nothing was applied, try again."
LATE = "The commit is late: its outcome is not known; repeat with the same Idempotency-Key."
_log = logging.getLogger(__name__)


class Room(Protocol):
    """Says whether the store may take new keys."""

    def full(self) -> bool: ...


class _Awaited(Unit):
    """A unit whose greenlet waits for it."""

    __slots__ = ("_claim", "_done", "_results")

    def __init__(self, writes: Sequence[Write]) -> None:
        super().__init__(writes)
        self._results: list[Result] = []
        self._claim = Lock()  # of whoever commits it, or of whoever waits no longer for that to begin
        self._done = Event()

    def begin(self) -> bool:
        return self._claim.acquire(blocking=False)

    def finish(self, results: list[Result]) -> None:
        self._results = results
        self._done.set()

    def wait(self) -> list[Result]:
        if self._done.wait(QUEUE_SECONDS):
            return self._results
        if self._claim.acquire(blocking=False):
            raise Overloaded(SLOW)
        if not self._done.wait(WAIT_SECONDS - QUEUE_SECONDS):
            raise OutcomeUnknown(LATE)
        return self._results


class Committer:
    """queue_max: writes that may wait; more are refused at once, so that waiting stays bounded."""

    def __init__(self, pool: Pool, statements: Statements, publisher: Publisher, *, queue_max: int, room: Room) -> None:
        self._pool = pool
        self._publisher = publisher
        self._room = room
        self._queue_max = queue_max
        self._waiting = 0
        self._group_most = GROUP_MOST_WRITES
        self._turns = Turns(QUEUE_SECONDS)
        self._queue: SimpleQueue[Unit] = SimpleQueue()
        self._aside = Aside(pool)
        self._statements = statements
        self._commit = with_retries(
            commit_all, attempts=3, most_seconds=1.0,
            only_if=lambda error: may_repeat(error) and not isinstance(error, RowLocked),
        )

    def start(self) -> None:
        start_loop("committer", self._run_for_ever)

    def submit(self, writes: Sequence[Write]) -> list[Result]:
        """Commit `writes`; return one result for each when they are committed and published.

        Raises Overloaded when too many wait or the turn does not come, OutcomeUnknown when the commit is late.
        """
        if not writes:
            return []
        unit = _Awaited(writes)
        self.queue(unit)
        return unit.wait()

    def queue(self, unit: Unit) -> None:
        """Have `unit` committed and finished. Raises Overloaded when too many wait."""
        if self._waiting + self._aside.writes + len(unit.writes) > self._queue_max:
            raise Overloaded(FULL)
        if not self._turns.in_time(self._waiting):
            raise Overloaded(SLOW)
        self._waiting += len(unit.writes)
        self._queue.put(unit)

    def _run_for_ever(self) -> None:
        while True:
            units = self._gather()
            size = size_of(units)
            try:
                began = time.monotonic()
                if units:
                    self._turns.began(size, self._group_most)
                    self._commit_units(units)
                    self._suit(size, time.monotonic() - began)
            except Exception as error:  # whatever it is, nobody may wait for ever, and the next group is due
                _log.exception("A group commit failed for a reason that nobody foresaw")
                self._fail(units, InternalError(f"The write failed ({type(error).__name__}); it was logged."))
            finally:
                self._turns.ended()
                self._waiting -= size

    def _gather(self) -> list[Unit]:
        """What waits and is still wanted, after what has waited aside; nothing where that is still held."""
        units = self._aside.freed()
        size = size_of(units)
        self._waiting += size
        while size < self._group_most:
            try:
                unit = self._queue.get(block=not units, timeout=LOOK_SECONDS if self._aside.writes else None)
            except Empty:
                break
            if unit.begin() and not self._aside.takes(unit):
                units.append(unit)
                size += len(unit.writes)
            else:
                self._waiting -= len(unit.writes)
        return units

    def _suit(self, writes: int, seconds: float) -> None:
        """Smaller groups for a store that is slow, larger ones when it no longer is. A failed commit counts as well."""
        if seconds > COMMIT_SECONDS_WANTED:
            self._group_most = max(GROUP_LEAST_WRITES, int(writes * COMMIT_SECONDS_WANTED / seconds))
        elif self._group_most < GROUP_MOST_WRITES:
            self._group_most = min(GROUP_MOST_WRITES, self._group_most * 2)

    def _commit_units(self, units: list[Unit], *, patiently: bool = False) -> None:
        writes = [write for unit in units for write in unit.writes]
        started = time.perf_counter()
        into = self._publisher.cache
        try:
            refused = self.refused(writes)
            accepted = [write for index, write in enumerate(writes) if index not in refused]
            changes = self._commit(self._pool, self._statements, accepted, patiently=patiently) if accepted else []
        except RowLocked:
            self._commit_the_free(units)
            return
        except (InvalidValue, InternalError) as error:
            if len(units) == 1:
                self._fail(units, error)
            else:  # one request must not spoil the others': each for itself
                for unit in units:
                    self._commit_units([unit])
            return
        except KvcastError as error:
            self._fail(units, error)
            return
        COMMIT_SECONDS.observe(time.perf_counter() - started)
        COMMITS.inc()
        GROUP_SIZE.observe(len(writes))
        self._hand_over(units, refused, changes, into)

    def _commit_the_free(self, units: list[Unit]) -> None:
        """Commit those whose rows nobody holds; the others wait aside."""
        try:
            found = self._aside.look(units)
        except KvcastError as error:
            self._fail(units, error)
            return
        if not found:  # it is free by now, or what holds it is no row that can be seen
            self._commit_units(units, patiently=True)
            return
        free = [unit for unit in units if not self._aside.takes(unit)]
        if free:
            self._commit_units(free)

    def refused(self, writes: Sequence[Write]) -> dict[int, KvcastError]:
        """Index -> error of the writes that would make a key beyond the store's limit."""
        if not writes or not self._room.full():
            return {}
        known = reads.latest(self._pool, list({write.key for write in writes}))
        return {
            index: Conflict(
                "The store holds as many keys as it may (KVCAST_MAX_KEYS); delete some first.", code="too_many_keys"
            )
            for index, write in enumerate(writes)
            if write.key not in known or known[write.key].value is None
        }

    def _hand_over(
        self, units: list[Unit], refused: dict[int, KvcastError], changes: list[Change], into: Cache
    ) -> None:
        remaining = iter(changes)
        index = 0
        finished: list[tuple[Unit, list[Result]]] = []
        for unit in units:
            results: list[Result] = []
            for _ in unit.writes:
                results.append(refused[index] if index in refused else next(remaining))
                index += 1
            finished.append((unit, results))

        def answer() -> None:
            for unit, results in finished:
                unit.finish(results)

        written = [unit for unit, results in finished if any(isinstance(result, Change) for result in results)]
        self._publisher.publish(changes, into, answer, [unit.received_at for unit in written])

    def _fail(self, units: list[Unit], error: KvcastError) -> None:
        for unit in units:
            unit.finish([error] * len(unit.writes))
