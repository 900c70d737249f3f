"""What runs showed, and how sides compare. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

Figures = dict[str, float]  # of one run; units are in the names


class Spread(msgspec.Struct, frozen=True):
    """Of one figure over several runs."""

    least: float
    median: float
    most: float


class Aim(msgspec.Struct, frozen=True):
    """What a figure must reach: as a multiple of the same figure of `beside`, or by itself where that is empty."""

    figure: str
    relation: Literal[">=", "<="]
    bound: float
    beside: str = ""

    def text(self) -> str:
        """Such as `>= 4 x node`."""
        return f"{self.relation} {self.bound:g}" + (f" x {self.beside}" if self.beside else "")

    def reached_by(self, value: float) -> bool:
        return value >= self.bound if self.relation == ">=" else value <= self.bound


class Comparison(msgspec.Struct):
    """One kind of work. sides: name -> its runs, in the order they were made; ours is `kvcast`."""

    work: str
    sides: dict[str, list[Figures]]
    aims: list[Aim]
    plot: str
    notes: list[str] = []

    def spread(self, side: str, figure: str) -> Spread | None:
        values = [run[figure] for run in self.sides[side] if figure in run]
        return spread(values) if values else None

    def standing(self, aim: Aim, side: str = "kvcast") -> Spread | None:
        """Where we stand against `aim`: the ratios of the runs made next to one another, or the figure itself."""
        if not aim.beside:
            return self.spread(side, aim.figure)
        if aim.beside not in self.sides:
            return None
        pairs = zip(self.sides[side], self.sides[aim.beside], strict=True)
        return spread([ratio(ours[aim.figure], theirs[aim.figure]) for ours, theirs in pairs])


def spread(values: Sequence[float]) -> Spread:
    return Spread(min(values), statistics.median(values), max(values))


def ratio(ours: float, theirs: float) -> float:
    """0 beside 0 is as good; anything beside 0 is endlessly more."""
    if theirs == 0:
        return 1.0 if ours == 0 else float("inf")
    return ours / theirs


def quantile(ordered: Sequence[float], part: float) -> float:
    """The value below which `part` of the sorted values lie; 0 of none."""
    return ordered[round(part * (len(ordered) - 1))] if ordered else 0.0


def interleave(rounds: int, sides: Mapping[str, Callable[[], Figures]]) -> dict[str, list[Figures]]:
    """Run A B A B ..., so that what the machine does besides meets all sides alike."""
    runs: dict[str, list[Figures]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            runs[name].append(run())
    return runs
