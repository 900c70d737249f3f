"""Faults of the net between each pair, and several faults at once."""

from __future__ import annotations

from tests.faults.proxy import Cut, Delay, Hole, Reset, Toxic, Trickle
from tests.faults.scene import ALL, Scene, Steps, fault
from tests.faults.world import FUNCTIONS, STORES

PAIRS = [(function, store) for function in FUNCTIONS for store in STORES] + [("clients", to) for to in FUNCTIONS]
HURT_SECONDS = 3.0
BETWEEN_SECONDS = 1.0
ONE_OF_EACH = (  # they do not stand in one another's way
    ("kill-functions", "terminate-functions", "stop-write", "stop-read", "stop-push", "used-up-descriptors"),
    ("redis-empty", "redis-old-data", "redis-flushed", "redis-clients-killed", "redis-full", "stop-redis"),
    ("postgres-killed", "postgres-immediate", "postgres-connections-terminated", "postgres-row-locked"),
    ("net-delays", "net-drops", "net-trickles", "net-cuts", "net-resets"),
)


def _each_pair(scene: Scene, toxic: Toxic, what: str) -> Steps:
    for source, to in PAIRS:
        links = scene.world.links(source, to)
        with scene.broken(f"{source} > {to} {what}"):
            scene.world.proxy.hurt(toxic, *links)
            yield HURT_SECONDS
            scene.world.proxy.hurt(None, *links)
        yield BETWEEN_SECONDS


@fault("each pair in turn: 100 ms later in each direction", "everything takes so much longer")
def net_delays(scene: Scene) -> Steps:
    return _each_pair(scene, Delay(0.1), "delayed")


@fault("each pair in turn: nothing arrives, nobody is told", "calls end with 503 or 504, or run into the timeout")
def net_drops(scene: Scene) -> Steps:
    return _each_pair(scene, Hole(), "drops")


@fault("each pair in turn: a byte a second", "calls end with 503 or 504, or run into the timeout")
def net_trickles(scene: Scene) -> Steps:
    return _each_pair(scene, Trickle(), "trickles")


@fault("each pair in turn: a piece of twenty is cut in mid message", "some calls are told to try again")
def net_cuts(scene: Scene) -> Steps:
    return _each_pair(scene, Cut(20), "cut")


@fault("each pair in turn: every connection is reset", "calls end with 503; viewers connect again")
def net_resets(scene: Scene) -> Steps:
    return _each_pair(scene, Reset(), "reset")


@fault("one of each kind at once: function, Redis, PostgreSQL and net, chosen by the seed", "what each of them does")
def several(scene: Scene) -> Steps:
    chosen = [scene.random.choice(names) for names in ONE_OF_EACH]
    print("at once:", ", ".join(chosen), flush=True)
    scene.play(*(one.steps(scene) for one in ALL if one.name in chosen))
    yield 0
