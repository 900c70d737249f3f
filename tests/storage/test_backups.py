"""A backup is one moment of the store, and a restore is all of it or nothing."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kvcast.embedded import FUNCTIONS_ROLE, Stores
from kvcast.embedded.postgres import program
from kvcast.errors import Conflict, InvalidRequest, SettingsError, StorageUnavailable
from kvcast.messages import Change, Write
from kvcast.storage import audit, idempotency, reads, sweeps
from kvcast.storage.backups import REV_GAP, back_up, restore, version_in, whole_or_nothing
from kvcast.storage.pool import Session
from kvcast.storage.schema import VERSION, migrate, usable_epoch
from kvcast.storage.tools import Tools, find_tools, libpq_environment
from kvcast.storage.writes import Statements, commit_all, write_all
from tests.databases import Database
from tests.polling import eventually

TOOLS = Tools(Path(program("pg_dump")).parent, 18)
Restore = Callable[..., None]


@pytest.fixture
def own(stores: Stores) -> Iterator[Database]:
    """A database that a restore may make anew."""
    with Database(stores) as database:
        yield database


def backup_of(database: Database, path: Path) -> Path:
    with whole_or_nothing(path) as target:
        back_up(database.owner_url, TOOLS, target)
    return path


def bring_back(
    database: Database, path: Path, *, force: bool = True, functions_url: str = "", tools: Tools = TOOLS
) -> None:
    restore(
        database.owner_url, path, tools,
        functions_url=functions_url, setting="DATABASE_URL", force=force, say=lambda _text: None,
    )


def everything(database: Database) -> list[object]:
    return [
        database.own.run(f"SELECT * FROM {table} ORDER BY 1, 2")
        for table in ("meta", "kv", "tick", "idempotency", "audit")
    ]


def test_a_restore_brings_back_all_but_the_epoch_and_never_a_rev_twice(own: Database, tmp_path: Path) -> None:
    kept, gone = own.commit(Write("kept", '"\\u00fc 2345.60"', "metal", 3600.0), Write("gone", "1"))
    idempotency.once(own.own, "id", "print", lambda _session: "the answer")
    own.own.run("INSERT INTO audit (token, action, count, rev) VALUES ('ops', 'batch', 2, 7)")
    path = backup_of(own, tmp_path / "a.dump")
    assert path.stat().st_mode & 0o777 == 0o600
    before = everything(own)
    epoch = own.epoch
    [changed] = own.commit(Write("kept", "2"))
    own.commit(Write("new", "3"))
    own.own.run("DELETE FROM kv WHERE key = 'gone'")

    bring_back(own, path)
    after = everything(own)
    assert [len(rows) for rows in after[:4]] == [len(rows) for rows in before[:4]]  # type: ignore[arg-type]
    assert own.own.run("SELECT action FROM audit ORDER BY id") == [["batch"], ["restore"]]
    assert after[2:4] == before[2:4]
    assert (own.row("kept"), own.row("gone"), own.row("new")) == (kept, gone, None)
    assert usable_epoch(own.own) not in ("", epoch)
    [drawn] = own.commit(Write("kept", "4"))
    assert drawn.rev > changed.rev + REV_GAP
    assert drawn.prev == kept.rev


def test_a_sweep_takes_no_restored_row_for_a_fresh_one(own: Database, tmp_path: Path) -> None:
    """As the transaction ids of another server would: they may be ahead of this one's for years."""
    own.commit(Write("gold", "1"))
    own.as_owner("UPDATE kv SET tx = '9000000000'")
    position = sweeps.position(own.own)
    assert sweeps.changed(own.own, position)[1]
    bring_back(own, backup_of(own, tmp_path / "a.dump"))
    assert not sweeps.changed(own.own, sweeps.earlier(position, 10_000))[1]
    [fresh] = own.commit(Write("gold", "2"))
    assert sweeps.changed(own.own, position)[1] == [("gold", fresh.rev)]


def test_a_backup_is_one_moment_while_writes_go_on(own: Database, bare: Database, tmp_path: Path) -> None:
    """Two keys are always written together."""
    ended, written = threading.Event(), [0]

    def write_pairs() -> None:
        pool, statements = own.pool(1), Statements(history=True)
        while not ended.is_set():
            written[0] += 1
            commit_all(pool, statements, [Write("left", str(written[0])), Write("right", str(written[0]))])

    writer = threading.Thread(target=write_pairs)
    writer.start()
    try:
        eventually(lambda: written[0] > 50)
        began = written[0]
        path = backup_of(own, tmp_path / "a.dump")
        eventually(lambda: written[0] > began + 50)
    finally:
        ended.set()
        writer.join(10)
    bring_back(bare, path, functions_url=bare.database_url)
    pool = bare.pool()
    rows = reads.latest(pool, ["left", "right"])
    assert rows["left"].value == rows["right"].value
    assert began - 1 <= int(rows["left"].value or b"") < written[0]
    for key in ("left", "right"):
        ticks = reads.ticks_after(pool, key, 0, 1_000_000)
        assert [tick.value for tick in ticks] == [str(n + 1).encode() for n in range(len(ticks))]
        assert ticks[-1].rev == rows[key].rev


