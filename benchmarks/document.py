"""The table of docs/performance.md, which runs write, so that nobody copies a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks import table
from benchmarks.results import PartRun

PATH = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN = "<!-- written by make bench -->\n"
END = "<!-- end of what make bench wrote -->\n"


def write(path: Path, runs: Sequence[PartRun]) -> None:
    """Put the table between the marks; the rest of the document stays. Raises ValueError where a mark is missing."""
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} lacks the lines {BEGIN.strip()} and {END.strip()}, between which the table belongs.")
    path.write_text(before + begin + render(runs) + end + after, encoding="utf-8")


def render(runs: Sequence[PartRun]) -> str:
    machines = "".join(f"- {line}\n" for line in _told_once(runs))
    ratios = table.ratios(comparison for run in runs for comparison in run.comparisons)
    plain = "\n".join(" ".join(line.split()) for line in ratios.splitlines())  # without what aligns it in a terminal
    return f"{machines}\n{plain}\n"


def _told_once(runs: Sequence[PartRun]) -> list[str]:
    lines = [f"{name}: {text}" for run in runs for name, text in run.on.items() if name != "load"]
    made = [f"{run.part} ended {run.at}, load {run.on['load']}" for run in runs if "load" in run.on]
    return [*dict.fromkeys(lines), "; ".join(made)]
