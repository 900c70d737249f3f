"""Group commit: what arrives while a commit is running is written with the next one.

One commit costs a flush to disk however many rows it has, so at 64 callers this is worth a factor of ten over
a commit for each.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from threading import Event
from typing import Protocol

from kvcast.bus.cache import Cache
from kvcast.errors import Conflict, InternalError, InvalidValue, KvcastError, OutcomeUnknown, Overloaded
from kvcast.loops import start_loop
from kvcast.messages import Change, Write
from kvcast.metrics import COMMIT_SECONDS, COMMITS, GROUP_SIZE
from kvcast.retries import with_retries
from kvcast.storage import reads
from kvcast.storage.pool import Pool
from kvcast.storage.writes import Statements, commit_all

from functions.write.publisher import Publisher

GROUP_MOST_WRITES = 2000
WAIT_SECONDS = 10.0
_log = logging.getLogger(__name__)

Result = Change | KvcastError


class Room(Protocol):
    """Says whether the store may take new keys."""

    def full(self) -> bool: ...


class Unit:
    """The writes of one request, committed together, in order."""

    def __init__(self, writes: Sequence[Write]) -> None:
        self.writes = writes
        self.received_at = time.perf_counter()
        self.results: list[Result] = []
        self._done = Event()

    def finish(self, results: list[Result]) -> None:
        self.results = results
        self._done.set()

    def wait(self) -> list[Result]:
        if not self._done.wait(WAIT_SECONDS):
            raise OutcomeUnknown("The commit is late: its outcome is not known; repeat with the same Idempotency-Key.")
        return self.results


class Committer:
    """queue_max: writes that may wait; more are refused at once, so that waiting stays bounded."""

    def __init__(self, pool: Pool, statements: Statements, publisher: Publisher, *, queue_max: int, room: Room) -> None:
        self._pool = pool
        self._publisher = publisher
        self._room = room
        self._queue_max = queue_max
        self._waiting = 0
        self._queue: SimpleQueue[Unit] = SimpleQueue()
        self._statements = statements
        self._commit = with_retries(commit_all, attempts=3, most_seconds=1.0)

    def start(self) -> None:
        start_loop("committer", self._run_for_ever)

    def submit(self, writes: Sequence[Write]) -> list[Result]:
        """Commit `writes`; return one result for each when they are committed and published.

        Raises Overloaded when too many wait, OutcomeUnknown when the commit is late.
        """
        if not writes:
            return []
        if self._waiting + len(writes) > self._queue_max:
            raise Overloaded("More writes wait than can be committed soon; nothing was applied, try again.")
        self._waiting += len(writes)
        unit = Unit(writes)
        self._queue.put(unit)
        return unit.wait()

    def _run_for_ever(self) -> None:
        while True:
            units = self._gather()
            try:
                self._commit_units(units)
            except Exception as error:  # whatever it is, nobody may wait for ever, and the next group is due
                _log.exception("A group commit failed for a reason that nobody foresaw")
                self._fail(units, InternalError(f"The write failed ({type(error).__name__}); it was logged."))
            finally:
                self._waiting -= sum(len(unit.writes) for unit in units)

    def _gather(self) -> list[Unit]:
        units = [self._queue.get()]
        size = len(units[0].writes)
        while size < GROUP_MOST_WRITES:
            try:
                units.append(self._queue.get_nowait())
            except Empty:
                break
            size += len(units[-1].writes)
        return units

    def _commit_units(self, units: list[Unit]) -> None:
        writes = [write for unit in units for write in unit.writes]
        started = time.perf_counter()
        into = self._publisher.cache
        try:
            refused = self.refused(writes)
            accepted = [write for index, write in enumerate(writes) if index not in refused]
            changes = self._commit(self._pool, self._statements, accepted) if accepted else []
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
