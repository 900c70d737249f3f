"""What is done to a running kvcast: each fault a small function that hurts, waits at its `yield`, and heals."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Literal

from tests.faults.world import MEMBERS, World

Where = Literal["plain", "small disk", "false clock"]


@dataclass
class Scene:
    """One fault in one world. load: the name of the load, with which its keys begin.

    record: notes a fault's begin or end in the history, with further members.
    """

    world: World
    load: str
    random: random.Random
    record: Callable[..., None]
    ends_with: dict[str, int] = field(default_factory=dict)
    member: str = ""

    def __post_init__(self) -> None:
        self.member = self.random.choice(MEMBERS)

    def key(self, number: int) -> str:
        """Of the load's keys, the first of each group."""
        return f"{self.load}.g{number}.k{number}"


Hurt = Callable[[Scene], Iterator[None]]


def possible() -> str:
    return ""


@dataclass(frozen=True)
class Fault:
    """about: what it means to users. of: what it hurts, so that several at once do not meet.

    impossible: why it cannot be done here; empty where it can.
    """

    name: str
    about: str
    hurt: Callable[[Scene], AbstractContextManager[None]]
    of: str
    hold_seconds: float = 3.0
    where: Where = "plain"
    drains: bool = False
    impossible: Callable[[], str] = possible

    @contextmanager
    def applied(self, scene: Scene) -> Iterator[None]:
        """Recorded from before it hurts until it is healed."""
        drains = {"drains": scene.world.url(f"push-{scene.member}")} if self.drains else {}
        scene.record(self.name, "begin", **drains)
        with self.hurt(scene):
            yield
        scene.record(self.name, "end", **scene.ends_with)


FAULTS: dict[str, Fault] = {}


def fault(
    name: str, about: str, of: str, *, hold_seconds: float = 3.0, where: Where = "plain", drains: bool = False,
    impossible: Callable[[], str] = possible,
) -> Callable[[Hurt], Hurt]:
    def register(hurt: Hurt) -> Hurt:
        FAULTS[name] = Fault(name, about, contextmanager(hurt), of, hold_seconds, where, drains, impossible)
        return hurt

    return register