def test_a_database_with_data_is_only_replaced_when_told_to(own: Database, tmp_path: Path) -> None:
    path = backup_of(own, tmp_path / "a.dump")
    bring_back(own, path, force=False)  # nothing is in it
    own.commit(Write("gold", "1"))
    with pytest.raises(Conflict, match=r"holds data already, .* --force"):
        bring_back(own, path, force=False)
    assert own.row("gold")


def test_restores_among_busy_functions_end_neither_in_a_deadlock_nor_in_a_wrong_answer(
    own: Database, tmp_path: Path
) -> None:
    path = backup_of(own, tmp_path / "a.dump")
    pool, statements, ended = own.pool(8), Statements(history=True), threading.Event()
    rounds: Counter[str] = Counter()
    errors: list[Exception] = []

    def add() -> None:
        [change] = commit_all(pool, statements, [Write("gold", "1")])
        assert change.key == "gold"

    def add_once() -> None:
        def call(session: Session) -> str:
            [change] = write_all(session, statements, [Write("btc", "2")])
            audit.record(session, "add", token="t", key="btc", count=1, rev=change.rev, note="n", client=None)
            return str(change.rev)

        idempotency.once(pool, f"id-{rounds['add_once']}", "f", call)

    def sweep() -> None:
        sweeps.changed(pool, sweeps.position(pool))
        sweeps.roll_partitions(pool, 7)
        sweeps.reap(pool)

    def run(call: Callable[[], None]) -> None:
        while not ended.is_set():
            rounds[call.__name__] += 1
            try:
                call()
            except StorageUnavailable:
                pass  # it waited for the restore for too long, and nothing was applied
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in (add, add, add_once, add_once, sweep)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(rounds) == 3)
        for _ in range(5):
            before = rounds.copy()
            eventually(lambda before=before: all(rounds[name] > count + 5 for name, count in before.items()))  # type: ignore[misc]
            bring_back(own, path)
    finally:
        ended.set()
        for thread in threads:
            thread.join(20)
    assert not errors


