"""POST /add: distinct keys and one hot key, beside the peer and beside PostgreSQL alone."""

from __future__ import annotations

import http.client
from pathlib import Path

from benchmarks import pgbench
from benchmarks.figures import Aim, Comparison, Figures, interleave
from benchmarks.http_load import WRITE_HEADERS, lines_file, measure
from benchmarks.parts import Plan
from benchmarks.worlds import Server, World

KEYS = 10_000
WARM_SECONDS = 2.0
POSTGRES_CLIENTS = 2


def run(plan: Plan, workers: int = 1) -> list[Comparison]:
    with World() as world:
        sides = {"kvcast": world.kvcast("write", workers=workers), "node": world.node(workers=workers)}
        pgbench.create_table(world)
        distinct = lines_file(
            world.folder, "distinct.txt", (f'{{"key":"key.{n}","value":{n}.60}}' for n in range(KEYS))
        )
        hot = lines_file(world.folder, "hot.txt", (f'{{"key":"gold","value":{n}.60}}' for n in range(1000)))
        for server in sides.values():
            add(server, distinct, WARM_SECONDS)
        return [
            compare(world, plan, sides, work, bodies, keys, limit=workers == 1)
            for work, bodies, keys in (
                ("POST /add, distinct keys", distinct, KEYS), ("POST /add, one hot key", hot, 1),
            )
        ]


def compare(
    world: World, plan: Plan, sides: dict[str, Server], work: str, bodies: Path, keys: int, *, limit: bool
) -> Comparison:
    """limit: whether PostgreSQL alone takes its turns too."""
    grouped: list[int] = []  # how many writes of ours went into one commit, which PostgreSQL alone then does as well

    def ours() -> Figures:
        before = commits(sides["kvcast"])
        figures = add(sides["kvcast"], bodies, plan.seconds)
        writes, groups = (after - start for after, start in zip(commits(sides["kvcast"]), before, strict=True))
        figures["rows_per_commit"] = writes / max(1, groups)
        grouped.append(max(1, round(figures["rows_per_commit"])))
        return figures

    def alone() -> Figures:
        return pgbench.upserts(world, grouped[-1], plan.seconds, keys=max(keys, 1), clients=POSTGRES_CLIENTS)

    turns = {"kvcast": ours, "node": lambda: add(sides["node"], bodies, plan.seconds)}
    if limit:
        turns["postgresql"] = alone
    runs = interleave(plan.rounds, turns)
    aims = [
        Aim("requests_per_second", ">=", 10, "node"), Aim("requests_per_second", ">=", 0.6, "postgresql"),
    ]
    return Comparison(work, runs, aims, "requests_per_second")


def add(server: Server, bodies: Path, seconds: float) -> Figures:
    return measure(server, "/add", seconds, bodies=bodies, headers=WRITE_HEADERS)


def commits(server: Server) -> tuple[float, float]:
    """(writes, commits) of a function until now, from its metrics."""
    connection = http.client.HTTPConnection(*server.address, timeout=5)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    found = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return float(found["kvcast_writes_total"]), float(found["kvcast_commits_total"])
