"""Reads, writes and fan-out once more, with two and with four processes on each side."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.figures import Comparison
from benchmarks.parts import Plan, fanout, reads, writes

COUNTS = {2: "two processes", 4: "four processes"}
LEAST_SECONDS = 2
DEMANDED = 2  # of more than there are cores, nothing is asked


def run(plan: Plan) -> list[Comparison]:
    """In half the time for each run, of which there are many, so that all parts fit into a quarter of an hour."""
    found = []
    shorter = replace(plan, seconds=max(LEAST_SECONDS, plan.seconds // 2))
    for workers, words in COUNTS.items():
        for part in (reads, writes, fanout):
            for comparison in part.run(shorter, workers=workers):
                comparison.work += f", {words}"
                demanded = workers == DEMANDED and part is not fanout
                comparison.aims = [aim for aim in comparison.aims if aim.beside == "node" and demanded]
                found.append(comparison)
    return found
