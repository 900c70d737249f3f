"""1,000,000 keys beside 1,000: nothing that people wait for grows with the store."""

from __future__ import annotations

import http.client
import random
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial

from kvcast.storage import sweeps
from kvcast.storage.pool import Pool, connect

from benchmarks.figures import Aim, Comparison, Figures, quantile
from benchmarks.parts import Plan
from benchmarks.worlds import Server, World

FEW, MANY = 1000, 1_000_000
UNTIMED = 20  # first calls, which open connections
CALLS = 200
FILL_SECONDS = 300.0


def run(plan: Plan) -> list[Comparison]:
    with World() as many, World() as few:
        worlds = {"kvcast": many, "thousand": few}
        for world, keys in zip(worlds.values(), (MANY, FEW), strict=True):
            fill(world, keys)
        sides: dict[str, list[Figures]] = {name: [] for name in worlds}
        for _ in range(plan.rounds):
            for name, figures in measure(worlds).items():
                sides[name].append(figures)
    names = ("keys_page_ms", "get_ms", "sweep_ms", "start_ms")
    aims = [Aim(name, "<=", 1.2, "thousand") for name in names]
    note = (
        f"kvcast: {MANY:,} keys; thousand: the same with {FEW:,}. Medians of single calls, asked of both in turn; "
        "`get_ms` of keys that no cache has; `start` until ready."
    )
    return [Comparison(f"{MANY:,} keys", sides, aims, "get_ms", [note])]


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


def measure(worlds: Mapping[str, World]) -> dict[str, Figures]:
    """Call by call in turn: what the machine does besides meets all of them."""
    with ExitStack() as stack:
        figures: dict[str, Figures] = {}
        calls: dict[str, dict[str, list[Callable[[], object]]]] = {}
        for name, world in worlds.items():
            started = time.perf_counter()
            server = world.kvcast("read")
            figures[name] = {"start_ms": 1000 * (time.perf_counter() - started)}
            stack.callback(server.stop)
            pool = Pool(world.stores.database_url, 1)
            stack.callback(pool.close)
            calls[name] = calls_of(server, pool, MANY if name == "kvcast" else FEW)
        for figure in ("get_ms", "keys_page_ms", "sweep_ms"):
            took = medians_ms({name: each[figure] for name, each in calls.items()})
            for name, milliseconds in took.items():
                figures[name][figure] = milliseconds
        return figures


def calls_of(server: Server, pool: Pool, keys: int) -> dict[str, list[Callable[[], object]]]:
    get = Caller(server)
    position = sweeps.position(pool)
    chosen = random.Random(2).sample(range(1, keys + 1), UNTIMED + CALLS)
    return {
        "get_ms": [partial(get, f"/get/key.{number}") for number in chosen],
        "keys_page_ms": [partial(get, "/keys?limit=100&prefix=key.5&values=1")] * (UNTIMED + CALLS),
        "sweep_ms": [partial(sweeps.changed, pool, position)] * (UNTIMED + CALLS),
    }


def medians_ms(calls: Mapping[str, list[Callable[[], object]]]) -> dict[str, float]:
    took: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(UNTIMED + CALLS):
        for name, each in calls.items():
            started = time.perf_counter()
            each[number]()
            took[name].append(time.perf_counter() - started)
    return {name: 1000 * quantile(sorted(each[UNTIMED:]), 0.5) for name, each in took.items()}


class Caller:
    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection(*server.address, timeout=30)

    def __call__(self, path: str) -> None:
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}.")
