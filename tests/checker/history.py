"""A recorded history, as the checks ask for it: all in memory but the reads, which are a stream."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator
from pathlib import Path

from tests.checker import recording, records
from tests.checker.records import Add, Batch, Closed, Delete, End, Fault, Get, Got, Hello, Open, Refused, Subbed
from tests.checker.spans import Clear, under_fault, united

Ref = tuple[str, int]  # (who, at): finds a record again
_GET = b'{"what":"get"'


class Shown:
    """What one connection was shown of one key, in order. told: of the revs those that said that ticks are missing."""

    __slots__ = ("ats", "revs", "told")

    def __init__(self) -> None:
        self.ats = array("q")
        self.revs = array("q")
        self.told: tuple[int, ...] = ()


class Connection:
    """From asking for something to the end. subbed_at: 0 where it never came so far."""

    def __init__(self, asked: Open, epoch: str) -> None:
        self.asked = asked
        self.epoch = epoch
        self.shown: dict[str, Shown] = {}
        self.told: list[Subbed] = []
        self.closed: Closed | None = None

    @property
    def who(self) -> str:
        return self.asked.who

    @property
    def subbed_at(self) -> int:
        return self.told[0].at if self.told else 0

    @property
    def since(self) -> dict[str, int]:
        return self.asked.since if self.asked.epoch in ("", self.epoch) else {}

    def got(self, message: Got) -> None:
        for change in message.changes:
            shown = self.shown.get(change.key)
            if shown is None:
                shown = self.shown[change.key] = Shown()
            shown.ats.append(message.at)
            shown.revs.append(change.rev)
            if not change.recovered:
                shown.told += (change.rev,)


class History:
    """Raises FileNotFoundError, or msgspec.DecodeError for a line that is no record."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writes: list[Add | Delete | Batch] = []
        self.connections: list[Connection] = []
        self.faults: list[Fault] = []
        self.ends: list[End] = []
        self.categories: dict[str, str] = {}
        self.keys: set[str] = set()  # that were written
        self.first_at = 2**63
        self.last_at = 0
        self._open: dict[str, Connection] = {}
        self._epochs: dict[str, str] = {}  # viewer -> of its last hello
        self._seen: dict[tuple[str, int], tuple[str | None, Ref]] = {}
        self.contradictions: list[tuple[str, int, Ref, Ref]] = []  # (key, rev, ...) shown with two values
        self.shown_count = 0
        self.records = 0  # but for the reads
        self.faults.extend(_faults(folder))
        self.void = united((fault.voids_from, fault.at) for fault in self.faults if fault.voids_from)
        for line in recording.lines(folder):
            if not line.startswith(_GET):
                self._take(records.decoder.decode(line))
        self.writes.sort(key=lambda call: call.at)
        self.clear = Clear(united([*under_fault(self.faults), *self.void]))

    def voided(self, begin: int, end: int) -> bool:
        """Whether a restored backup took back what happened then."""
        return any(begin <= until and end >= since for since, until in self.void)

    def gets(self) -> Iterator[Get]:
        for line in recording.lines(self.folder):
            if line.startswith(_GET) or b'"what":"get"' in line:
                record = records.decoder.decode(line)
                if isinstance(record, Get) and not self.voided(record.sent_at, record.at):
                    yield record

    def seen(self) -> Iterator[tuple[str, int, str | None, Ref]]:
        """(key, rev, value, first shown where) of all that viewers were shown."""
        for (key, rev), (value, ref) in self._seen.items():
            yield key, rev, value, ref

    def _take(self, record: records.Any) -> None:
        self.records += 1
        self.first_at = min(self.first_at, record.at)
        self.last_at = max(self.last_at, record.at)
        if isinstance(record, Got):
            self._got(record)
        elif isinstance(record, Add | Delete | Batch):
            if self.voided(record.sent_at, record.at):
                _forget_answer(record)
            self.writes.append(record)
            for item in record.items if isinstance(record, Batch) else (record,):
                self.keys.add(item.key)
                if not isinstance(item, Delete) and item.category:
                    self.categories[item.key] = item.category
        elif isinstance(record, End):
            self.ends.append(record)
        elif not isinstance(record, Fault):
            self._connection(record)

    def _connection(self, record: records.Any) -> None:
        if isinstance(record, Hello):
            self._epochs[record.who] = record.epoch
            if record.who in self._open:  # over events the server greets after the client has asked
                self._open[record.who].epoch = record.epoch
        elif isinstance(record, Open):
            connection = self._open[record.who] = Connection(record, self._epochs.get(record.who, ""))
            self.connections.append(connection)
        elif isinstance(record, Subbed) and record.who in self._open:
            self._open[record.who].told.append(record)
        elif isinstance(record, Closed) and record.who in self._open:
            self._open.pop(record.who).closed = record
        elif isinstance(record, Refused) and record.who in self._open:  # over events, or what it asked for
            self._open.pop(record.who).closed = Closed(at=record.at, who=record.who, by="refused")

    def _got(self, record: Got) -> None:
        if self.voided(record.at, record.at):
            return
        self._open[record.who].got(record)
        self.shown_count += len(record.changes)
        for change in record.changes:
            value, ref = self._seen.setdefault((change.key, change.rev), (change.value, (record.who, record.at)))
            if value != change.value:
                self.contradictions.append((change.key, change.rev, ref, (record.who, record.at)))

    def covered(self, connection: Connection, keys: Collection[str]) -> list[str]:
        """Which of `keys` a connection watches."""
        asked = connection.asked
        if not (asked.prefixes or asked.categories):
            return [key for key in asked.keys if key in keys]
        prefixes = tuple(asked.prefixes)
        return [
            key
            for key in keys
            if key.startswith(prefixes) or key in asked.keys or self.categories.get(key) in asked.categories
        ]


def _faults(folder: Path) -> Iterator[Fault]:
    for line in recording.lines(folder):
        if b'"fault"' in line:
            record = records.decoder.decode(line)
            if isinstance(record, Fault):
                yield record


def _forget_answer(call: Add | Delete | Batch) -> None:
    """Whether it is there still, only the database knows."""
    call.status, call.rev = 0, 0
    for item in call.items if isinstance(call, Batch) else ():
        item.rev = 0
