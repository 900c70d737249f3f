"""What happens to the machine, and several things at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.faults.catalogue import FAULTS, Scene, fault
from tests.faults.world import FAKETIME

HOUR = 3600
# What heals last: a function is ready only when its stores are.
HEALED = ("redis", "postgres", "network", "write", "read", "push")
UNFIT = ("older backup restored", "disk full")


def no_false_clock() -> str:
    return "" if FAKETIME.exists() else "a clock that jumps takes libfaketime"


def jumping(shift: Callable[[int], None]) -> Iterator[None]:
    """An hour ahead, then an hour back."""
    shift(HOUR)
    yield
    shift(-HOUR)
    time.sleep(3)
    shift(0)
    time.sleep(2)


@fault("clock jumps", "nothing", "clock", hold_seconds=6, where="false clock", impossible=no_false_clock)
def clock(scene: Scene) -> Iterator[None]:
    """The wall clock of both stores."""
    yield from jumping(scene.world.shift)


@fault("clocks of the functions jump", "nothing", "clock", hold_seconds=6, where="false clock")
def functions_clock(scene: Scene) -> Iterator[None]:
    """The wall clock of all functions."""
    yield from jumping(scene.world.shift_functions)


@fault("several at once", "the sum of what each does", "all", hold_seconds=3)
def several(scene: Scene) -> Iterator[None]:
    """Four of different kinds, drawn from the seed, begun within two seconds."""
    chosen = [
        scene.random.choice([one for one in FAULTS.values() if one.of == kind and one.name not in UNFIT])
        for kind in scene.random.sample(HEALED, 4)
    ]
    under_way = []
    for one in chosen:
        own = replace(scene, ends_with={})
        applied = one.applied(own)
        applied.__enter__()
        under_way.append((one, applied))
        time.sleep(scene.random.uniform(0.1, 0.7))
    yield
    for _, applied in sorted(under_way, key=lambda pair: HEALED.index(pair[0].of)):
        applied.__exit__(None, None, None)
