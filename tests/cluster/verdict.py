"""What a load's records say, held against what the store has: lost, late, failed."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from functools import cached_property
from itertools import pairwise

from kvcast.messages import Change
from tests.cluster.records import Acknowledged, Failure, Kind, Records, Viewer
from tests.faults.checker import Missing, Received, missing, not_durable, phantoms, went_back

WRITES: tuple[Kind, ...] = ("add", "batch")


class Verdict:
    """rows, ticks: what the store answers of the load's keys after its end."""

    def __init__(self, records: Records, rows: dict[str, Change], ticks: list[Change]) -> None:
        self.records = records
        self._rows = rows
        self._ticks = ticks

    @cached_property
    def lost_writes(self) -> list[Change]:
        """Acknowledged, and gone."""
        changes = (_change(written) for written in self.records.acknowledged)
        return not_durable(changes, self._rows, self._ticks)

    @cached_property
    def lost_updates(self) -> list[tuple[str, int]]:
        """What a viewer never saw, nor was told that it is missing: each tick in mode every, the last in latest."""
        found = []
        for viewer in self.records.viewers:
            for key in viewer.keys:
                if viewer.mode == "every":
                    found += [(key, rev) for rev in self._missing(viewer, key).silent]
                elif _last(viewer, key) < self._rows[key].rev:
                    found.append((key, self._rows[key].rev))
        return found

    @cached_property
    def told_missing(self) -> int:
        """Ticks of mode every that viewers were told are missing."""
        every = (viewer for viewer in self.records.viewers if viewer.mode == "every")
        return sum(len(self._missing(viewer, key).told) for viewer in every for key in viewer.keys)

    @cached_property
    def went_back(self) -> list[tuple[int, int]]:
        return [step for viewer in self.records.viewers for step in went_back(_received(viewer))]

    @cached_property
    def phantoms(self) -> list[Received]:
        return [seen for viewer in self.records.viewers for seen in phantoms(_received(viewer), self._ticks)]

    def failed(self, *kinds: Kind) -> list[Failure]:
        return [failure for failure in self.records.failures if failure.kind in kinds]

    @cached_property
    def closes(self) -> Counter[int]:
        """Sockets that the other side closed, by code."""
        return Counter(event.rev for viewer in self.records.viewers for event in viewer.events if event.op == "closed")

    @cached_property
    def refused(self) -> list[str]:
        """Connections that could not be opened."""
        events = (event for viewer in self.records.viewers for event in viewer.events)
        return [f"{event.rev} {event.text}" for event in events if event.op == "refused"]

    @cached_property
    def silent(self) -> int:
        return sum(event.op == "silent" for viewer in self.records.viewers for event in viewer.events)

    @cached_property
    def behind_seconds(self) -> float:
        """The longest that any viewer needed from an acknowledgement until it showed that rev, or a newer one."""
        written: dict[str, list[Acknowledged]] = defaultdict(list)
        for one in self.records.acknowledged:
            written[one.key].append(one)
        return max(
            (_behind(viewer, key, written[key]) for viewer in self.records.viewers for key in viewer.keys), default=0.0
        )

    def pause_seconds(self, *kinds: Kind) -> float:
        """The longest time without a good answer to such calls."""
        times = sorted(answer.at for answer in self.records.answered if answer.kind in kinds)
        return max((later - earlier for earlier, later in pairwise(times)), default=0.0)

    def slowest_seconds(self, *kinds: Kind) -> float:
        return max((answer.seconds for answer in self.records.answered if answer.kind in kinds), default=0.0)

    def answered(self, *kinds: Kind) -> int:
        return sum(answer.kind in kinds for answer in self.records.answered)

    def assert_promises_kept(self) -> None:
        """Whatever failed meanwhile."""
        assert not self.lost_writes
        assert not self.lost_updates
        assert not self.went_back
        assert not self.phantoms
        assert not self.records.too_old

    def _missing(self, viewer: Viewer, key: str) -> Missing:
        of_key = [seen for seen in _received(viewer) if seen.key in (key, "")]
        return missing(of_key, [tick for tick in self._ticks if tick.key == key])


def _change(written: Acknowledged) -> Change:
    return Change(written.key, str(written.value).encode(), "default", written.rev, 0, "")


def _received(viewer: Viewer) -> list[Received]:
    return [
        Received(event.op, event.key, event.rev, event.value.encode() if event.value is not None else None, event.told)
        for event in viewer.events
        if event.op in ("snap", "upd", "del", "subbed")
    ]


def _last(viewer: Viewer, key: str) -> int:
    return max((event.rev for event in viewer.events if event.key == key), default=0)


def _behind(viewer: Viewer, key: str, written: list[Acknowledged]) -> float:
    seen = [event for event in viewer.events if event.key == key]
    revs = [event.rev for event in seen]  # ascending, which went_back holds them to
    first = min(revs, default=0)
    late = 0.0
    for one in written:
        if one.rev > first:  # it watched already
            place = bisect_left(revs, one.rev)
            late = max(late, seen[place].at - one.at) if place < len(seen) else float("inf")
    return late
