"""How long something acknowledged was not shown to somebody who was there to see it."""

from __future__ import annotations

from collections.abc import Sequence

from tests.checker.findings import Finding
from tests.checker.history import Ref
from tests.checker.records import Fault
from tests.checker.spans import Clear

NEVER = 2**63


class Staleness:
    """within: nanoseconds that anybody may be stale, faults apart.

    Time under a fault does not count: of each stale time the longest piece without one does.
    """

    def __init__(self, clear: Clear, faults: Sequence[Fault], within: int) -> None:
        self.clear = clear
        self.within = within
        self._fault_ends = sorted((fault.at, fault.name) for fault in faults if fault.phase == "end")
        self.converged: dict[int, int] = {at: 0 for at, _ in self._fault_ends}  # end of a fault -> nanoseconds after it
        self.back: dict[int, int] = dict(self.converged)  # and until the last viewer was connected again
        self.longest = 0

    def away(self, begin: int, end: int) -> None:
        """A viewer that had been cut off was away."""
        for at, _ in self._fault_ends:
            if begin <= at < end:
                self.back[at] = max(self.back[at], end - at)

    def add(self, finding: Finding, begin: int, end: int, who: str, what: str, *refs: Ref) -> None:
        """From `begin` to `end` somebody saw what was older. what: a sentence's beginning."""
        for at, _ in self._fault_ends:
            if begin <= at < end:
                self.converged[at] = max(self.converged[at], end - at)
        if end - begin <= min(self.longest, self.within):
            return
        _, lasted = self.clear.longest(begin, end)
        self.longest = max(self.longest, lasted)
        if lasted > self.within:
            finding.broken(f"{who} {what} for {lasted / 1e9:.3f} s without a fault", *refs)

    def figures(self) -> list[dict[str, object]]:
        """How long after the end of each fault anybody still saw what was older than acknowledged, or was not back."""
        return [
            {
                "fault": name,
                "converged_seconds": round(self.converged[at] / 1e9, 3),
                "viewers_back_seconds": round(self.back[at] / 1e9, 3),
            }
            for at, name in self._fault_ends
        ]
