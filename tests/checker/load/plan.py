"""What a load does, and what its clients share: the keys, the newest acknowledged revs, the history."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from gevent.event import Event

from tests.checker.load.http import Caller, Route
from tests.checker.recording import Recorder
from tests.checker.records import Call, Record

GROUP_KEYS = 10
WRITE_SECONDS = 5.0
READ_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Rates are per second over all clients; a batch counts as the writes in it."""

    write: Sequence[str]
    read: Sequence[str]
    push: Sequence[str]
    token: str
    seed: int = 1
    seconds: float = 60.0
    writes_per_second: float = 500.0
    reads_per_second: float = 2000.0
    viewers: int = 200
    keys: int = 200
    writers: int = 32
    readers: int = 32
    settle_seconds: float = 20.0
    name: str = "load"

    @property
    def groups(self) -> int:
        return max(1, self.keys // GROUP_KEYS)

    def key(self, number: int) -> str:
        """Of `keys`. Each is in a group by its prefix, and in another one by its category."""
        return f"{self.prefix(number % self.groups)}k{number}"

    def prefix(self, group: int) -> str:
        return f"{self.name}.g{group}."

    def category(self, number: int) -> str:
        return f"{self.name}.c{number // self.groups % self.groups}"


@dataclass
class Shared:
    plan: Plan
    recorder: Recorder
    newest: dict[int, int] = field(default_factory=dict)  # key number -> the newest acknowledged rev
    absent: set[int] = field(default_factory=set)  # keys whose newest acknowledged change deleted them
    calls: Counter[str] = field(default_factory=Counter)  # kind and outcome
    good: dict[str, list[int]] = field(default_factory=lambda: {"write": [], "read": []})  # when calls succeeded
    stopping: Event = field(default_factory=Event)  # nobody begins anything more
    epochs: set[str] = field(default_factory=set)
    callers: list[Caller] = field(default_factory=list)

    def random(self, who: str) -> random.Random:
        """The same for a seed whatever the load is called."""
        return random.Random(f"{self.plan.seed}{who.removeprefix(self.plan.name)}")

    def caller(self, urls: Sequence[str], number: int, seconds: float) -> Caller:
        """A connection of a client's own."""
        self.callers.append(Caller(Route(urls, number), self.plan.token, seconds))
        return self.callers[-1]

    def close(self) -> None:
        """What is connected still."""
        for caller in self.callers:
            caller.close()

    def note(self, record: Record) -> None:
        self.recorder(record)

    def called(self, kind: str, call: Call, *, good: bool) -> None:
        """good: the function did its work, be it with a 404 or a 412."""
        self.recorder(call)
        code = f" {call.code}" if call.code else ""
        self.calls[f"{kind} {call.status}{code}"] += 1
        if good:
            self.good[kind].append(call.at)

    def greeted(self, epoch: str) -> None:
        """A push function has said so. Within a new epoch, after a restored backup, known revs mean nothing."""
        if epoch not in self.epochs:
            self.epochs.add(epoch)
            self.newest.clear()
            self.absent.clear()

    def acknowledged(self, number: int, rev: int, *, deleted: bool = False) -> None:
        if rev > self.newest.get(number, 0):
            self.newest[number] = rev
            (self.absent.add if deleted else self.absent.discard)(number)
