"""The writes of one request, on their way through the group commit."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from kvcast.errors import KvcastError
from kvcast.messages import Change, Write

QUEUE_SECONDS = 2.0  # for the turn: what still waits then is withdrawn, as committing it would be work for nobody
Result = Change | KvcastError


class Unit(ABC):
    """The writes of one request, committed together, in order."""

    __slots__ = ("received_at", "writes")

    def __init__(self, writes: Sequence[Write]) -> None:
        self.writes = writes
        self.received_at = time.perf_counter()

    @abstractmethod
    def begin(self) -> bool:
        """Whether it may be committed: nobody has withdrawn it, and from now on nobody can."""

    @abstractmethod
    def finish(self, results: list[Result]) -> None:
        """Hand over one result for each write. It must not wait."""


def size_of(units: Iterable[Unit]) -> int:
    return sum(len(unit.writes) for unit in units)
