"""What the promises of docs/guarantees.md forbid, found in what viewers and callers have recorded. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from kvcast.messages import Change


class Received(NamedTuple):
    """A frame as a viewer got it. told: it said that ticks are missing."""

    op: str
    key: str = ""
    rev: int = 0
    value: bytes | None = None
    told: bool = False


def not_durable(acknowledged: Iterable[Change], rows: Mapping[str, Change], ticks: Iterable[Change]) -> list[Change]:
    """Acknowledged writes that are gone: no tick has their rev and value, or the row is older."""
    kept = {(tick.key, tick.rev): tick.value for tick in ticks}
    return [
        change
        for change in acknowledged
        if kept.get((change.key, change.rev)) != change.value
        or change.key not in rows
        or rows[change.key].rev < change.rev
    ]


def phantoms(received: Iterable[Received], ticks: Iterable[Change]) -> list[Received]:
    """Values that were shown under a rev that never had them."""
    committed = {(tick.key, tick.rev): tick.value for tick in ticks}
    return [seen for seen in received if seen.rev and committed.get((seen.key, seen.rev), b"") != seen.value]


def went_back(received: Iterable[Received]) -> list[tuple[int, int]]:
    """(rev before, rev after) wherever a key was shown the same rev twice, or an older one."""
    newest: dict[str, int] = {}
    found = []
    for seen in received:
        if seen.rev:
            before = newest.get(seen.key, 0)
            if seen.rev <= before:
                found.append((before, seen.rev))
            newest[seen.key] = max(before, seen.rev)
    return found


class Missing(NamedTuple):
    """Revs that never came: announced by `recovered: false`, or not."""

    told: list[int]
    silent: list[int]


def missing(received: Sequence[Received], ticks: Sequence[Change]) -> Missing:
    """Which ticks of one key did not come in mode every, from the first that did to the last there is."""
    found = Missing([], [])
    revs = [tick.rev for tick in ticks]
    last: int | None = None
    told = False
    for seen in received:
        told = told or seen.told
        if seen.rev:
            if last is not None:
                (found.told if told else found.silent).extend(rev for rev in revs if last < rev < seen.rev)
            last, told = seen.rev, False
    found.silent.extend(rev for rev in revs if last is None or rev > last)
    return found


def too_old(reads: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """(asked, got) of the reads that are older than was asked for."""
    return [(asked, got) for asked, got in reads if got < asked]
