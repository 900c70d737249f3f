"""web/reports/benchmark.json: what /benchmark-report and /socket-vs-polling show of the last runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.figures import Comparison, Spread
from benchmarks.results import PartRun

PATH = Path(__file__).parents[1] / "web" / "reports" / "benchmark.json"
_DIGITS = 4


def write(path: Path, runs: Sequence[PartRun]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.encode({"parts": [_part(run) for run in runs]})
    path.write_bytes(msgspec.json.format(text, indent=1) + b"\n")


def _part(run: PartRun) -> dict[str, Any]:
    comparisons = [_comparison(comparison) for comparison in run.comparisons]
    return {
        "part": run.part, "at": run.at, "command": run.command, "seconds": round(run.seconds), "on": run.on,
        "comparisons": comparisons,
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    """sides: name -> figure -> [least, median, most]; aims: with where we stand, in the same form."""
    sides = {}
    for side, runs in comparison.sides.items():
        names = dict.fromkeys(name for run in runs for name in run)
        sides[side] = {name: _three(comparison.spread(side, name)) for name in names}
    aims = []
    for aim in comparison.aims:
        standing = comparison.standing(aim)
        if standing is not None:
            reached = aim.reached_by(standing.median)
            aims.append({**msgspec.to_builtins(aim), "standing": _three(standing), "reached": reached})
    return {"work": comparison.work, "plot": comparison.plot, "notes": comparison.notes, "sides": sides, "aims": aims}


def _three(spread: Spread | None) -> list[float]:
    """An endless ratio becomes null, which JSON has in its place."""
    assert spread is not None  # its name came from a run
    return [float(f"{value:.{_DIGITS}g}") for value in (spread.least, spread.median, spread.most)]
