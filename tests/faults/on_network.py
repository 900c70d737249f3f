"""What happens between the functions and what they talk to: toxiproxy's toxics on each pair."""

from __future__ import annotations

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
