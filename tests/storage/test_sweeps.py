"""The sweep's query and the reaping of what is over, on a real PostgreSQL."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from kvcast.messages import Write
from kvcast.storage import sweeps
from kvcast.storage.idempotency import once
from kvcast.storage.writes import write_all
from tests.databases import Database
from tests.polling import eventually


def test_a_row_that_commits_two_sweeps_late_is_found_where_a_cursor_on_rev_misses_it(database: Database) -> None:
    position = sweeps.position(database.own)
    late = database.session()
    late.run("BEGIN")
    [slow] = write_all(late, database.statements, [Write("slow", "1")])
    [quick] = database.commit(Write("quick", "1"))
    by_tx: list[str] = []
    by_rev: list[str] = []
    cursor = 0
    for sweep in range(4):
        if sweep == 2:
            late.run("COMMIT")
        position, rows = sweeps.changed(database.own, position)
        by_tx += [key for key, _ in rows]
        rows = [(key, rev) for key, rev in database.own.run("SELECT key, rev FROM kv WHERE rev > :rev", rev=cursor)]
        by_rev += [key for key, _ in rows]
        cursor = max([cursor, *(rev for _, rev in rows)])
    assert slow.rev < quick.rev
    assert set(by_tx) == {"slow", "quick"}
    assert by_rev == ["quick"]


def test_a_row_updated_late_is_found_too(database: Database) -> None:
    database.commit(Write("a", "1"))
    position = sweeps.position(database.own)
    late = database.session()
    late.run("BEGIN")
    [change] = write_all(late, database.statements, [Write("a", "2")])
    database.commit(Write("b", "1"))
    position, _ = sweeps.changed(database.own, position)
    position, _ = sweeps.changed(database.own, position)
    late.run("COMMIT")
    position, rows = sweeps.changed(database.own, position)
    assert ("a", change.rev) in rows


def test_what_is_settled_is_not_found_again(database: Database) -> None:
    position = sweeps.position(database.own)
    [change] = database.commit(Write("a", "1"))
    position, rows = sweeps.changed(database.own, position)
    assert rows == [("a", change.rev)]

    def settled() -> bool:
        nonlocal position
        position, rows = sweeps.changed(database.own, position)
        return rows == []

    eventually(settled)  # when what the server did elsewhere meanwhile, such as ANALYZE, has ended


def test_a_new_epoch_is_seen_with_the_position(database: Database) -> None:
    before = sweeps.position(database.own)
    database.as_owner("UPDATE meta SET value = 'restored' WHERE name = 'epoch'")
    after, _ = sweeps.changed(database.own, before)
    assert (before.epoch, after.epoch) == (database.epoch, "restored")


def partitions(database: Database) -> set[str]:
    return {row[0] for row in database.own.run("SELECT inhrelid::regclass::text FROM pg_inherits")}


def named(day: date) -> str:
    return f"tick_{day:%Y%m%d}"


@pytest.fixture
def today() -> date:
    return datetime.now(UTC).date()


def test_a_tick_lands_in_the_partition_of_its_utc_day(database: Database, today: date) -> None:
    database.commit(Write("a", "1"))
    [[where, at]] = database.own.run("SELECT tableoid::regclass::text, (at AT TIME ZONE 'UTC')::date FROM tick")
    assert where == named(at)
    assert at in (today, today + timedelta(days=1))


def test_partitions_are_made_for_a_week_and_dropped_when_they_are_older_than_asked(
    database: Database, today: date
) -> None:
    old = [today - timedelta(days=days) for days in (3, 4, 30)]
    for day in old:
        following = day + timedelta(days=1)
        database.as_owner(
            f"CREATE TABLE {named(day)} PARTITION OF tick "
            f"FOR VALUES FROM ('{day} 00:00+00') TO ('{following} 00:00+00')"
        )
    coming = named(today + timedelta(days=5))
    database.as_owner(f"DROP TABLE {coming}")
    sweeps.roll_partitions(database.own, 3)
    sweeps.roll_partitions(database.own, 3)
    held = partitions(database)
    assert {named(today + timedelta(days=days)) for days in range(-1, 8)} <= held
    assert [named(day) in held for day in old] == [True, False, False]


def test_the_functions_may_not_drop_a_partition_themselves(database: Database, today: date) -> None:
    with pytest.raises(Exception, match="must be owner"):
        database.own.run(f"DROP TABLE {named(today)}")


def test_tombstones_and_idempotency_keys_are_reaped_after_a_day(database: Database) -> None:
    database.commit(*[Write(key, "1") for key in ("live", "fresh", "old")])
    for name in ("fresh", "old"):
        once(database.own, name, "fingerprint", lambda session: "answer")
    for statement in (
        "UPDATE kv SET deleted = true, value = NULL WHERE key IN ('fresh', 'old')",
        "UPDATE kv SET updated_at = now() - interval '86401 seconds' WHERE key IN ('live', 'old')",
        "UPDATE kv SET updated_at = now() - interval '86390 seconds' WHERE key = 'fresh'",
        "UPDATE idempotency SET at = now() - interval '86401 seconds' WHERE id = 'old'",
        "UPDATE idempotency SET at = now() - interval '86390 seconds' WHERE id = 'fresh'",
    ):
        database.own.run(statement)
    sweeps.reap(database.own)
    assert database.own.run("SELECT key FROM kv ORDER BY key") == [["fresh"], ["live"]]
    assert database.own.run("SELECT id FROM idempotency") == [["fresh"]]


def test_a_tombstone_that_is_being_written_is_not_reaped(database: Database) -> None:
    database.commit(Write("a", "1"))
    database.own.run("UPDATE kv SET deleted = true, value = NULL, updated_at = now() - interval '2 days'")
    writer = database.session()
    writer.run("BEGIN")
    [change] = write_all(writer, database.statements, [Write("a", "2")])
    sweeps.reap(database.own)
    writer.run("COMMIT")
    assert database.row("a") == change
