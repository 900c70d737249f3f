"""What is known to have been committed, and what each write was told."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from kvcast.messages import Change
from tests.checker.history import History, Ref
from tests.checker.records import Add, Batch, Call, Delete

DATABASE = "database"  # who, of what no client has seen


class Known(NamedTuple):
    """value: None for a deletion; ref: who saw it, a client before the database; stored: the database has it."""

    value: str | None
    ref: Ref
    stored: bool = False


class Attempt(NamedTuple):
    """One try of one write. rev: acknowledged, or 0; unknown: nobody said whether it was applied."""

    call: Call
    key: str
    rev: int
    unknown: bool

    @property
    def ref(self) -> Ref:
        return self.call.who, self.call.at


class Acknowledged:
    """Of one key, by rev: when it was acknowledged, and the first time of anything newer."""

    def __init__(self, acknowledged: Iterable[tuple[int, Ref]]) -> None:
        found = sorted(dict(sorted(acknowledged, key=lambda one: -one[1][1])).items())  # of repeats the first
        self.revs = [rev for rev, _ in found]
        self._first: list[tuple[int, str, int]] = []  # (at, who, rev) of the earliest from here on
        best: tuple[int, str, int] = (2**63, "", 0)
        for rev, (who, at) in reversed(found):
            best = min(best, (at, who, rev))
            self._first.append(best)
        self._first.reverse()

    def first_after(self, rev: int) -> tuple[int, str, int]:
        """(at, who, rev) of the earliest acknowledgement of anything newer than `rev`; at 2**63 where there is none."""
        place = bisect_right(self.revs, rev)
        return self._first[place] if place < len(self._first) else (2**63, "", 0)


class Truth:
    """rows: of the database in the end; ticks: all that it committed. None: clients alone tell.

    Keys that the history did not write are left out: they are not ours.
    """

    def __init__(
        self, history: History, rows: Mapping[str, Change] | None = None, ticks: Iterable[Change] | None = None
    ) -> None:
        self.rows = rows
        self.exact = ticks is not None
        self.attempts: dict[str, list[Attempt]] = defaultdict(list)  # by value
        self.deletions: dict[str, list[Attempt]] = defaultdict(list)  # by key
        self.known: dict[str, dict[int, Known]] = defaultdict(dict)
        self.contradictions: list[tuple[str, int, Ref, Ref]] = list(history.contradictions)
        for tick in ticks or ():
            if tick.key in history.keys:
                self.known[tick.key][tick.rev] = Known(text_of(tick.value), (DATABASE, 0), stored=True)
        for value, attempt in _attempts(history):
            if value is None:
                self.deletions[attempt.key].append(attempt)
            else:
                self.attempts[value].append(attempt)
            if attempt.rev:
                self.learn(attempt.key, attempt.rev, value, attempt.ref)
        for key, rev, value, ref in history.seen():
            self.learn(key, rev, value, ref)
        for row in (rows or {}).values():
            if row.key in history.keys:
                self.learn(row.key, row.rev, text_of(row.value), (DATABASE, 0))
        self.acknowledged = _acknowledged(self.attempts, self.deletions)
        self._sorted: dict[str, list[int]] = {}

    def learn(self, key: str, rev: int, value: str | None, ref: Ref) -> None:
        """Somebody has seen this."""
        held = self.known[key].get(rev)
        if held is None:
            self.known[key][rev] = Known(value, ref)
        elif held.value != value:
            self.contradictions.append((key, rev, held.ref, ref))
        elif held.ref[0] == DATABASE:
            self.known[key][rev] = held._replace(ref=ref)

    def between(self, key: str, after: int, before: int) -> list[int]:
        """Known revs of `key` with after < rev < before. Only when all is learnt."""
        revs = self._sorted.get(key)
        if revs is None:
            revs = self._sorted[key] = sorted(self.known[key])
        return revs[bisect_right(revs, after) : bisect_left(revs, before)]

    def absent_rev(self, key: str, at: int) -> int | None:
        """The newest rev that "there is no such key" may stand for at `at`; None: nobody can tell."""
        newest = 0
        for attempt in self.deletions.get(key, ()):
            if attempt.call.sent_at < at:
                if attempt.unknown:
                    return None
                newest = max(newest, attempt.rev)
        return newest


def text_of(value: bytes | None) -> str | None:
    """As viewers record a value: a JSON string without its quotes."""
    if value is None:
        return None
    text = value.decode()
    return text[1:-1] if text[:1] == '"' == text[-1:] else text


def _attempts(history: History) -> Iterator[tuple[str | None, Attempt]]:
    for call in history.writes:
        if isinstance(call, Add):
            yield call.value, Attempt(call, call.key, call.rev, call.unknown)
        elif isinstance(call, Delete):
            yield None, Attempt(call, call.key, call.rev, call.unknown)
        elif isinstance(call, Batch):
            for item in call.items:
                lost = item.code in ("outcome_unknown", "internal_error")
                yield item.value, Attempt(call, item.key, item.rev, call.unknown or lost)


def _acknowledged(*groups: Mapping[str, list[Attempt]]) -> dict[str, Acknowledged]:
    by_key: dict[str, list[tuple[int, Ref]]] = defaultdict(list)
    for group in groups:
        for attempts in group.values():
            for attempt in attempts:
                if attempt.rev:
                    by_key[attempt.key].append((attempt.rev, attempt.ref))
    return {key: Acknowledged(found) for key, found in by_key.items()}
