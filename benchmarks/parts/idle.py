"""10,000 viewers that nearly always wait: how soon they are in, what each costs, how soon an update reaches all."""

from __future__ import annotations

from benchmarks import protocols
from benchmarks.figures import Aim, Comparison, Figures
from benchmarks.parts import Plan
from benchmarks.publishing import publish
from benchmarks.usage import Cost, memory_mib
from benchmarks.viewers import Viewers
from benchmarks.worlds import World

VIEWERS = 10_000
KEY = "gold"
KIB_OF_A_MIB = 1024


def run(plan: Plan) -> list[Comparison]:
    """One round: it takes long, and what it shows varies little."""
    aims = [
        Aim("connect_seconds", "<=", 60), Aim("kib_per_viewer", "<=", 27), Aim("p99_ms", "<=", 1000),
        Aim("errors", "<=", 0),
    ]
    runs = {"kvcast": [measure(2 * plan.seconds)]}
    return [Comparison(f"{VIEWERS:,} idle viewers, 1 update/s", runs, aims, "kib_per_viewer")]


def measure(seconds: float) -> Figures:
    with World() as world:
        push, write = world.kvcast("push"), world.kvcast("write")
        before = memory_mib(push.pid)
        with Viewers(push.address, [protocols.kvcast(KEY)] * VIEWERS) as viewers:
            kib = KIB_OF_A_MIB * (memory_mib(push.pid) - before) / VIEWERS
            with Cost(push.pid) as cost:
                published = publish(write, seconds, groups=[[KEY]], rate=1, writers=1)
                viewers.wait_for(published.calls * VIEWERS, 5)
            seen = viewers.seen()
        missing = published.calls * VIEWERS - seen.deliveries
    return {
        "connect_seconds": viewers.connect_seconds,
        "kib_per_viewer": kib,
        "p50_ms": seen.delay_ms(0.5),
        "p99_ms": seen.delay_ms(0.99),
        "errors": float(seen.closed + missing + len(published.failures)),
        "cpu_ms_per_update": 1000 * cost.cpu_seconds / max(1, published.calls),
        "memory_mib": cost.memory_mib,
    }
