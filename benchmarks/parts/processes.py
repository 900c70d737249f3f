"""Reads, writes and fan-out once more, with two and with four processes on each side."""

from __future__ import annotations

from benchmarks.figures import Comparison
from benchmarks.parts import Plan, fanout, reads, writes

COUNTS = {2: "two processes", 4: "four processes"}
DEMANDED = 2  # of more than there are cores, nothing is asked


def run(plan: Plan) -> list[Comparison]:
    found = []
    for workers, words in COUNTS.items():
        for part in (reads, writes, fanout):
            for comparison in part.run(plan, workers=workers):
                comparison.work += f", {words}"
                demanded = workers == DEMANDED and part is not fanout
                comparison.aims = [aim for aim in comparison.aims if aim.beside == "node" and demanded]
                found.append(comparison)
    return found
