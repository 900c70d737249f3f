"""Whether a series of samples is flat: its slope after the warm-up, robust against single spikes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from statistics import median
from typing import NamedTuple

WARM_UP = 1 / 3  # of the samples: caches fill, pools open, the allocator finds its size
MOST_SAMPLES = 200  # all pairs of more take long and say no more


class Limit(NamedTuple):
    """What may be gained over the judged time: `least`, in the unit of the series, or `part` of its middle, if more."""

    least: float
    part: float


LIMITS = {
    "memory MiB": Limit(4.0, 0.05), "descriptors": Limit(6.0, 0.05), "threads": Limit(1.0, 0.0),
    "greenlets": Limit(6.0, 0.05),
}  # fmt: skip


class Flatness(NamedTuple):
    """gained: by the slope, over the judged time; most: seen at any time."""

    first: float
    last: float
    most: float
    gained: float
    allowed: float

    @property
    def ok(self) -> bool:
        return self.gained <= self.allowed


def judged(samples: Sequence[tuple[float, float]], limit: Limit) -> Flatness:
    """samples: (seconds, value), six at least, in order."""
    steady = samples[int(len(samples) * WARM_UP) :]
    values = [value for _, value in steady]
    gained = slope(steady) * (steady[-1][0] - steady[0][0])
    return Flatness(values[0], values[-1], max(value for _, value in samples), gained,
                    max(limit.least, limit.part * median(values)))  # fmt: skip


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Theil and Sen's: the median of the slopes of all pairs, per second."""
    thinned = samples[:: len(samples) // MOST_SAMPLES + 1]
    return median((later[1] - sooner[1]) / (later[0] - sooner[0]) for sooner, later in combinations(thinned, 2))
