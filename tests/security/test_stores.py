"""What the functions may not do to the stores, though somebody else spoke through them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from kvcast.bus.connection import open_redis
from kvcast.embedded import Stores
from kvcast.embedded.valkey import RULES
from kvcast.errors import InternalError
from kvcast.storage.pool import Pool
from tests.calls import Caller
from tests.databases import Database

ROOT = Path(__file__).parents[2]
COMMANDS = [
    "CONFIG GET requirepass", "CONFIG SET maxmemory 1", "CONFIG REWRITE", "FLUSHALL", "FLUSHDB", "KEYS *",
    "SHUTDOWN NOSAVE", "DEBUG SLEEP 0",
    "MONITOR", "ACL LIST", "ACL SETUSER evil on nopass +@all", "CLIENT LIST", "CLIENT KILL TYPE normal",
    "CLIENT PAUSE 1", "REPLICAOF evil.example 6379", "MODULE LOAD /tmp/evil.so", "SAVE", "BGSAVE", "BGREWRITEAOF",
    "SLOWLOG GET",
    "SWAPDB 0 1", "MIGRATE h 1 kvcast:a 0 1", "RESTORE kvcast:a 0 x", "SORT kvcast:a", "LATENCY RESET", "CLUSTER RESET",
    "FAILOVER", "SYNC",
]
FOREIGN = [
    "GET session:1", "SET session:1 x", "DEL session:1", "HGETALL session:1", "EVAL return(redis.call('GET','x')) 0",
    "PUBLISH news x",
]


@pytest.fixture
def functions(stores: Stores) -> Iterator[redis.Redis]:
    client = open_redis(stores.functions_redis_url)
    yield client
    client.close()


@pytest.mark.parametrize("command", [*COMMANDS, *FOREIGN])
def test_the_functions_user_of_redis_may_not(functions: redis.Redis, command: str) -> None:
    with pytest.raises(redis.ResponseError, match=r"(?i)no permissions|command not allowed"):
        functions.execute_command(*command.split())  # type: ignore[no-untyped-call]
    assert functions.ping()


def test_its_rules_are_those_of_the_chart_and_of_the_documents() -> None:
    for name in ("charts/kvcast/templates/redis.yaml", "k8s/base/kvcast.yaml", "docs/security.md"):
        assert RULES in (ROOT / name).read_text(encoding="utf-8"), name


def test_all_that_kvcast_does_works_as_that_user(
    functions: redis.Redis, stores: Stores, call: Caller, unique_key: Callable[..., str]
) -> None:
    """The shared app is connected as that user: so are nearly all tests."""
    call.rev_of(unique_key())
    with redis.Redis.from_url(stores.redis_url) as operator:
        users = {client["user"] for client in operator.client_list() if client["lib-name"]}
        assert "kvcast" in users
        assert not [line for line in operator.acl_log() if line["username"] == "kvcast" and "kvcast:" in line["object"]]


STATEMENTS = [
    "DROP TABLE kv", "DROP TABLE tick", "DROP SCHEMA kvcast CASCADE", "ALTER TABLE kv ADD COLUMN evil text",
    "TRUNCATE kv",
    "ALTER TABLE kv DISABLE TRIGGER ALL", "CREATE TABLE evil ()", "CREATE TABLE public.evil ()", "CREATE SCHEMA evil",
    "CREATE INDEX evil ON kv (value)", "CREATE FUNCTION evil() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE evil", "ALTER ROLE kvcast SUPERUSER", "SET ROLE postgres",
    "UPDATE meta SET value = ''", "DELETE FROM meta", "UPDATE audit SET token = 'x'", "DELETE FROM audit",
    "ALTER SEQUENCE rev RESTART", "SELECT setval('rev', 1)", "DROP SEQUENCE rev", "CREATE EXTENSION dblink",
    "COPY kv TO '/tmp/evil'", "COPY kv TO PROGRAM 'true'", "SELECT pg_read_file('/etc/passwd')",
    "SELECT rolpassword FROM pg_authid", "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()",
    "SELECT lo_import('/etc/passwd')", "CREATE DATABASE evil",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_the_functions_role_of_postgresql_may_not(database: Database, statement: str) -> None:
    pool: Pool = database.pool(1)
    with pytest.raises(InternalError, match=r"42501|25001|0A000"):
        pool.run(statement)
    assert pool.run("SELECT count(*) >= 0 FROM kv") == [[True]]
