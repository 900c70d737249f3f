"""What a fault has before it: the world, the load on it, and a record of what is broken when."""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.checker.recording import Recorder
from tests.checker.records import Fault as FaultRecord
from tests.checker.records import now
from tests.faults.world import World

Steps = Iterator[float]  # what a fault yields: seconds that it waits before its next step


@dataclass
class Scene:
    """name: of the load, whose keys begin with it. hold: waits so many seconds, and raises where the load has died."""

    world: World
    random: random.Random
    recorder: Recorder
    name: str
    hold: Callable[[float], None]

    @contextmanager
    def broken(self, what: str, *, drains: str = "") -> Iterator[dict[str, Any]]:
        """From the block's begin to its end nobody is blamed. What is put into its dict is recorded at the end."""
        self._note(what, phase="begin", drains=drains)
        extra: dict[str, Any] = {}
        yield extra
        self._note(what, phase="end", **extra)

    def _note(self, what: str, **members: Any) -> None:
        self.recorder(FaultRecord(at=now(), who="faults", name=what, **members))
        self.recorder.flush()

    def play(self, *faults: Steps) -> None:
        """Step by step, the next that is due first. All of it in this thread: what it starts dies with it."""
        due = [(0.0, number, steps) for number, steps in enumerate(faults)]
        begun = time.monotonic()
        while due:
            at, number, steps = heapq.heappop(due)
            self.hold(max(0.0, begun + at - time.monotonic()))
            seconds = next(steps, None)
            if seconds is not None:
                heapq.heappush(due, (time.monotonic() - begun + seconds, number, steps))


@dataclass(frozen=True)
class Fault:
    """about: what is done, in a line. user: what somebody who uses kvcast notices. needs: of World, besides."""

    name: str
    about: str
    user: str
    steps: Callable[[Scene], Steps]
    needs: Sequence[str] = ()


ALL: list[Fault] = []


def fault(about: str, user: str, *needs: str) -> Callable[[Callable[[Scene], Steps]], Callable[[Scene], Steps]]:
    """Puts a generator into ALL, under its own name."""

    def register(steps: Callable[[Scene], Steps]) -> Callable[[Scene], Steps]:
        ALL.append(Fault(steps.__name__.replace("_", "-"), about, user, steps, needs))
        return steps

    return register
