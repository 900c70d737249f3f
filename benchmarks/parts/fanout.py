"""One key to 1,000 viewers: as fast as it goes in mode `every`, and at 200 updates/s in mode `latest`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from benchmarks import protocols, tools
from benchmarks.figures import Aim, Comparison, Figures, interleave
from benchmarks.parts import Plan
from benchmarks.protocols import Protocol
from benchmarks.publishing import publish
from benchmarks.usage import Cost
from benchmarks.viewers import Viewers
from benchmarks.worlds import Server, World

KEY = "gold"
VIEWERS = 1000
ON_THEIR_WAY = 100  # updates that not all viewers have yet, at saturation
SATURATED_PER_SECOND = 2000.0  # more than any side delivers
STEADY_PER_SECOND = 200.0
DRAIN_SECONDS = 20.0


class Side(NamedTuple):
    """pushes: the server whose cost counts; writes: where updates go."""

    pushes: Server
    writes: Server
    every: Protocol
    latest: Protocol
    path: str = "/add"


def run(plan: Plan, workers: int = 1) -> list[Comparison]:
    """With several workers only what saturates them, and only beside the peer that can have as many."""
    with World() as world:
        push, node = world.kvcast("push", workers=workers), world.node(workers=workers)
        sides = {
            "kvcast": Side(
                push, world.kvcast("write"), protocols.kvcast(KEY, "every"), protocols.kvcast(KEY, "latest")
            ),
            "node": Side(node, node, protocols.socket_io(KEY), protocols.socket_io(KEY)),
        }
        program = tools.centrifuge() if workers == 1 else None
        if program is not None:
            centrifuge = world.program("Centrifuge", [program, "{address}"], {"GOMAXPROCS": "1"})
            sides["centrifuge"] = Side(
                centrifuge, centrifuge, protocols.centrifuge(), protocols.centrifuge(), "/publish"
            )

        def compare(work: str, measure: Callable[[Side], Figures], aims: list[Aim], plot: str) -> Comparison:
            runs = interleave(plan.rounds, {name: partial(measure, side) for name, side in sides.items()})
            notes = ["Processor time of kvcast is its push worker's; the peers write and push in one process."]
            return Comparison(work, runs, aims, plot, notes)

        every = compare(
            f"fan-out to {VIEWERS:,} viewers, every, saturated", lambda side: saturated(side, plan.seconds),
            [
                Aim("deliveries_per_cpu_second", ">=", 3, "node"),
                Aim("deliveries_per_cpu_second", ">=", 1, "centrifuge"),
            ],
            "deliveries_per_cpu_second",
        )
        if workers > 1:
            return [every]
        return [
            every,
            compare(
                f"fan-out to {VIEWERS:,} viewers, latest, {STEADY_PER_SECOND:g} updates/s",
                lambda side: steady(side, plan.seconds),
                [Aim("cpu_ms_per_update", "<=", 1 / 8, "node"), Aim("p99_ms", "<=", 100)],
                "cpu_ms_per_update",
            ),
        ]


def saturated(side: Side, seconds: float) -> Figures:
    """At most ON_THEIR_WAY updates are under way, so every viewer gets every one, and nothing piles up."""
    with Viewers(side.pushes.address, [side.every] * VIEWERS) as viewers, Cost(side.pushes.pid) as cost:
        published = publish(
            side.writes, seconds, groups=[[KEY]], rate=SATURATED_PER_SECOND, path=side.path,
            may_go=lambda calls: calls * VIEWERS - viewers.deliveries < ON_THEIR_WAY * VIEWERS,
        )
        viewers.wait_for(published.calls * VIEWERS, DRAIN_SECONDS)
        deliveries = viewers.deliveries
        cost_so_far = cost.so_far()
        seen = viewers.seen()
    return {
        "deliveries_per_cpu_second": deliveries / cost_so_far,
        "deliveries_per_second": deliveries / published.seconds,
        "p50_ms": seen.delay_ms(0.5),
        "p99_ms": seen.delay_ms(0.99),
        "errors": float(len(published.failures) + seen.closed + published.calls * VIEWERS - deliveries),
        "cpu_seconds_per_1000": 1000 * cost_so_far / max(1, deliveries),
        "memory_mib": cost.memory_mib,
    }


def steady(side: Side, seconds: float) -> Figures:
    with Viewers(side.pushes.address, [side.latest] * VIEWERS) as viewers, Cost(side.pushes.pid) as cost:
        published = publish(side.writes, seconds, groups=[[KEY]], rate=STEADY_PER_SECOND, path=side.path)
        cost_so_far = cost.so_far()
        seen = viewers.seen()
    return {
        "cpu_ms_per_update": 1000 * cost_so_far / max(1, published.calls),
        "updates_per_second": published.calls / published.seconds,
        "deliveries_per_second": seen.deliveries / published.seconds,
        "p50_ms": seen.delay_ms(0.5),
        "p99_ms": seen.delay_ms(0.99),
        "errors": float(len(published.failures) + seen.closed),
        "memory_mib": cost.memory_mib,
    }
