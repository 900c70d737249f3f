"""What happens between the functions and what they talk to: toxiproxy's toxics, on all pairs and on single ones."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.faults.catalogue import Hurt, Scene, fault
from tests.faults.proxy import Cut, Delay, Hole, Reset, Toxic, Trickle
from tests.faults.world import FUNCTIONS, STORES

TOXICS: tuple[tuple[str, Toxic, Toxic, str], ...] = (
    ("delay", Delay(0.1), Delay(0.1), "a tenth of a second more"),
    ("black hole", Hole(), Hole(), "nothing arrives and nobody is told: time limits"),
    ("cut in mid message", Cut(200), Cut(2000), "the calls that are cut"),
    ("a byte a second", Trickle(), Trickle(), "as a black hole: time limits"),
    ("reset", Reset(), Reset(), "refused at once, until it ends"),
)


def toxic_on(to: str, toxic: Toxic) -> Hurt:
    def hurt(scene: Scene) -> Iterator[None]:
        """Between all members of all functions and `to`."""
        world = scene.world
        pairs = [("clients", one) for one in FUNCTIONS] if to == "clients" else [(one, to) for one in FUNCTIONS]
        links = [link for pair in pairs for link in world.links(*pair)]
        cuts = world.proxy.cuts(*links)
        world.proxy.hurt(toxic, *links)
        yield
        world.proxy.hurt(None, *links)
        assert not isinstance(toxic, Cut) or world.proxy.cuts(*links) > cuts, "nothing was cut"

    return hurt


for _to in ("clients", *STORES):
    for _name, _of_stores, _of_clients, _about in TOXICS:
        fault(f"{_name}: functions-{_to}", _about, "network", hold_seconds=4)(
            toxic_on(_to, _of_clients if _to == "clients" else _of_stores)
        )

EACH_SECONDS = 1.0
ON_ONE = (Delay(0.1), Cut(4), Trickle(), Reset(), Hole())


def on_one_pair(source: str, to: str) -> Hurt:
    def hurt(scene: Scene) -> Iterator[None]:
        """Each toxic for a second, the last one for as long as the fault is held, between one member and `to`."""
        world = scene.world
        link = f"clients>{to}-{scene.member}" if source == "clients" else f"{source}-{scene.member}>{to}"
        for toxic in ON_ONE[:-1]:
            world.proxy.hurt(toxic, link)
            time.sleep(EACH_SECONDS)
        world.proxy.hurt(ON_ONE[-1], link)
        yield
        world.proxy.hurt(None, link)

    return hurt


for _source, _to, _about in (
    *(("clients", one, f"calls of that {one} fail or take long, and go to the other one") for one in FUNCTIONS[:2]),
    ("clients", "push", "viewers of that push reconnect and resume"),
    ("write", "postgres", "writes of that write fail or take long; those of the other one do not"),
    ("write", "redis", "pushes of what that write commits come with the next sweep"),
    ("read", "postgres", "that read answers what Redis holds, and 503 else"),
    ("read", "redis", "that read answers from PostgreSQL"),
    ("push", "postgres", "that push finds later what no message told"),
    ("push", "redis", "viewers of that push get changes with the next sweep"),
):
    fault(f"each toxic: one {_source}-{_to}" if _source != "clients" else f"each toxic: clients-one {_to}", _about,
          "network", hold_seconds=1.5)(on_one_pair(_source, _to))  # fmt: skip
