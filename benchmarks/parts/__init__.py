"""What is measured, a module for each kind of work. Each gives `run(plan)`, which returns its comparisons."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """rounds: runs of each side; seconds: of one run."""

    rounds: int = 3
    seconds: float = 3.0
