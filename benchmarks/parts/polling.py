"""Push beside polling: 50 clients of one key that changes every 500 ms, by WebSocket, or asking every second."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from benchmarks import protocols
from benchmarks.figures import Comparison, Figures, interleave
from benchmarks.parts import Plan
from benchmarks.publishing import publish
from benchmarks.usage import Cost
from benchmarks.watchers import Poller, Viewer, Watcher, Watchers
from benchmarks.worlds import Server, World

KEY = "gold"
CLIENTS = 50
UPDATES_PER_SECOND = 2.0
POLL_SECONDS = 1.0
LAST_ONE_SECONDS = 1 / UPDATES_PER_SECOND  # it is there to be polled for as long as those that others replace
TIMES_LONGER = 2.5  # than a run of the others: there are few updates in a second
NOTE = (
    f"{CLIENTS} clients; an update every {1000 / UPDATES_PER_SECOND:g} ms; a poll every {1000 * POLL_SECONDS:g} ms, "
    "spread over it. updates_seen_percent: of all updates, those that a client saw, on the mean. Bytes are those that "
    "clients wrote and read at their sockets, both ways, handshakes included, without TCP's own; polls carry no header "
    "but what they need, which a browser's would. Every poll finds a newer value, so If-None-Match saves nothing. "
    "Processor time is that of the function which answers: push or read."
)


def run(plan: Plan) -> list[Comparison]:
    seconds = TIMES_LONGER * plan.seconds
    with World() as world:
        push, read, write = (world.kvcast(function) for function in ("push", "read", "write"))
        world.fill({KEY: '"T1.0"'})

        def viewer(number: int) -> Watcher:
            return Viewer(push.address, protocols.kvcast(KEY))

        def poller(number: int, *, conditional: bool = False) -> Watcher:
            after = POLL_SECONDS * (number + 0.5) / CLIENTS
            return Poller(read.address, f"/get/{KEY}", POLL_SECONDS, after, conditional=conditional)

        sides = {
            "kvcast": partial(measure, push, write, viewer, seconds),
            "polling": partial(measure, read, write, poller, seconds),
            "conditional polling": partial(measure, read, write, partial(poller, conditional=True), seconds),
        }
        runs = interleave(plan.rounds, sides)
    return [Comparison(f"one key to {CLIENTS} clients: push beside polling", runs, [], "p50_ms", [NOTE])]


def measure(answering: Server, write: Server, make: Callable[[int], Watcher], seconds: float) -> Figures:
    with Watchers([partial(make, number) for number in range(CLIENTS)]) as watchers:
        with Cost(answering.pid) as cost:
            published = publish(write, seconds, groups=[[KEY]], rate=UPDATES_PER_SECOND, writers=1)
            time.sleep(LAST_ONE_SECONDS)
        seen = sum(len(watcher.delays) for watcher in watchers.all)
    updates = max(1, published.calls)
    return {
        "updates_seen_percent": 100 * seen / (CLIENTS * updates),
        "p50_ms": watchers.delay_ms(0.5),
        "p99_ms": watchers.delay_ms(0.99),
        "requests": float(sum(watcher.requests for watcher in watchers.all)),
        "kib_on_the_wire": sum(watcher.wire.bytes for watcher in watchers.all) / 1024,
        "bytes_per_update_seen": sum(watcher.wire.bytes for watcher in watchers.all) / max(1, seen),
        "cpu_seconds": cost.cpu_seconds,
        "memory_mib": cost.memory_mib,
        "errors": float(len(published.failures) + sum(bool(watcher.failure) for watcher in watchers.all)),
    }
