"""The committer on a real PostgreSQL and a real Redis: what a group commit may never do."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvcast.bus.workers import WorkerReport
from kvcast.errors import InternalError, InvalidValue, KvcastError, OutcomeUnknown, Overloaded, StorageUnavailable
from kvcast.messages import Change, Write
from kvcast.metrics import COMMITS
from kvcast.storage.writes import TOGETHER_MOST_KEYS, write_all
from tests.calls import Caller
from tests.databases import Database
from tests.polling import eventually
from tests.postgres_wire import PostgresWire

from functions.write import committer
from functions.write.committer import Committer
from functions.write.publisher import Publisher
from functions.write.unit import Result

NUMBERS = itertools.count()
PATIENT_SECONDS = 30.0


class Room:
    """How full the store is said to be."""

    def __init__(self) -> None:
        self.is_full = False

    def full(self) -> bool:
        return self.is_full


class Writer:
    """A committer with all that belongs to it."""

    def __init__(self, database: Database, url: str | None = None, *, queue_max: int = 10_000) -> None:
        self.database = database
        self.room = Room()
        publisher = Publisher(database.cache(), WorkerReport("write", database.redis_url))
        self.committer = Committer(
            database.pool(url=url), database.statements, publisher, queue_max=queue_max, room=self.room
        )
        publisher.start()
        self.committer.start()
        self._holder = database.session()
        database.commit(Write("plug", "0"))

    def submit(self, *writes: Write) -> list[Result]:
        return self.committer.submit(writes)

    def grouped(self, units: list[list[Write]]) -> list[list[Result] | KvcastError]:
        """The outcome of each unit, when all of them, in this order, fall into one group."""
        outcomes: list[list[Result] | KvcastError] = [[] for _ in units]

        def submit(index: int, writes: list[Write]) -> None:
            try:
                outcomes[index] = self.committer.submit(writes)
            except KvcastError as error:
                outcomes[index] = error

        self._holder.run("BEGIN")
        write_all(self._holder, self.database.statements, [Write("plug", "1")])
        threads = [Thread(target=self.committer.submit, args=([Write("plug", "2")],))]
        threads[0].start()
        eventually(self.database.waits_for_lock)
        for index, writes in enumerate(units):
            threads.append(Thread(target=submit, args=(index, writes)))
            threads[-1].start()
            eventually(lambda expected=index + 1: self.committer._queue.qsize() == expected)  # type: ignore[misc]
        before = COMMITS._value.get()
        self._holder.run("COMMIT")
        for thread in threads:
            thread.join(20)
        self.commits = COMMITS._value.get() - before - 1  # one is the plug's
        return outcomes


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn is waited for however busy the machine is."""
    monkeypatch.setattr(committer, "QUEUE_SECONDS", PATIENT_SECONDS)
    monkeypatch.setattr(committer, "WAIT_SECONDS", 2 * PATIENT_SECONDS)


@pytest.fixture
def writer(database: Database, unhurried: None) -> Writer:
    return Writer(database)


def changes(outcome: list[Result] | KvcastError) -> list[Change]:
    assert isinstance(outcome, list)
    assert all(isinstance(result, Change) for result in outcome), outcome
    return [result for result in outcome if isinstance(result, Change)]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12), min_size=1, max_size=5))
def test_one_group_keeps_the_order_of_each_key_and_all_of_its_ticks(writer: Writer, units: list[list[str]]) -> None:
    mark = f"{next(NUMBERS)}."
    values = itertools.count()
    given = [[Write(mark + key, str(next(values))) for key in keys] for keys in units]
    outcomes = writer.grouped(given)
    assert writer.commits == 1
    written = [change for outcome in outcomes for change in changes(outcome)]
    sent = [write for unit in given for write in unit]
    assert [(change.key, change.value) for change in written] == [(write.key, write.value.encode()) for write in sent]
    for key in {write.key for write in sent}:
        own = [change for change in written if change.key == key]
        revs = [change.rev for change in own]
        assert revs == sorted(set(revs))
        assert [change.prev for change in own] == [0, *revs[:-1]]
        assert list(writer.database.ticks(key)) == own
        assert writer.database.row(key) == own[-1]
        assert writer.database.cache().get([key]) == [own[-1]]


