"""A row that somebody else's transaction holds delays the writes of its key, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from kvcast.bus.workers import WorkerReport
from kvcast.errors import StorageUnavailable
from kvcast.messages import Change, Write
from kvcast.storage.pool import Session
from kvcast.storage.writes import write_all
from tests.databases import Database
from tests.polling import HANG_SECONDS, eventually

from functions.write import aside
from functions.write import committer as committer_module
from functions.write.aside import LOCK_SECONDS
from functions.write.committer import Committer
from functions.write.publisher import Publisher
from functions.write.unit import Result

Submit = Callable[[Sequence[Write]], "Future[list[Result]]"]


class Room:
    def full(self) -> bool:
        return False


@pytest.fixture
def committer(database: Database) -> Committer:
    publisher = Publisher(database.cache(), WorkerReport("write", database.redis_url))
    pool = database.pool(2, lock_timeout_seconds=LOCK_SECONDS)
    committer = Committer(pool, database.statements, publisher, queue_max=10, room=Room())
    publisher.start()
    committer.start()
    database.commit(Write("hot", "0"), Write("cold", "0"))
    return committer


@pytest.fixture
def submit(committer: Committer) -> Iterator[Submit]:
    with ThreadPoolExecutor() as threads:
        yield lambda writes: threads.submit(committer.submit, writes)


@pytest.fixture
def holder(database: Database) -> Session:
    """A transaction that holds the row of the hot key."""
    session = database.session()
    session.run("BEGIN")
    session.run("SELECT FROM kv WHERE key = 'hot' FOR UPDATE")
    return session


def waits_patiently(database: Database) -> list[list[object]]:
    """Inside a transaction, which the first try needs none of."""
    return database.own.run(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        " AND xact_start < query_start"
    )


def changes(results: list[Result]) -> list[Change]:
    assert all(isinstance(result, Change) for result in results), results
    return [result for result in results if isinstance(result, Change)]


def test_the_others_are_written_while_one_waits_and_it_is_written_once_its_row_is_free(
    database: Database, submit: Submit, holder: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "QUEUE_SECONDS", HANG_SECONDS)
    monkeypatch.setattr(committer_module, "QUEUE_SECONDS", HANG_SECONDS)
    monkeypatch.setattr(committer_module, "WAIT_SECONDS", 2 * HANG_SECONDS)
    hot = submit([Write("hot", "1")])
    eventually(database.waits_for_lock)
    together = submit([Write("cold", "1"), Write("hot", "2")])  # one request: both or neither
    for number in range(2, 20):
        [cold] = changes(submit([Write("cold", str(number)), Write("new", "1")]).result(HANG_SECONDS)[:1])
        assert cold.value == str(number).encode()
    assert not hot.done()
    assert not together.done()
    holder.run("COMMIT")
    [first], [beside, second] = changes(hot.result(HANG_SECONDS)), changes(together.result(HANG_SECONDS))
    assert first.rev < second.rev
    assert second.prev == first.rev
    assert database.row("hot") == second
    assert database.row("cold") == beside
    assert [change.value for change in database.ticks("hot")] == [b"0", b"1", b"2"]


def test_what_waits_for_too_long_is_refused_and_takes_up_no_room(
    database: Database, submit: Submit, holder: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "QUEUE_SECONDS", 0.5)
    results = submit([Write("hot", "1")] * 5).result(HANG_SECONDS)
    assert [type(result) for result in results] == [StorageUnavailable] * 5
    assert changes(submit([Write("cold", str(number)) for number in range(10)]).result(HANG_SECONDS))
    holder.run("COMMIT")
    assert changes(submit([Write("hot", "2")] * 10).result(HANG_SECONDS))
    assert [change.value for change in database.ticks("hot")] == [b"0", *[b"2"] * 10]


def test_a_lock_that_no_row_shows_is_waited_for_by_all(database: Database, submit: Submit) -> None:
    """The key is made by a transaction that has not ended: nobody sees its row yet."""
    session = database.session()
    session.run("BEGIN")
    write_all(session, database.statements, [Write("made", "0")])
    made = submit([Write("made", "1")])
    eventually(lambda: waits_patiently(database))
    session.run("COMMIT")
    [change] = changes(made.result(HANG_SECONDS))
    assert database.row("made") == change
