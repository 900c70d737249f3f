"""A pooled connection never hands one query's rows to another; the server's limits hold; errors say what to do."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from kvcast.embedded import Stores
from kvcast.errors import InternalError, InvalidValue, KvcastError, OutcomeUnknown, SettingsError, StorageUnavailable
from kvcast.storage.pool import Pool, Session, connect_arguments
from tests.descriptors import none_left
from tests.polling import eventually

ROOT = Path(__file__).parents[2]
Break = Callable[[Pool], None]


class Cut(BaseException):
    """As GreenletExit is: no Exception, and raised in the midst of waiting."""


def cut_in_mid_query(pool: Pool) -> None:
    """When the server says that it is at it."""
    observer, threads = pool._open(), []

    def cut(_number: int, _frame: FrameType | None) -> None:
        raise Cut

    def ring(pid: int) -> None:
        sleeps = "SELECT 1 FROM pg_stat_activity WHERE pid = :pid AND wait_event = 'PgSleep'"
        eventually(lambda: observer.run(sleeps, pid=pid))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    def ask() -> None:
        with pool.session() as session:
            threads.append(threading.Thread(target=ring, args=session.run("SELECT pg_backend_pid()")[0]))
            threads[0].start()
            session.run("SELECT :victim::text, pg_sleep(1)", victim="victim")

    before = signal.signal(signal.SIGALRM, cut)
    try:
        with pytest.raises(Cut):
            ask()
    finally:
        threads[0].join()
        signal.signal(signal.SIGALRM, before)
        observer.close()


def lone_surrogate(pool: Pool) -> None:
    with pytest.raises(InvalidValue):
        pool.run("SELECT :text::text", text="\ud800")


def encoding_error_after_parse(pool: Pool) -> None:
    """A surrogate again, by the driver's other way, which sends PARSE before it encodes; nothing of ours takes it."""
    with pytest.raises(InvalidValue), pool.session() as session:
        session._connection.run("SELECT :text::text", text="\ud800")


def silence_of_the_server(pool: Pool) -> None:
    with pool.session() as session:
        session.run("SET statement_timeout = 0")
    with pytest.raises(OutcomeUnknown):  # the socket's own limit, a second above the server's
        pool.run("SELECT 'victim', pg_sleep(2.8)")


BREAKS = [cut_in_mid_query, encoding_error_after_parse, silence_of_the_server]


