"""Clients that write: plain, under an Idempotency-Key, only over a certain rev, deletions, batches.

A write whose outcome is unknown is repeated only with its Idempotency-Key, as the client of kvcast does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from time import monotonic
from typing import TypeVar

import gevent
import msgspec

from kvcast.retries import full_jitter_seconds
from tests.checker.load.answers import answered_items, conditions, outcome
from tests.checker.load.http import Answer, Caller
from tests.checker.load.plan import READ_SECONDS, WRITE_SECONDS, Shared
from tests.checker.load.readers import get
from tests.checker.records import Add, Batch, Call, Delete, Item

RETRY_SECONDS = 10.0
BATCH_ITEMS = 12
REPEATS = 0.25  # of the acknowledged writes with an Idempotency-Key, which are sent once more
READS_ITS_OWN = 0.1
DUELS = 0.3  # of the writes over a certain rev
_DONE = (200, 404, 412)  # 404: of a deletion
C = TypeVar("C", bound=Call)


class Writer:
    def __init__(self, shared: Shared, number: int) -> None:
        self.who = f"{shared.plan.name}.w{number}"
        self._shared = shared
        self._random = shared.random(self.who)
        self._call = shared.caller(shared.plan.write, number, WRITE_SECONDS)
        self._rival = shared.caller(shared.plan.write, number + 1, WRITE_SECONDS)
        self._read = shared.caller(shared.plan.read, number, READ_SECONDS) if shared.plan.read else None
        self._sequence = 0
        self.written = 0  # acknowledged, repeats apart
        self._moves: Sequence[tuple[Callable[[], None], float]] = (
            (self._plain, 0.60), (self._named, 0.12), (self._compare, 0.14), (self._delete, 0.04), (self._batch, 0.10),
        )

    def run(self, writes_per_second: float) -> None:
        """Until the load stops. Each move is as far from the next as its acknowledged writes, one at least, last."""
        due = monotonic()
        moves, weights = zip(*self._moves, strict=True)
        while not self._shared.stopping.is_set():
            before = self.written
            self._random.choices(moves, weights)[0]()
            due += max(1, self.written - before) / writes_per_second * self._random.uniform(0.5, 1.5)
            now = monotonic()
            due = max(due, now - 1)  # what a fault held up is not made up for
            self._shared.stopping.wait(max(0.0, due - now))

    def write_first(self, number: int) -> None:
        """Make a key, so that all there is to read and watch is there when the load begins."""
        self._add(number)

    def _value(self) -> str:
        self._sequence += 1
        return f"{self.who}:{self._sequence}"

    def _key(self) -> int:
        """Some keys are hotter than others."""
        return int(self._shared.plan.keys * self._random.random() ** 1.5)

    def _id(self) -> str:
        return f"{self.who}-{self._sequence}"

    def _plain(self) -> None:
        self._add(self._key())

    def _named(self) -> None:
        self._add(self._key(), named=True)

    def _compare(self) -> None:
        """Over the rev that is current as far as is known; some with a rival at another server, of whom one may win."""
        number = self._key()
        if_rev = 0 if number in self._shared.absent else self._shared.newest.get(number, 0)
        named = self._random.random() < 0.5
        if self._random.random() < DUELS:
            rival = gevent.spawn(self._add, number, if_rev=if_rev, call=self._rival)
            self._add(number, named=named, if_rev=if_rev)
            rival.join()
        else:
            self._add(number, named=named, if_rev=if_rev)

    def _add(
        self, number: int, *, named: bool = False, if_rev: int | None = None, call: Caller | None = None
    ) -> None:
        plan = self._shared.plan
        key, value, category = plan.key(number), self._value(), plan.category(number)
        identity = self._id() if named else ""
        body = msgspec.json.encode({"key": key, "value": value, "category": category})
        send = partial(call or self._call, "POST", "/add", body, conditions(identity, if_rev))

        def record(answer: Answer) -> Add:
            parts = outcome(self.who, answer)
            return Add(**parts, id=identity, key=key, value=value, category=category, if_rev=if_rev)

        done = self._attempt(send, record, may_repeat=named)
        if done is not None:
            self._shared.acknowledged(number, done.rev)
            self.written += 1
            if call is None and self._read is not None and self._random.random() < READS_ITS_OWN:
                get(self._shared, self._read, self.who, number, min_rev=done.rev)

    def _delete(self) -> None:
        number = self._key()
        key = self._shared.plan.key(number)
        named = self._random.random() < 0.5
        self._sequence += 1
        identity = self._id() if named else ""
        if_rev = self._shared.newest.get(number) if self._random.random() < 0.3 else None
        send = partial(self._call, "DELETE", f"/keys/{key}", None, conditions(identity, if_rev))

        def record(answer: Answer) -> Delete:
            return Delete(**outcome(self.who, answer), id=identity, key=key, if_rev=if_rev)

        done = self._attempt(send, record, may_repeat=named)
        if done is not None:
            self._shared.acknowledged(number, done.rev, deleted=True)
            self.written += 1

    def _batch(self) -> None:
        plan = self._shared.plan
        numbers = [self._key() for _ in range(BATCH_ITEMS - 1)]
        numbers.append(self._random.choice(numbers))  # a key twice
        items = [Item(plan.key(number), self._value(), plan.category(number)) for number in numbers]
        identity = self._id() if self._random.random() < 0.3 else ""
        body = msgspec.json.encode([{"key": one.key, "value": one.value, "category": one.category} for one in items])
        send = partial(self._call, "POST", "/batch", body, conditions(identity, None))

        def record(answer: Answer) -> Batch:
            made = answered_items(items, answer) if answer.status == 200 else items
            return Batch(**outcome(self.who, answer), id=identity, items=made)

        done = self._attempt(send, record, may_repeat=bool(identity))
        if done is not None:
            for number, item in zip(numbers, done.items, strict=True):
                self._shared.acknowledged(number, item.rev)
                self.written += item.rev > 0

    def _attempt(self, send: Callable[[], Answer], record: Callable[[Answer], C], *, may_repeat: bool) -> C | None:
        """Call until it is decided, or for RETRY_SECONDS; what was done, if anything."""
        for wait in self._waits():
            answer = send()
            call = record(answer)
            self._shared.called("write", call, good=answer.status in _DONE)
            if answer.status == 200:
                if may_repeat and self._random.random() < REPEATS:
                    answer = send()
                    self._shared.called("write", record(answer), good=answer.status in _DONE)
                return call
            if (call.unknown and not may_repeat) or 400 <= answer.status < 429:
                break
            gevent.sleep(max(wait, answer.retry_after_seconds))
        return None

    def _waits(self) -> Iterator[float]:
        """Seconds after each failed attempt."""
        begun = monotonic()
        attempt = 0
        while not attempt or monotonic() - begun < RETRY_SECONDS:
            attempt += 1
            yield full_jitter_seconds(attempt, 0.05, 1.0)
