"""Reads and writes once more, with two processes on each side."""

from __future__ import annotations

from benchmarks.figures import Comparison
from benchmarks.parts import Plan, reads, writes


def run(plan: Plan) -> list[Comparison]:
    comparisons = [*reads.run(plan, workers=2), *writes.run(plan, workers=2)]
    for comparison in comparisons:
        comparison.work += ", two processes"
        comparison.aims = [aim for aim in comparison.aims if aim.beside == "node"]
    return comparisons
