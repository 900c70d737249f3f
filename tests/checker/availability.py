"""When calls were answered, and how long none was though some were made."""

from __future__ import annotations

from array import array
from itertools import pairwise
from typing import Literal

from tests.checker.findings import Finding
from tests.checker.history import Ref
from tests.checker.records import Call
from tests.checker.staleness import Staleness

GAP_SECONDS = 0.25
_DONE = (200, 304, 404, 412)


class Availability:
    """Of one kind of call. A refusal that is the caller's doing counts as done."""

    def __init__(self, kind: Literal["write", "read"]) -> None:
        self.kind = kind
        self.good = array("q")
        self._failed: list[tuple[int, Ref]] = []  # when it was sent, and the record

    def take(self, call: Call) -> None:
        if call.status in _DONE:
            self.good.append(call.at)
        elif call.code != "rev_not_reached":
            self._failed.append((call.sent_at, (call.who, call.at)))

    def unavailable_seconds(self) -> float:
        """From the first good answer to the last one."""
        ats = sorted(self.good)
        return unavailable_seconds(ats, ats[0], ats[-1]) if ats else 0.0

    def gaps(self) -> list[tuple[int, int, Ref]]:
        """(begin, end, the first call that failed in it) of each time in which calls were made and none did well."""
        until = max([*(at for _, (_, at) in self._failed), *self.good[-1:]], default=0)
        failed = sorted(self._failed, reverse=True)
        found = []
        for earlier, later in pairwise([*sorted(self.good), until]):
            while failed and failed[-1][0] < earlier:
                failed.pop()
            if failed and failed[-1][0] < later:
                found.append((earlier, later, failed[-1][1]))
        return found


def available(staleness: Staleness, *kinds: Availability) -> Finding:
    """Without a fault, calls are answered: nobody waits for longer than anybody may be stale."""
    finding = Finding("available", "calls that were answered")
    for kind in kinds:
        finding.checked += len(kind.good)
        for begin, end, ref in kind.gaps():
            _, lasted = staleness.clear.longest(begin, end)
            if lasted > staleness.within:
                finding.broken(f"no {kind.kind} was answered for {lasted / 1e9:.3f} s without a fault", ref)
    return finding


def unavailable_seconds(ats: list[int], begun: int, ended: int) -> float:
    """Of each gap between good answers what exceeds GAP_SECONDS, summed."""
    return sum(max(0.0, gap - GAP_SECONDS) for gap in gaps_seconds(ats, begun, ended))


def gaps_seconds(ats: list[int], begun: int, ended: int) -> list[float]:
    return [(later - earlier) / 1e9 for earlier, later in pairwise([begun, *sorted(ats), ended])]