def damaged(path: Path, how: str) -> Path:
    data = bytearray(path.read_bytes())
    if how == "cut":
        data = data[: len(data) * 6 // 10]
    else:
        middle = len(data) * 6 // 10
        data[middle : middle + 64] = os.urandom(64)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("how", ["cut", "overwritten"])
def test_a_damaged_backup_changes_nothing(own: Database, tmp_path: Path, how: str) -> None:
    own.commit(*(Write(f"key-{number}", f'"{os.urandom(60).hex()}"') for number in range(1000)))
    path = damaged(backup_of(own, tmp_path / "a.dump"), how)
    own.commit(Write("later", "1"))
    before = everything(own)
    with pytest.raises((InvalidRequest, StorageUnavailable), match=r"[Nn]othing was changed"):
        bring_back(own, path)
    assert everything(own) == before
    assert own.commit(Write("later", "2"))


@pytest.mark.parametrize("section", ["pre-data", "data", "post-data"])
def test_a_section_that_cannot_be_read_at_all_changes_nothing(own: Database, tmp_path: Path, section: str) -> None:
    path = backup_of(own, tmp_path / "a.dump")
    own.commit(Write("later", "1"))
    before = everything(own)
    for name in ("pg_dump", "psql"):
        (tmp_path / name).symlink_to(TOOLS.command(name))
    (tmp_path / "pg_restore").write_text(
        f'#!/bin/sh\ncase "$*" in *--section={section}*) echo "pg_restore: error: a bad block" >&2; exit 1;; esac\n'
        f'exec {TOOLS.command("pg_restore")} "$@"\n'
    )
    (tmp_path / "pg_restore").chmod(0o755)
    with pytest.raises(InvalidRequest, match=r"is damaged: pg_restore: error: a bad block\. Nothing was changed\."):
        bring_back(own, path, tools=Tools(tmp_path, 18))
    assert everything(own) == before


def test_a_restore_gives_up_in_front_of_a_long_transaction(
    own: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = backup_of(own, tmp_path / "a.dump")
    monkeypatch.setattr("kvcast.storage.backups._BEGIN", "BEGIN; SET LOCAL lock_timeout = '100ms';\n\\set held 0\n")
    holding = own.session()
    holding.run("BEGIN")
    holding.run("SELECT * FROM kv")
    with pytest.raises(StorageUnavailable, match=r"lock timeout\. Nothing was changed"):
        bring_back(own, path)


@pytest.mark.parametrize("content", [b"", b"PGDMP", b"not a dump at all" * 100])
def test_what_is_no_backup_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.dump"
    path.write_bytes(content)
    with pytest.raises(InvalidRequest, match="is no backup of kvcast"):
        version_in(path, TOOLS)


def test_a_backup_of_a_newer_release_is_refused(own: Database, tmp_path: Path) -> None:
    own.as_owner(f"UPDATE meta SET value = '{VERSION + 1}' WHERE name = 'schema'")
    path = backup_of(own, tmp_path / "a.dump")
    with pytest.raises(InvalidRequest, match="use a newer kvcast"):
        bring_back(own, path)


def test_a_backup_of_the_first_release_is_brought_forward(bare: Database, own: Database, tmp_path: Path) -> None:
    schema = Path(__file__).with_name("first_release") / "schema.sql"
    bare.as_owner(schema.read_text(encoding="utf-8"), "INSERT INTO kvcast.meta VALUES ('schema', '1')")
    bare.as_owner("INSERT INTO kv VALUES ('gold', '1', NULL, 1, 0, '5', false, now())")
    path = backup_of(bare, tmp_path / "a.dump")
    assert version_in(path, TOOLS) == 1
    bring_back(own, path)
    assert own.row("gold")
    assert own.own.run("SELECT value FROM meta WHERE name = 'schema'") == [[str(VERSION)]]


def test_a_backup_without_a_schema_says_so_and_leaves_no_file(bare: Database, tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="no matching schemas"):
        backup_of(bare, tmp_path / "a.dump")
    assert not list(tmp_path.iterdir())


def test_the_functions_role_of_another_server_is_made(bare: Database, own: Database, tmp_path: Path) -> None:
    change: Change
    [change] = own.commit(Write("gold", "1"))
    role = f"role_{bare.name}"
    url = bare.database_url.replace(f"{FUNCTIONS_ROLE}@", f"{role}@", 1)
    bring_back(bare, backup_of(own, tmp_path / "a.dump"), functions_url=url, force=False)
    pool = bare.pool(url=url)
    assert reads.latest(pool, ["gold"]) == {"gold": change}
    sweeps.roll_partitions(pool, 7)
    pool.close()
    bare.as_owner(f"DROP OWNED BY {role}")
    bare.administer(f"DROP ROLE {role}")


def test_a_long_reader_such_as_a_backup_holds_up_no_writer_through_the_partitions(own: Database) -> None:
    own.as_owner("CREATE TABLE tick_20200102 PARTITION OF tick FOR VALUES FROM ('2020-01-02') TO ('2020-01-03')")
    reader = own.session()
    reader.run("BEGIN")
    reader.run("LOCK TABLE tick IN ACCESS SHARE MODE")
    with pytest.raises(StorageUnavailable, match="lock"):
        sweeps.roll_partitions(own.own, 7)
    assert own.commit(Write("gold", "1"))
    reader.run("ROLLBACK")
    sweeps.roll_partitions(own.own, 7)


# The programs ----------------------------------------------------------------------------------------------------


def programs(folder: Path, version: str) -> Path:
    folder.mkdir()
    for name in ("pg_dump", "pg_restore", "psql"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    return folder


def test_programs_of_the_path_come_first_where_they_are_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = programs(tmp_path / "old", "15.4 (Debian 15.4-1)"), programs(tmp_path / "new", "18.1")
    monkeypatch.setenv("PATH", f"{old}:/usr/bin:/bin")
    assert find_tools(15, [new]) == Tools(old, 15)
    assert find_tools(16, [new]) == Tools(new, 18)
    with pytest.raises(SettingsError, match=r"old/pg_dump is of version 15 and the server of 17; install .* 17 or"):
        find_tools(17)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match=r"pg_dump, pg_restore and psql are not on the PATH; install .*client"):
        find_tools(17)


@pytest.mark.parametrize(("url", "expected"), [
    ("postgresql://me:p%40ss@db:5433/kv?sslmode=verify-full",
     {"PGHOST": "db", "PGPORT": "5433", "PGUSER": "me", "PGPASSWORD": "p@ss", "PGDATABASE": "kv",
      "PGSSLMODE": "verify-full", "PGSSLROOTCERT": "system"}),
    ("postgresql://me@/kv?host=/run/pg", {"PGHOST": "/run/pg", "PGPORT": "5432", "PGSSLMODE": "disable"}),
])
def test_the_programs_connect_as_the_functions_do(url: str, expected: dict[str, str]) -> None:
    environment = libpq_environment(url)
    assert {name: environment[name] for name in expected} == expected


def test_migrating_what_was_restored_changes_nothing(own: Database, tmp_path: Path) -> None:
    bring_back(own, backup_of(own, tmp_path / "a.dump"))
    before = everything(own)
    migrate(own.owner_url)
    assert everything(own) == before
