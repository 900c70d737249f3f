"""Time under faults, and how long something lasted without one. Pure. Nanoseconds."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from tests.checker.records import Fault

Span = tuple[int, int]


def united(spans: Iterable[Span]) -> list[Span]:
    """Sorted, with what overlaps or touches made one."""
    whole: list[Span] = []
    for begin, end in sorted(spans):
        if whole and begin <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(end, whole[-1][1]))
        else:
            whole.append((begin, end))
    return whole


def under_fault(faults: Iterable[Fault]) -> list[Span]:
    """From begin to end of each, by its name; one that never ended lasts for ever."""
    begun: dict[str, list[int]] = {}
    spans: list[Span] = []
    for fault in sorted(faults, key=lambda one: one.at):
        if fault.phase == "begin":
            begun.setdefault(fault.name, []).append(fault.at)
        elif begun.get(fault.name):
            spans.append((begun[fault.name].pop(), fault.at))
    spans += [(at, 2**63) for ats in begun.values() for at in ats]
    return united(spans)


class Clear:
    """The time outside `faults`, which are united."""

    def __init__(self, faults: list[Span]) -> None:
        self._begins = [begin for begin, _ in faults]
        self._ends = [end for _, end in faults]

    def longest(self, begin: int, end: int) -> Span:
        """The longest piece of [begin, end) without a fault: (its begin, its length)."""
        place = bisect_left(self._ends, begin)
        best = (begin, 0)
        at = begin
        while place < len(self._begins) and self._begins[place] < end:
            best = max(best, (at, self._begins[place] - at), key=lambda one: one[1])
            at = max(at, self._ends[place])
            place += 1
        return max(best, (at, end - at), key=lambda one: one[1])