def named(*breaks: Callable[[Pool], None]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("break_it", breaks, ids=[one.__name__ for one in breaks])


def own(pool: Pool) -> list[Any]:
    """What eight queries get that ask for 0 to 7."""
    seen: list[Any] = []
    for number in range(8):
        try:
            seen += pool.run("SELECT :number::int", number=number)[0]
        except Exception as error:
            seen.append(type(error).__name__)
    return seen


@pytest.fixture
def make_pool(stores: Stores) -> Iterator[Callable[..., Pool]]:
    pools: list[Pool] = []

    def make(size: int = 2, **options: Any) -> Pool:
        pools.append(Pool(stores.database_url, size, statement_timeout_seconds=1.5, **options))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


@named(*BREAKS, lone_surrogate)
def test_after_a_break_each_query_gets_its_own_rows(make_pool: Callable[..., Pool], break_it: Break) -> None:
    pool = make_pool()
    pool.run("SELECT :number::int", number=0)
    break_it(pool)
    assert own(pool) == list(range(8))
    assert (pool.opened, pool.discarded) == (2, 1)


@named(*BREAKS)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_without_the_discard_rule_they_do_not(make_pool: Callable[..., Pool], break_it: Break) -> None:
    """What the test above would see of a pool that keeps a broken connection."""
    pool = make_pool(discard=False)
    pool.run("SELECT :number::int", number=0)
    break_it(pool)
    assert own(pool) != list(range(8))


def under_gevent(url: str, rule: str) -> dict[str, list[Any]]:
    command = [sys.executable, "-m", "tests.storage.greenlets", url, rule]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    seen: dict[str, list[Any]] = json.loads(done.stdout)
    return seen


def test_a_killed_greenlet_leaves_nothing_behind(stores: Stores) -> None:
    """Neither does a gevent.Timeout; and a connection that the server ended while idle is not noticed by a caller."""
    seen = under_gevent(stores.database_url, "discard")
    assert seen.keys() == {"killed", "timed_out", "ended_by_the_server"}
    assert all(rows == list(range(8)) for rows in seen.values()), seen


def test_a_killed_greenlet_would_leave_its_rows(stores: Stores) -> None:
    seen = under_gevent(stores.database_url, "keep")
    assert seen["killed"] != list(range(8))
    assert seen["timed_out"] != list(range(8))


def test_a_statement_that_takes_too_long_is_ended_and_the_connection_stays(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(1)
    with pytest.raises(StorageUnavailable):
        pool.run("SELECT pg_sleep(5)")
    assert own(pool) == list(range(8))
    assert (pool.opened, pool.discarded) == (1, 0)


def test_an_error_of_the_server_costs_no_connection(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(1)
    for sql in ("SELECT 1 / 0", "SELECT nonsense", "NO SQL"):
        with pytest.raises(InternalError):
            pool.run(sql)
    with pytest.raises(InternalError):
        pool.run("SELECT 1 / :number::int", number=0)
    assert own(pool) == list(range(8))
    assert (pool.opened, pool.discarded) == (1, 0)


def test_an_error_rolls_the_transaction_back(make_pool: Callable[..., Pool], unique_key: Callable[..., str]) -> None:
    pool = make_pool(1)

    def insert(then: Callable[[Session], object]) -> None:
        with pool.transaction() as session:
            session.run("INSERT INTO idempotency (id, fingerprint) VALUES (:id, '')", id=unique_key())
            then(session)

    def fail(error: BaseException) -> None:
        raise error

    count = "SELECT count(*) FROM idempotency WHERE id = :id"
    for error in (StorageUnavailable("ours"), Cut(), RuntimeError("unforeseen")):
        with pytest.raises((type(error), OutcomeUnknown)):
            insert(lambda _, error=error: fail(error))  # type: ignore[misc]
    with pytest.raises(InternalError):
        insert(lambda session: session.run("SELECT 1 / 0"))
    assert pool.run(count, id=unique_key()) == [[0]]
    insert(lambda session: session.run("SELECT 1"))
    assert pool.run(count, id=unique_key()) == [[1]]


def test_many_callers_share_few_connections(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(4, wait_seconds=10)

    def ask(number: int) -> int:
        return int(pool.run("SELECT :number::int", number=number)[0][0])

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(ask, range(200))) == list(range(200))
    assert pool.opened <= 4


def test_a_busy_pool_refuses_soon_and_recovers(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(1, wait_seconds=0.05)
    with pool.session(), pytest.raises(StorageUnavailable, match="busy"):
        pool.run("SELECT 1")
    for _ in range(3):  # a slot is given back whatever happened
        cut_in_mid_query(pool)
    assert own(pool) == list(range(8))


def test_a_restarted_server_is_found_again(tmp_path: Path) -> None:
    with Stores(tmp_path / "data") as stores:
        pool = Pool(stores.migration_url, 3)
        with pool.session(), pool.session(), pool.session():
            pass
        stores.postgres.kill()
        with pytest.raises(KvcastError) as down:
            pool.run("SELECT 1")
        assert not down.value.permanent
        stores.postgres.start()

        def answers() -> bool:
            with suppress(OutcomeUnknown):  # one for each connection of before
                return own(pool) == list(range(8))
            return False

        eventually(answers)
        assert pool.opened <= 6
        pool.close()


def test_a_server_that_is_not_there_is_named_and_may_be_tried_again(tmp_path: Path) -> None:
    pool = Pool(f"postgresql://kvcast@/kvcast?host={tmp_path}", 1)
    for _ in range(3):
        with pytest.raises(StorageUnavailable, match="cannot be reached"):
            pool.run("SELECT 1")


@pytest.mark.parametrize("sql", ["DROP TABLE kv", "TRUNCATE kv", "CREATE TABLE evil ()", "UPDATE meta SET value = ''"])
def test_the_functions_role_changes_rows_and_no_schema(make_pool: Callable[..., Pool], sql: str) -> None:
    pool = make_pool(1)
    with pytest.raises(InternalError, match="42501"):
        pool.run(sql)
    assert pool.run("SELECT count(*) >= 0 FROM kv") == [[True]]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p%40s@db.test:6432/kv", {"user": "u", "password": "p@s", "host": "db.test", "port": 6432}),
        ("postgres://localhost/kv", {"user": "postgres", "password": None, "host": "localhost", "database": "kv"}),
        ("postgresql://u@/kv?host=%2Frun%2Fpg&port=6000", {"unix_sock": "/run/pg/.s.PGSQL.6000", "user": "u"}),
        ("postgresql://u@h/kv?application_name=x", {"application_name": "x", "ssl_context": None}),
    ],
)
def test_a_url_is_read_as_libpq_does(url: str, expected: dict[str, Any]) -> None:
    assert expected.items() <= connect_arguments(url).items()


def test_tls_is_verified_where_that_is_asked_for() -> None:
    verified = connect_arguments("postgresql://h/kv?sslmode=verify-full")["ssl_context"]
    assert (verified.check_hostname, verified.verify_mode.name) == (True, "CERT_REQUIRED")
    merely = connect_arguments("postgresql://h/kv?sslmode=require")["ssl_context"]
    assert (merely.check_hostname, merely.verify_mode.name) == (False, "CERT_NONE")


@pytest.mark.parametrize("query", ["sslmode=prefer", "sslmode=verify-ca", "ssl=true", "options=-c"])
def test_what_a_url_asks_for_in_vain_is_refused(query: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        connect_arguments(f"postgresql://h/kv?{query}")


def test_without_a_file_descriptor_postgres_is_unavailable_and_the_pool_loses_no_place(stores: Stores) -> None:
    size = 2
    pool = Pool(stores.database_url, size)
    with none_left():
        for _ in range(size + 1):
            with pytest.raises(StorageUnavailable, match="open files"):
                pool.run("SELECT 1")
    assert pool.run("SELECT 1") == [[1]]
    pool.close()
