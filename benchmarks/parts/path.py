"""From a write to a viewer's socket at 100 updates/s, as a multiple of what Redis alone takes to carry a message."""

from __future__ import annotations

import time

import redis

from benchmarks import protocols
from benchmarks.figures import Aim, Comparison, Figures, interleave, quantile
from benchmarks.parts import Plan
from benchmarks.publishing import publish
from benchmarks.usage import Cost
from benchmarks.viewers import Viewers
from benchmarks.worlds import Server, World

KEY = "gold"
UPDATES_PER_SECOND = 100.0
CHANNEL = "benchmark"


def run(plan: Plan) -> list[Comparison]:
    with World() as world:
        push, write = world.kvcast("push"), world.kvcast("write")
        runs = interleave(
            plan.rounds,
            {
                "kvcast": lambda: through_kvcast(push, write, plan.seconds),
                "redis": lambda: round_trips(world.stores.redis_url, plan.seconds),
            },
        )
    notes = ["kvcast: from before the request until the viewer has read it. redis: PUBLISH until its subscriber has."]
    aims = [Aim("p50_ms", "<=", 5), Aim("p50_ms", "<=", 20, "redis")]
    return [Comparison("write to socket, 100 updates/s", runs, aims, "p50_ms", notes)]


def through_kvcast(push: Server, write: Server, seconds: float) -> Figures:
    with Viewers(push.address, [protocols.kvcast(KEY)]) as viewers, Cost(write.pid) as cost:
        published = publish(write, seconds, groups=[[KEY]], rate=UPDATES_PER_SECOND, writers=2)
        viewers.wait_for(published.calls, 2)
        seen = viewers.seen()
    return {
        "p50_ms": seen.delay_ms(0.5),
        "p99_ms": seen.delay_ms(0.99),
        "answer_p50_ms": published.took_ms(0.5),
        "errors": float(len(published.failures) + seen.closed),
        "cpu_seconds_per_1000": 1000 * cost.cpu_seconds / max(1, published.calls),
        "memory_mib": cost.memory_mib,
    }


def round_trips(redis_url: str, seconds: float) -> Figures:
    client = redis.Redis.from_url(redis_url)
    pubsub = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    pubsub.subscribe(CHANNEL)
    pubsub.get_message(timeout=1)
    took = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        started = time.perf_counter()
        client.publish(CHANNEL, b"x")
        while pubsub.get_message(timeout=1) is None:
            pass
        took.append(time.perf_counter() - started)
        time.sleep(1 / UPDATES_PER_SECOND)
    pubsub.close()
    client.close()
    took.sort()
    return {"p50_ms": 1000 * quantile(took, 0.5), "p99_ms": 1000 * quantile(took, 0.99)}
