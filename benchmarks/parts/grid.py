"""100 keys with 100 viewers each, 1,000 updates/s through /batch: nobody falls behind, everybody ends right."""

from __future__ import annotations

import time

from benchmarks import protocols
from benchmarks.figures import Aim, Comparison, Figures, interleave
from benchmarks.parts import Plan
from benchmarks.publishing import Writer, publish
from benchmarks.usage import Cost, memory_mib
from benchmarks.viewers import Viewers
from benchmarks.worlds import Server, World

KEYS = [f"grid.{number}" for number in range(100)]
VIEWERS_OF_A_KEY = 100
UPDATES_PER_SECOND = 1000.0
KEYS_OF_A_BATCH = 10
CONVERGE_SECONDS = 2.5
GROUPS = [KEYS[start : start + KEYS_OF_A_BATCH] for start in range(0, len(KEYS), KEYS_OF_A_BATCH)]


def run(plan: Plan) -> list[Comparison]:
    with World() as world:
        push, write = world.kvcast("push"), world.kvcast("write")
        watched = [protocols.kvcast(key) for key in KEYS for _ in range(VIEWERS_OF_A_KEY)]
        with Viewers(push.address, watched) as viewers:
            update(write, plan.seconds)
            runs = interleave(plan.rounds, {"kvcast": lambda: measure(push, write, viewers, 2 * plan.seconds)})
    aims = [
        Aim("viewers_not_converged", "<=", 0), Aim("p99_ms", "<=", 100), Aim("memory_growth_mib", "<=", 1),
    ]
    work = f"{len(KEYS)} keys x {VIEWERS_OF_A_KEY} viewers, {UPDATES_PER_SECOND:,.0f} updates/s"
    return [Comparison(work, runs, aims, "p99_ms")]


def update(write: Server, seconds: float) -> int:
    """Returns the updates made."""
    rate = UPDATES_PER_SECOND / KEYS_OF_A_BATCH
    published = publish(write, seconds, groups=GROUPS, rate=rate, path="/batch")
    if published.failures:
        raise RuntimeError(published.failures[0])
    return published.calls * KEYS_OF_A_BATCH


def measure(push: Server, write: Server, viewers: Viewers, seconds: float) -> Figures:
    before = viewers.seen()
    memory_before = memory_mib(push.pid)
    with Cost(push.pid) as cost:
        updates = update(write, seconds)
    middle = viewers.seen()
    writer = Writer(write, "/batch")
    last = [writer.write(group).removeprefix("T") for group in GROUPS]
    writer.close()
    expected = [value for value in last for _ in range(KEYS_OF_A_BATCH * VIEWERS_OF_A_KEY)]
    deadline = time.monotonic() + CONVERGE_SECONDS
    while (missing := sum(end != value for end, value in zip(viewers.seen().ends, expected, strict=True))):
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return {
        "updates_per_second": updates / seconds,
        "deliveries_per_second": (middle.deliveries - before.deliveries) / seconds,
        "p50_ms": middle.delay_ms(0.5),
        "p99_ms": middle.delay_ms(0.99),
        "viewers_not_converged": float(missing),
        "errors": float(middle.closed),
        "cpu_ms_per_update": 1000 * cost.cpu_seconds / max(1, updates),
        "memory_mib": cost.memory_mib,
        "memory_growth_mib": cost.memory_mib - memory_before,
    }
