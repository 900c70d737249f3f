"""PostgreSQL alone: pgbench with single-row upserts, so many to a commit, pipelined."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from kvcast.embedded.postgres import DATABASE, OWNER, program
from kvcast.storage.pool import connect

from benchmarks.figures import Figures
from benchmarks.usage import Cost
from benchmarks.worlds import World

UPSERT = (
    "INSERT INTO alone (key, value) VALUES ('key.' || (:base + {number}), '2345.60') "
    "ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value, updated_at = now();"
)


def create_table(world: World) -> None:
    owner = connect(world.stores.migration_url, statement_timeout_seconds=30)
    try:
        owner.run("SET search_path TO public")
        owner.run(
            "CREATE TABLE IF NOT EXISTS alone "
            "(key text PRIMARY KEY, value text NOT NULL, updated_at timestamptz NOT NULL DEFAULT now())"
        )
    finally:
        owner.close()


def upserts(world: World, per_commit: int, seconds: float, *, keys: int, clients: int) -> Figures:
    """`clients` connections commit `per_commit` upserts again and again."""
    script = Path(world.folder) / "upserts.sql"
    lines = [UPSERT.format(number=number) for number in range(per_commit)]
    script.write_text(
        "\n".join([f"\\set base random(1, {max(1, keys - per_commit)})", "\\startpipeline", "BEGIN;", *lines, "COMMIT;",
                   "\\endpipeline", ""]), encoding="utf-8",
    )
    command = [
        program("pgbench"), "--no-vacuum", "--protocol", "prepared", "--client", str(clients), "--file", str(script),
        "--time", str(max(1, round(seconds))), "--host", world.postgres_sockets, "--username", OWNER, DATABASE,
    ]
    with Cost(world.stores.postgres.pid) as cost:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"tps = ([0-9.]+)", done.stdout)
    assert found is not None, done.stdout
    rows_per_second = float(found[1]) * per_commit
    return {
        "requests_per_second": rows_per_second,
        "rows_per_commit": float(per_commit),
        "cpu_seconds_per_1000": 1000 * cost.cpu_seconds / (rows_per_second * seconds),
        "memory_mib": cost.memory_mib,
    }
