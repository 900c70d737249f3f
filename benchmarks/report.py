"""The report of all parts that were ever run here: Markdown, and a plot for each comparison."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks import plot, table
from benchmarks.results import PartRun

INTRODUCTION = """# kvcast beside its peers

Ratios are of runs made next to one another, A B A B; where nothing is named to compare with, the figure itself stands
in their place.
"""


def write(folder: Path, runs: list[PartRun]) -> Path:
    """Write report.md and its plots. Returns where the report is."""
    for run in runs:
        for comparison in run.comparisons:
            (folder / plot_name(comparison.work)).write_text(plot.svg(comparison), encoding="utf-8")
    path = folder / "report.md"
    path.write_text(render(runs), encoding="utf-8")
    return path


def render(runs: list[PartRun]) -> str:
    parts = [
        INTRODUCTION,
        table.ratios(comparison for run in runs for comparison in run.comparisons),
    ]
    for run in runs:
        parts.append(f"## {run.part}\n")
        parts.append(f"`{run.command}`, ended {run.at} after {run.seconds:.0f} s.\n")
        parts.append("".join(f"- {name}: {text}\n" for name, text in run.on.items()))
        for comparison in run.comparisons:
            parts.append(f"### {comparison.work}\n")
            parts.append(f"![{comparison.work}]({plot_name(comparison.work)})\n")
            parts.append(table.figures(comparison))
            parts.extend(f"{note}\n" for note in comparison.notes)
    return "\n".join(parts)


def plot_name(work: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", work.lower()).strip("-") + ".svg"
