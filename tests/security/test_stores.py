"""What the functions may not do to the stores, though somebody else spoke through them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from kvcast.bus.connection import open_redis
from kvcast.bus.workers import Report
from kvcast.embedded import Stores, Valkey
from kvcast.embedded.valkey import RULES
from kvcast.errors import InternalError
from kvcast.storage.pool import Pool
from tests.calls import Caller
from tests.conftest import Server
from tests.databases import Database
from tests.functions.push.raw import WebSocket
from tests.polling import eventually

ROOT = Path(__file__).parents[2]
COMMANDS = [
    "CONFIG GET requirepass", "CONFIG SET maxmemory 1", "CONFIG REWRITE", "FLUSHALL", "FLUSHDB", "KEYS *",
    "SHUTDOWN NOSAVE", "DEBUG SLEEP 0",
    "MONITOR", "ACL LIST", "ACL SETUSER evil on nopass +@all", "CLIENT LIST", "CLIENT KILL TYPE normal",
    "CLIENT PAUSE 1", "REPLICAOF evil.example 6379", "MODULE LOAD /tmp/evil.so", "SAVE", "BGSAVE", "BGREWRITEAOF",
    "SLOWLOG GET",
    "SWAPDB 0 1", "MIGRATE h 1 kvcast:a 0 1", "RESTORE kvcast:a 0 x", "SORT kvcast:a", "LATENCY RESET", "CLUSTER RESET",
    "FAILOVER", "SYNC", "SCAN 0", "FUNCTION FLUSH", "FUNCTION LOAD x", "SCRIPT FLUSH", "SCRIPT KILL",
    "RANDOMKEY", "DBSIZE", "HSCAN kvcast:a 0", "WAIT 0 0", "DEL kvcast:a", "GET kvcast:a", "MULTI",
    "PSUBSCRIBE kvcast:*",
]
REFUSED = re.compile(r"(?i)no permissions|command not allowed")
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
    with pytest.raises(redis.ResponseError, match=REFUSED):
        functions.execute_command(*command.split())  # type: ignore[no-untyped-call]
    assert functions.ping()


def test_its_rules_are_those_of_the_chart_and_of_the_documents() -> None:
    chart = ("charts/kvcast/templates/redis.yaml", "charts/kvcast/README.md")
    for name in (*chart, "k8s/base/kvcast.yaml", "docs/security.md"):
        assert RULES in (ROOT / name).read_text(encoding="utf-8"), name


ALLOWED = {word[1:] for word in RULES.split() if word.startswith("+")}
BEFORE_ANY_USER = {"auth", "hello", "quit", "reset"}  # whoever connects may say these


def every_command(operator: redis.Redis) -> Iterator[tuple[str, list[str]]]:
    """Each command and subcommand that the server knows, with as many arguments as it asks for."""
    listed: Any = operator.execute_command("COMMAND")  # type: ignore[no-untyped-call]
    for command in listed.values():
        subcommands = {sub[0].decode(): sub[1] for sub in command["subcommands"]}
        for name, arity in (subcommands or {command["name"]: command["arity"]}).items():
            yield name, [*name.split("|"), *["kvcast:x"] * max(0, abs(arity) - 1 - name.count("|"))]


def test_the_functions_user_of_redis_may_run_no_command_but_those_of_its_rules(
    functions: redis.Redis, stores: Stores
) -> None:
    may, known = set(), set()
    with redis.Redis.from_url(stores.redis_url) as operator:
        for name, words in every_command(operator):
            known.add(name)
            if name in ALLOWED | BEFORE_ANY_USER:
                continue
            try:
                functions.execute_command(*words)  # type: ignore[no-untyped-call]
                may.add(name)
            except redis.ResponseError as error:
                if not REFUSED.search(str(error)):
                    may.add(f"{name}: {error}")
    assert not may
    assert len(known) > 300
    assert known >= ALLOWED


def test_all_that_kvcast_does_works_as_that_user_and_needs_all_that_it_may(
    database: Database, serve: Callable[..., Server], tmp_path: Path
) -> None:
    valkey = Valkey(tmp_path)
    valkey.start()
    operator = redis.Redis.from_url(valkey.redis_url)
    try:
        server = serve(DATABASE_URL=database.database_url, REDIS_URL=valkey.functions_url, KVCAST_L1_MAX_BYTES="0")
        with Caller(server.url, server.token) as call:
            do_everything(call, server, operator)
        with open_redis(valkey.functions_url.replace("db=0", "db=1")) as elsewhere:
            elsewhere.ping()
            elsewhere.info("memory")
        assert eventually(lambda: not ALLOWED - used(operator)), ALLOWED - used(operator)
        assert [entry["object"] for entry in operator.acl_log()] == []
        assert b"kvcast" in {client["user"].encode() for client in operator.client_list()}
    finally:
        operator.close()
        valkey.stop()


def do_everything(call: Caller, server: Server, operator: redis.Redis) -> None:
    stale = msgspec.json.encode(Report("read", "gone-1", 0.0))
    operator.hset("kvcast:workers", "read-gone-1", stale)
    first = call.rev_of("gold", "1")
    assert call("POST", "/batch", '[{"key":"gold","value":2},{"key":"silver","value":1}]').status == 200
    epoch = call("GET", "/stats").json()["epoch"]
    with WebSocket(server.url) as viewer:
        viewer.subscribe("gold", mode="every", since={"gold": first}, epoch=epoch)
        call.rev_of("gold", "3")
        viewer.until("upd")
    assert call("DELETE", "/keys/silver").status == 200
    for path, status in (
        ("/get/gold", 200), ("/get/none", 404), ("/get/none", 404), ("/mget?key=gold&key=silver", 200),
        ("/keys?values=1", 200), ("/history/gold", 200), ("/admin/functions", 200), ("/healthz/ready", 200),
    ):
        assert call("GET", path).status == status, path


def used(operator: redis.Redis) -> set[str]:
    return {name.removeprefix("cmdstat_") for name in operator.info("commandstats")}


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