@pytest.mark.parametrize(("poison", "error"), [('"\0"', InternalError), ('"\ud800"', InvalidValue)])
def test_one_poisoned_request_does_not_spoil_the_others_of_its_group(
    writer: Writer, poison: str, error: type[KvcastError]
) -> None:
    units = [[Write("a", "1")], [Write("b", "1"), Write("c", poison)], [Write("a", "2"), Write("d", "1")]]
    first, spoilt, last = writer.grouped(units)
    assert changes(first)[0].rev < changes(last)[0].rev
    assert isinstance(spoilt, list)
    assert [type(result) for result in spoilt] == [error, error]
    assert [writer.database.row(key) is not None for key in "abcd"] == [True, False, False, True]
    assert changes(writer.submit(Write("c", "1")))


def test_a_request_is_written_whole_or_not_at_all(writer: Writer) -> None:
    with_poison = writer.submit(*[Write(f"k{n}", "1") for n in range(50)], Write("k50", '"\0"'))
    assert all(isinstance(result, InternalError) for result in with_poison)
    assert writer.database.row("k0") is None


def test_what_would_wait_too_long_is_refused_at_once(database: Database, unhurried: None) -> None:
    writer = Writer(database, queue_max=10)
    refusals: list[float] = []

    def submit_too_many() -> None:
        began = time.monotonic()
        with pytest.raises(Overloaded):
            writer.submit(*[Write("x", "1")] * 10)
        refusals.append(time.monotonic() - began)

    blocked = database.session()
    blocked.run("BEGIN")
    write_all(blocked, database.statements, [Write("hot", "1")])
    waiting = Thread(target=writer.submit, args=(Write("hot", "2"),))
    waiting.start()
    eventually(database.waits_for_lock)
    submit_too_many()
    blocked.run("COMMIT")
    waiting.join(PATIENT_SECONDS)
    assert refusals[0] < PATIENT_SECONDS / 2, "it has waited for its turn"
    eventually(lambda: changes(writer.submit(*[Write("x", str(n)) for n in range(10)])))
    assert len(database.ticks("x")) == 10


