"""GET /get: one hot key, many keys, large values, values that the client has already."""

from __future__ import annotations

import http.client
import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.figures import Aim, Comparison, Figures, interleave
from benchmarks.http_load import lines_file, measure
from benchmarks.parts import Plan
from benchmarks.worlds import Server, World

KEYS = 10_000
DRAWS = 50_000
LARGE_BYTES = 16 * 1024
HOT = "gold"
WARM_SECONDS = 2.0


def prepare(world: World) -> tuple[Path, Path]:
    """Fill both sides. Returns the files of every key once, and of keys drawn by Zipf's law."""
    keys = [f"key.{number}" for number in range(KEYS)]
    values = {key: f"{number}.60" for number, key in enumerate(keys)}
    world.fill({HOT: "2345.60", "large": json.dumps("x" * (LARGE_BYTES - 2)), **values})
    drawn = random.Random(1).choices(keys, [1 / rank for rank in range(1, KEYS + 1)], k=DRAWS)
    return (
        lines_file(world.folder, "every.txt", (f"/get/{key}" for key in keys)),
        lines_file(world.folder, "zipf.txt", (f"/get/{key}" for key in drawn)),
    )


def run(plan: Plan, workers: int = 1) -> list[Comparison]:
    with World() as world:
        node = world.node(workers=workers)
        every, zipf = prepare(world)
        sides = {"kvcast": world.kvcast("read", workers=workers), "node": node}
        for server in sides.values():
            warm(server, every)

        def compare(work: str, least: float, call: Callable[[Server], Figures], *further: Aim) -> Comparison:
            runs = interleave(plan.rounds, {name: partial(call, server) for name, server in sides.items()})
            aims = [Aim("requests_per_second", ">=", least, "node"), *further]
            return Comparison(work, runs, aims, "requests_per_second")

        p99 = Aim("p99_ms", "<=", 0.5, "node")
        comparisons = [
            compare("GET /get, one hot key", 4, lambda server: measure(server, f"/get/{HOT}", plan.seconds), p99),
            compare(
                "GET /get, 10,000 keys by Zipf's law", 4,
                lambda server: measure(server, "/", plan.seconds, paths=zipf), p99,
            ),
        ]
        if workers == 1:
            comparisons += [
                compare("GET /get, 16 KiB", 3, lambda server: measure(server, "/get/large", plan.seconds)),
                compare("GET /get, If-None-Match: 304", 4, lambda server: unchanged(server, plan.seconds)),
            ]
        return comparisons


def warm(server: Server, every: Path) -> None:
    """Until every key was read: what is not in the cache yet would be measured instead."""
    read = 0.0
    while read < KEYS:
        read += WARM_SECONDS * measure(server, "/", WARM_SECONDS, paths=every)["requests_per_second"]


def unchanged(server: Server, seconds: float) -> Figures:
    connection = http.client.HTTPConnection(*server.address, timeout=5)
    connection.request("GET", f"/get/{HOT}")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return measure(server, f"/get/{HOT}", seconds, headers={"If-None-Match": answer.headers["ETag"]})
