"""From the first release's schema to this one's, while the functions of both run: nothing lost, nothing half done.

first_release/ holds that schema and the statements of its functions, as they were released. They never change.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import pytest

from kvcast.embedded import FUNCTIONS_ROLE
from kvcast.errors import StorageUnavailable
from kvcast.messages import Write
from kvcast.storage import reads
from kvcast.storage.pool import Pool
from kvcast.storage.rows import text_array
from kvcast.storage.schema import VERSION, grants, migrate, usable_epoch
from kvcast.storage.writes import Statements, commit_all
from tests.databases import Database
from tests.polling import eventually

ROOT = Path(__file__).parents[2]
FIRST = Path(__file__).parent / "first_release"
OLD = json.loads((FIRST / "statements.json").read_text(encoding="utf-8"))


@pytest.fixture
def first(bare: Database) -> Database:
    """A database as the first release left it."""
    schema = (FIRST / "schema.sql").read_text(encoding="utf-8")
    bare.as_owner(schema, "INSERT INTO kvcast.meta VALUES ('schema', '1')", *grants(FUNCTIONS_ROLE))
    return bare


def version_of(database: Database) -> str:
    return str(database.pool(1, url=database.owner_url).run("SELECT value FROM meta WHERE name = 'schema'")[0][0])


def test_the_files_are_numbered_up_to_the_version() -> None:
    folder = resources.files("kvcast.storage").joinpath("migrations")
    names = sorted(path.name for path in folder.iterdir() if path.name.endswith(".sql"))
    assert names == [f"{number:04}.sql" for number in range(1, VERSION + 1)]


def test_what_was_released_stays_as_it_was() -> None:
    """But for comments: a released migration that changes leaves databases that differ."""
    now = resources.files("kvcast.storage").joinpath("migrations", "0001.sql").read_text(encoding="utf-8")
    released = (FIRST / "schema.sql").read_text(encoding="utf-8")
    assert now.splitlines()[1:] == released.splitlines()[1:]


class OldFunctions:
    """What the first release's functions say to the database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def write(self, *keys: str, value: str) -> None:
        self._pool.run(
            OLD["upsert"], keys=text_array(keys), values=text_array([value] * len(keys)),
            categories=text_array([None] * len(keys)), ttls=[None] * len(keys),
        )

    def go_round(self, number: int) -> None:
        """Everything once."""
        self.write("both", f"old-{number}", value=str(number))
        write = {"key": f"old-{number}", "value": "1", "category": None, "ttl": None, "revs": None}
        assert self._pool.run(OLD["replace"], **write)
        assert self._pool.run(OLD["delete"], key=f"old-{number}", revs=None)
        assert self._pool.run(OLD["latest"], keys=text_array(["both"]))
        assert self._pool.run(OLD["ticks_after"], key=f"old-{number}", after=0, until=2**62, most=10)
        [[since, epoch]] = self._pool.run(OLD["sweep_position"])
        self._pool.run(OLD["sweep_changed"], since=since)
        self._pool.run(OLD["idempotency"], id=str(number), fingerprint="f")
        self._pool.run(OLD["expire"], most=10)
        self._pool.run(OLD["reap_audit"])
        self._pool.run(OLD["roll"], days=7)
        note = {"token": "t", "action": "delete", "key": "k", "count": 1, "rev": 1, "note": None, "client": None}
        self._pool.run(OLD["audit"], **note)
        assert dict(self._pool.run(OLD["epoch"]))["epoch"] == epoch


def test_functions_of_the_first_release_go_on_while_and_after_it_is_migrated(first: Database) -> None:
    rounds, errors, ended = {"old": 0, "new": 0}, [], threading.Event()
    old, pool, statements = OldFunctions(first.pool(2)), first.pool(2), Statements(history=True)

    def new_round(number: int) -> None:
        commit_all(pool, statements, [Write("both", str(number)), Write(f"new-{number}", "1")])

    def run(name: str, go_round: Callable[[int], None]) -> None:
        while not ended.is_set():
            rounds[name] += 1
            try:
                go_round(rounds[name])
            except Exception as error:
                errors.append((name, error))

    with running(ended) as start:
        start(run, "old", old.go_round)
        eventually(lambda: rounds["old"] > 20)
        migrate(first.owner_url, FUNCTIONS_ROLE)
        start(run, "new", new_round)
        before = rounds["old"]
        eventually(lambda: rounds["old"] > before + 20 and rounds["new"] > 20)
    assert not errors
    assert version_of(first) == str(VERSION)
    assert usable_epoch(pool)
    ticks = reads.ticks_after(pool, "both", 0, 1_000_000)
    assert len(ticks) == rounds["old"] + rounds["new"]
    assert [tick.prev for tick in ticks] == [0, *(tick.rev for tick in ticks[:-1])]


@contextmanager
def running(ended: threading.Event) -> Iterator[Callable[..., None]]:
    """Starts threads, which end with the block."""
    threads: list[threading.Thread] = []

    def start(*arguments: object) -> None:
        threads.append(threading.Thread(target=arguments[0], args=arguments[1:]))  # type: ignore[arg-type]
        threads[-1].start()

    try:
        yield start
    finally:
        ended.set()
        for thread in threads:
            thread.join(20)


@pytest.fixture
def in_its_way(first: Database) -> Iterator[Callable[[], None]]:
    """Another transaction has changed the function that a migration changes last; calling this ends it."""
    other = first.pool(1, url=first.owner_url)
    with other.session() as session:
        session.run("SET idle_in_transaction_session_timeout = 0")
        session.run("BEGIN")
        session.run("ALTER FUNCTION roll_partitions(integer) SET work_mem = '1MB'")
        ended: list[object] = []

        def end() -> None:
            if not ended:
                ended.append(session.run("ROLLBACK"))

        yield end
        end()


def waiting_migrations(database: Database) -> int:
    pool = database.pool(1, url=database.owner_url)
    return int(pool.run(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )[0][0])


def test_a_migration_that_is_killed_in_the_middle_leaves_nothing_half_done(
    first: Database, in_its_way: Callable[[], None]
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "kvcast", "migrate"], cwd=ROOT, env={**os.environ, "DATABASE_URL": first.owner_url}
    )
    try:
        eventually(lambda: waiting_migrations(first))
    finally:
        process.kill()
        process.wait(10)
    in_its_way()
    assert version_of(first) == "1"
    pool = first.pool(1)
    assert not pool.run("SELECT FROM meta WHERE name = 'least'")
    OldFunctions(pool).go_round(1)
    migrate(first.owner_url)
    assert version_of(first) == str(VERSION)


def test_a_migration_gives_up_soon_where_a_lock_is_held_and_may_be_repeated(
    first: Database, in_its_way: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvcast.storage.schema.LOCK_SECONDS", 0.2)
    with pytest.raises(StorageUnavailable, match=r"lock timeout.*nothing was applied"):
        migrate(first.owner_url)
    assert version_of(first) == "1"
    in_its_way()
    migrate(first.owner_url)
    assert version_of(first) == str(VERSION)
