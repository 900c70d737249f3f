"""The tables of a run, as Markdown that reads well in a terminal too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.figures import Comparison, Spread
from benchmarks.results import number

RATIO_HEAD = ("work", "figure", "kvcast", "beside", "ratio: least", "median", "most", "must reach", "reached")


def ratios(comparisons: Iterable[Comparison]) -> str:
    """A line for each aim. Without a peer the figure itself stands where the ratio would."""
    return markdown(RATIO_HEAD, [line for comparison in comparisons for line in _aim_lines(comparison)])


def _aim_lines(comparison: Comparison) -> list[list[str]]:
    lines = []
    for aim in comparison.aims:
        standing = comparison.standing(aim)
        ours = comparison.spread("kvcast", aim.figure)
        if standing is None or ours is None:
            continue
        theirs = comparison.spread(aim.beside, aim.figure) if aim.beside else None
        lines.append(
            [
                comparison.work, aim.figure, number(ours.median),
                f"{aim.beside} {number(theirs.median)}" if theirs else "",
                *_three(standing), aim.text(), "yes" if aim.reached_by(standing.median) else "no",
            ]
        )
    return lines


def figures(comparison: Comparison) -> str:
    """Every figure of every side: the median, and least to most where there were several runs."""
    names = list(dict.fromkeys(name for runs in comparison.sides.values() for run in runs for name in run))
    rows = []
    for name in names:
        spreads = [comparison.spread(side, name) for side in comparison.sides]
        rows.append([name, *(_ranged(one) if one else "" for one in spreads)])
    return markdown(("figure", *comparison.sides), rows)


def _three(spread: Spread) -> list[str]:
    return [number(spread.least), number(spread.median), number(spread.most)]


def _ranged(spread: Spread) -> str:
    if spread.least == spread.most:
        return number(spread.median)
    return f"{number(spread.median)} ({number(spread.least)} to {number(spread.most)})"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |\n"
        for line in lines
    )
