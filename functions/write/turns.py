"""Whether a write that comes now would have its turn in time: one that would not is refused at once, not later."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class Turns:
    """Knows how fast the store commits, from groups that were as large as they may be.

    A smaller group left nobody waiting: it says nothing of what the store can do, and what was known before is over.
    So nothing is known of a store that is idle, well, or well again, and nobody is refused; nor where nobody is ahead.
    """

    def __init__(self, within_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._within_seconds = within_seconds
        self._clock = clock
        self._per_second = math.inf  # writes
        self._under_way = 0  # writes of a full group
        self._since = 0.0

    def began(self, writes: int, most: int) -> None:
        """A group of `writes`, of at most `most`, is being committed."""
        self._under_way = writes if writes >= most else 0
        self._since = self._clock()

    def ended(self) -> None:
        """However it ended."""
        before, self._per_second = self._per_second, self._so_far()
        if self._per_second < before < math.inf:  # one slow group is not yet a slow store
            self._per_second = (self._per_second + before) / 2
        self._under_way = 0

    def in_time(self, ahead: int) -> bool:
        """Whether the turn of a write comes within the time, behind `ahead` others."""
        rate = min(self._per_second, self._so_far())
        return ahead <= rate * self._within_seconds

    def _so_far(self) -> float:
        if not self._under_way:
            return math.inf
        seconds = self._clock() - self._since
        return self._under_way / seconds if seconds > 0 else math.inf