def test_a_write_whose_turn_does_not_come_is_withdrawn(
    database: Database, unhurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(database, queue_max=10)
    blocked = database.session()
    blocked.run("BEGIN")
    write_all(blocked, database.statements, [Write("hot", "1")])
    waiting = Thread(target=writer.submit, args=(Write("hot", "2"),))
    waiting.start()
    eventually(database.waits_for_lock)
    with monkeypatch.context() as hurried:
        hurried.setattr(committer, "QUEUE_SECONDS", 0.3)
        with pytest.raises(Overloaded):
            writer.submit(*[Write("late", "1")] * 5)
    blocked.run("COMMIT")
    waiting.join(PATIENT_SECONDS)
    assert database.row("hot") is not None
    changes(writer.submit(*[Write("after", "1")] * 9))  # nothing withdrawn takes up room
    assert database.row("late") is None


@pytest.fixture
def wire(database: Database) -> Iterator[PostgresWire]:
    with PostgresWire(database.database_url) as wire:
        yield wire


@pytest.mark.parametrize("full", [False, True])
def test_without_postgresql_nothing_is_applied_and_that_is_said(
    database: Database, wire: PostgresWire, full: bool
) -> None:
    writer = Writer(database, wire.url)
    writer.room.is_full = full
    wire.cut()
    [result] = writer.submit(Write("a", "1"))
    assert isinstance(result, StorageUnavailable)
    assert database.row("a") is None
    wire.mend()
    writer.room.is_full = False
    changes(writer.submit(Write("a", "1")))


def test_a_lost_answer_leaves_the_outcome_unknown_and_is_not_repeated(database: Database, wire: PostgresWire) -> None:
    writer = Writer(database, wire.url)
    changes(writer.submit(Write("a", "1")))
    wire.lose_answer(b"SELECT 1")
    [result] = writer.submit(Write("a", "2"))
    assert isinstance(result, OutcomeUnknown)
    wire.lose_answer(b"COMMIT")
    many = [Write(f"k{number}", "3") for number in range(TOGETHER_MOST_KEYS)]
    results = writer.submit(Write("a", "3"), Write("a", "4"), *many)
    assert all(isinstance(result, OutcomeUnknown) for result in results)
    assert wire.answers_lost == 2
    assert [tick.value for tick in database.ticks("a")] == [b"1", b"2", b"3", b"4"]
    changes(writer.submit(Write("a", "5")))


def test_a_key_that_repeats_costs_no_further_trip(database: Database, wire: PostgresWire) -> None:
    """The first answer is lost, and the rest had been sent before it."""
    writer = Writer(database, wire.url)
    changes(writer.submit(Write("a", "1"), Write("a", "2")))
    wire.lose_answer(b"SELECT 1")
    results = writer.submit(Write("a", "3"), Write("b", "1"), Write("a", "4"), Write("a", "5"))
    assert all(isinstance(result, OutcomeUnknown) for result in results)
    eventually(lambda: [tick.value for tick in database.ticks("a")] == [b"1", b"2", b"3", b"4", b"5"])


def test_over_http_postgresql_away_is_a_503_with_retry_after_and_heals(
    database: Database, wire: PostgresWire, serve: Callable[..., Any]
) -> None:
    server = serve("write", DATABASE_URL=wire.url, REDIS_URL=database.redis_url, KVCAST_QUEUE_MAX_ITEMS="5")
    call = Caller(server.url, server.token)
    add = '{"key":"a","value":1}'
    assert call("POST", "/add", add).status == 200

    too_many = "[" + ",".join([add] * 6) + "]"
    reply = call("POST", "/batch", too_many)
    assert (reply.status, reply.json()["error"]["code"], reply.headers["retry-after"]) == (503, "overloaded", "1")

    wire.lose_answer(b"COMMIT")
    reply = call("POST", "/add", add, idempotency_key="once")
    assert (reply.status, reply.json()["error"]["code"]) == (503, "outcome_unknown")
    assert reply.headers["retry-after"] == "1"
    repeated = call("POST", "/add", add, idempotency_key="once")
    assert (repeated.status, repeated.headers["idempotency-replayed"]) == (200, "true")
    assert [tick.rev for tick in database.ticks("a")][-1] == repeated.json()["rev"]
    assert len(database.ticks("a")) == 2
    assert wire.answers_lost == 1

    wire.cut()
    for path, headers in (("/add", {}), ("/add", {"idempotency_key": "two"})):
        reply = eventually(
            lambda path=path, headers=headers: _refused(call("POST", path, add, **headers))  # type: ignore[misc]
        )
        assert reply.headers["retry-after"] == "1"
    for elements, told in (([add], True), ([add, '{"key":"a/b","value":1}'], True), ([], False)):
        reply = call("POST", "/batch", f"[{','.join(elements)}]")
        assert ("retry-after" in reply.headers) == told
        assert [result["error"]["code"] for result in reply.json()["results"]][:1] == ["storage_unavailable"] * told
    wire.mend()
    eventually(lambda: call("POST", "/add", add).status == 200)
    assert call("POST", "/add", add, idempotency_key="two").status == 200
    assert len(database.ticks("a")) == 4


def _refused(reply: Any) -> Any:
    """The first call on a connection that has just died cannot know; the next ones do."""
    assert reply.status == 503
    return reply if reply.json()["error"]["code"] == "storage_unavailable" else None
