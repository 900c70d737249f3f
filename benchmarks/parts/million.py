"""1,000,000 keys beside 1,000: nothing that people wait for grows with the store."""

from __future__ import annotations

import http.client
import random
import time
from collections.abc import Callable

from kvcast.storage import sweeps
from kvcast.storage.pool import Pool, connect

from benchmarks.figures import Aim, Comparison, Figures, quantile
from benchmarks.parts import Plan
from benchmarks.worlds import Server, World

FEW, MANY = 1000, 1_000_000
CALLS = 200
FILL_SECONDS = 300.0


def run(plan: Plan) -> list[Comparison]:
    """Each store is asked in turn, so that what the machine does besides meets both."""
    with World() as few, World() as many:
        for world, keys in ((few, FEW), (many, MANY)):
            fill(world, keys)
        sides: dict[str, list[Figures]] = {"kvcast": [], "thousand": []}
        for _ in range(plan.rounds):
            sides["kvcast"].append(measure(many, MANY))
            sides["thousand"].append(measure(few, FEW))
    figures = ("keys_page_ms", "get_ms", "sweep_ms", "start_ms")
    aims = [Aim(figure, "<=", 1.2, "thousand") for figure in figures]
    notes = ["kvcast: 1,000,000 keys; thousand: the same with 1,000. Medians of single calls; `start` until ready."]
    return [Comparison(f"{MANY:,} keys", sides, aims, "get_ms", notes)]


def fill(world: World, keys: int) -> None:
    """In SQL: through the functions it would take minutes."""
    owner = connect(world.stores.migration_url, statement_timeout_seconds=FILL_SECONDS)
    try:
        owner.run(
            "INSERT INTO kv (key, value, category, rev, prev, tx, updated_at) "
            "SELECT 'key.' || n, n || '.60', 'c' || n % 20, nextval('rev'), 0, pg_current_xact_id(), clock_timestamp() "
            f"FROM generate_series(1, {keys}) AS n"
        )
        owner.run("VACUUM ANALYZE kv")
    finally:
        owner.close()


def measure(world: World, keys: int) -> Figures:
    started = time.perf_counter()
    server = world.kvcast("read")
    start_seconds = time.perf_counter() - started
    pool = Pool(world.stores.database_url, 1)
    try:
        position = sweeps.position(pool)
        chosen = random.Random(2).sample(range(1, keys + 1), min(keys, CALLS))
        return {
            "start_ms": 1000 * start_seconds,
            "get_ms": median_ms(Caller(server), [f"/get/key.{number}" for number in chosen]),
            "keys_page_ms": median_ms(Caller(server), ["/keys?limit=100&prefix=key.5&values=1"] * 50),
            "sweep_ms": median_ms(lambda _: sweeps.changed(pool, position), [""] * 50),
        }
    finally:
        pool.close()
        server.stop()


def median_ms(call: Callable[[str], object], arguments: list[str]) -> float:
    took = []
    for argument in arguments:
        started = time.perf_counter()
        call(argument)
        took.append(time.perf_counter() - started)
    return 1000 * quantile(sorted(took), 0.5)


class Caller:
    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection(*server.address, timeout=30)

    def __call__(self, path: str) -> None:
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}.")
