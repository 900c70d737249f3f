"""Histories made by hand, for the tests of the checker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kvcast.messages import Change
from tests.checker import records
from tests.checker.recording import Recorder
from tests.checker.records import (
    Add,
    Batch,
    Closed,
    Delete,
    End,
    Fault,
    Get,
    Got,
    Hello,
    Open,
    Record,
    Seen,
    Subbed,
)
from tests.checker.verdict import Verdict, check

SECOND = 1_000_000_000
MILLISECOND = 1_000_000


class Story:
    """Tell what happened in order: each step is a hundredth of a second after the last one, or `later` seconds more.

    ticks: what the database has, where a test says so.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._records: list[Record] = []
        self.at = 1000 * SECOND
        self.ticks: list[Change] = []

    def later(self, seconds: float) -> None:
        self.at += int(seconds * SECOND)

    def _note(self, kind: type[Record], who: str, **parts: Any) -> None:
        self.at += 10 * MILLISECOND
        self._records.append(kind(at=self.at, who=who, **parts))

    def add(self, value: str, rev: int = 0, key: str = "k", status: int = 200, **parts: Any) -> None:
        """By the writer before the colon of `value`."""
        self._note(
            Add, value.partition(":")[0], key=key, value=value, rev=rev, status=status, took=5 * MILLISECOND, **parts
        )

    def batch(self, *items: tuple[str, str, int], status: int = 200, **parts: Any) -> None:
        made = [records.Item(key, value, "", rev) for key, value, rev in items]
        self._note(Batch, "w", items=made, status=status, took=5 * MILLISECOND, **parts)

    def delete(self, rev: int = 0, key: str = "k", status: int = 200, **parts: Any) -> None:
        self._note(Delete, "w", key=key, rev=rev, status=status, took=5 * MILLISECOND, **parts)

    def get(self, rev: int = 0, value: str | None = None, key: str = "k", status: int = 200, **parts: Any) -> None:
        self._note(Get, "r", key=key, rev=rev, value=value, status=status, took=5 * MILLISECOND, **parts)

    def watch(self, who: str = "v", *, since: dict[str, int] | None = None, told: bool = False, **parts: Any) -> None:
        """Connects, asks and is answered; `show` what comes before the answer by `shows`."""
        shows = parts.pop("shows", ())
        absent = parts.pop("absent", [])
        parts.setdefault("keys", ["k"])
        self._note(Hello, who, epoch=parts.pop("epoch", "e"))
        self._note(Open, who, since=since or {}, epoch="e" if since else "", **parts)
        for op, rev, value, *recovered in shows:
            self.show(rev, value, who, op=op, recovered=recovered != [False])
        self._note(Subbed, who, keys=parts["keys"], absent=absent, recovered=not told)

    def show(
        self, rev: int, value: str | None, who: str = "v", key: str = "k", op: Any = "upd", *, recovered: bool = True
    ) -> None:
        self._note(Got, who, changes=[Seen("del" if value is None else op, key, rev, value, recovered)])

    def told(self, who: str = "v", key: str = "k") -> None:
        self._note(Subbed, who, keys=[key], recovered=False)

    def leave(self, who: str = "v", by: Any = "client", code: int = 0) -> None:
        self._note(Closed, who, by=by, code=code)

    def fault(self, phase: Any, **parts: Any) -> None:
        self._note(Fault, "faults", name="a fault", phase=phase, **parts)

    def tick(self, rev: int, value: str | None, prev: int = 0, key: str = "k") -> None:
        text = None if value is None else f'"{value}"'.encode()
        self.ticks.append(Change(key, text, "default", rev, prev, ""))

    def verdict(self, rows: dict[str, Change] | None = None) -> Verdict:
        self._note(End, "story")
        with Recorder(self._folder / "story.jsonl") as recorder:
            for record in self._records:
                recorder(record)
        return check(self._folder, rows, self.ticks or None)

    def verdict_with_ticks(self) -> Verdict:
        """The rows are the last ticks."""
        return self.verdict({tick.key: tick for tick in sorted(self.ticks, key=lambda tick: tick.rev)})
