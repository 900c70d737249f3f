from __future__ import annotations

from collections.abc import Callable

from tests.calls import Caller
from tests.conftest import Server
from tests.databases import Database
from tests.polling import eventually


def test_partitions_are_made_once_a_long_reader_is_done_and_writes_go_on_meanwhile(
    database: Database, serve: Callable[..., Server]
) -> None:
    """As after a week without any writer, and in the middle of a backup."""
    [[newest]] = database.own.run("SELECT max(relid::regclass::text) FROM pg_partition_tree('tick') WHERE isleaf")
    there = f"SELECT to_regclass('{newest}') IS NOT NULL"
    database.as_owner(f"DROP TABLE {newest}")
    reader = database.session()
    reader.run("BEGIN")
    reader.run("LOCK TABLE tick IN ACCESS SHARE MODE")
    reader.run("SET idle_in_transaction_session_timeout = 0")
    server = serve("write", **database.environment())
    eventually(lambda: "Housekeeping is put off" in server.log())
    assert Caller(server.url, server.token).rev_of("gold")
    assert not database.own.run(there)[0][0]
    reader.run("ROLLBACK")
    assert eventually(lambda: database.own.run(there)[0][0])
