"""The statements that change a key, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from kvcast.errors import InternalError, KeyNotFound, PreconditionFailed
from kvcast.messages import Change, Write
from kvcast.storage import reads, writes
from kvcast.storage.pool import Session
from kvcast.storage.writes import TOGETHER_MOST_KEYS, Statements, commit_all, write_all
from tests.databases import Database
from tests.polling import eventually

AWKWARD = [
    "null", "NULL", "Null", '"null"', '""', '"a\\"b"', '"\\\\"', '"{}"', "{}", "[1,2]", '{"a":[null,"x,y"]}', '" "',
    "2345.60",
]


@pytest.mark.parametrize("value", AWKWARD)
def test_a_value_is_stored_as_the_text_that_it_is(database: Database, value: str) -> None:
    first, second, third = database.commit(Write("gold", value), Write("silver", value), Write("gold", value))
    assert [made.value for made in (first, second, third)] == [value.encode()] * 3
    assert database.row("gold") == third
    assert [tick.value for tick in database.ticks("gold")] == [value.encode()] * 2


@pytest.mark.parametrize("name", ["null", "NULL", "Null", "nUlL"])
def test_a_key_or_category_may_be_called_null(database: Database, name: str) -> None:
    [made] = database.commit(Write(name, "1", category=name))
    assert (made.key, made.category) == (name, name)
    assert database.row(name) == made


def test_one_batch_keeps_order_and_the_last_of_a_key_wins(database: Database) -> None:
    made = database.commit(*[Write(key, str(n)) for n, key in enumerate("abacaba")])
    assert [change.value for change in made] == [b"%d" % n for n in range(7)]
    assert database.row("a") == made[6]
    assert [tick.rev for tick in database.ticks("a")] == [made[n].rev for n in (0, 2, 4, 6)]
    assert [made[n].prev for n in (0, 2, 4, 6)] == [0, made[0].rev, made[2].rev, made[4].rev]


def test_a_category_and_a_ttl_follow_the_last_write_of_a_batch(database: Database) -> None:
    made = database.commit(Write("a", "1", "metal", 100.0), Write("a", "2"), Write("a", "3", "coin"))
    assert [change.category for change in made] == ["metal", "metal", "coin"]
    row = database.row("a")
    assert row is not None
    assert (row.category, row.expires_ms) == ("coin", 0)


def test_a_category_given_by_a_repeat_stays_for_the_next_repeat(database: Database) -> None:
    made = database.commit(Write("a", "1"), Write("a", "2", "coin"), Write("a", "3"))
    assert [change.category for change in made] == ["default", "coin", "coin"]


def two_writers_on_one_row(database: Database, statements: Statements) -> tuple[list[int], list[Change]]:
    """One writes, the other waits for its lock, the first writes again and commits. The revs as the row had them."""
    first, second = database.session(), database.session()
    database.commit(Write("hot", "0"))
    first.run("BEGIN")
    [one] = write_all(first, statements, [Write("hot", "1")])
    late: list[Change] = []
    waiter = Thread(target=lambda: late.extend(write_all(second, statements, [Write("hot", "3")])))
    waiter.start()
    eventually(database.waits_for_lock)
    [two] = write_all(first, statements, [Write("hot", "2")])
    first.run("COMMIT")
    waiter.join(10)
    return [one.rev, two.rev, late[0].rev], list(database.own.run("SELECT value, rev FROM kv WHERE key = 'hot'")[0])


@pytest.mark.parametrize("drawn_under_lock", [True, False])
def test_the_rev_of_a_row_goes_back_only_where_it_is_drawn_before_the_lock(
    database: Database, drawn_under_lock: bool
) -> None:
    revs, row = two_writers_on_one_row(database, Statements(history=True, rev_under_lock=drawn_under_lock))
    assert row == ["3", revs[-1]]  # PostgreSQL holds what was written last, whatever its rev
    assert (revs == sorted(revs)) is drawn_under_lock


def test_writers_that_take_the_same_keys_in_other_orders_do_not_deadlock(database: Database) -> None:
    keys = [f"k{n}" for n in range(40)]
    errors: list[BaseException] = []

    def write(order: list[str]) -> None:
        try:
            for _ in range(25):
                commit_all(database.own, database.statements, [Write(key, "1") for key in order])
        except BaseException as error:
            errors.append(error)

    threads = [Thread(target=write, args=(order,)) for order in (keys, keys[::-1], keys[20:] + keys[:20])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not errors
    assert {len(database.ticks(key)) for key in keys} == {75}


def test_deleting_and_writing_again_stays_monotonic_and_chained(database: Database) -> None:
    with database.own.session() as session:
        [made] = write_all(session, database.statements, [Write("a", "1")])
        gone = writes.delete(session, database.statements, "a", None)
        again = writes.create(session, database.statements, Write("a", "2"))
    assert [change.prev for change in (made, gone, again)] == [0, made.rev, gone.rev]
    assert gone.value is None
    assert [tick.value for tick in database.ticks("a")] == [b"1", None, b"2"]


def in_session(call: Callable[[Session, Statements], Any]) -> Callable[[Database], Any]:
    def run(database: Database) -> Any:
        with database.own.session() as session:
            return call(session, database.statements)

    return run


@pytest.mark.parametrize(
    "refused",
    [
        in_session(lambda session, sql: writes.create(session, sql, Write("a", "2"))),
        in_session(lambda session, sql: writes.replace(session, sql, Write("a", "2"), [999])),
        in_session(lambda session, sql: writes.delete(session, sql, "a", [999])),
        in_session(lambda session, sql: writes.replace(session, sql, Write("absent", "2"), None)),
    ],
)
def test_a_refused_condition_changes_nothing(database: Database, refused: Callable[[Database], Any]) -> None:
    [made] = database.commit(Write("a", "1"))
    with pytest.raises(PreconditionFailed):
        refused(database)
    assert database.row("a") == made
    assert list(database.ticks("a")) == [made]


def test_what_is_absent_cannot_be_deleted(database: Database) -> None:
    with pytest.raises(KeyNotFound), database.own.session() as session:
        writes.delete(session, database.statements, "absent", [1])


def test_a_key_past_its_ttl_counts_as_absent_before_it_is_ended(database: Database) -> None:
    [made] = database.commit(Write("a", "1", ttl=0.001))
    eventually(lambda: not reads.page(database.own, after="", prefix="", category=None, most=1, values=False))
    with database.own.session() as session:
        again = writes.create(session, database.statements, Write("a", "2", ttl=0.001))
    assert again.prev == made.rev
    eventually(lambda: not reads.page(database.own, after="", prefix="", category=None, most=1, values=False))
    with database.own.session() as session:
        [ended] = writes.expire(session, database.statements, 10)
        assert not writes.expire(session, database.statements, 10)
    assert (ended.key, ended.value, ended.prev) == ("a", None, again.rev)


@pytest.mark.parametrize("keys", [1, TOGETHER_MOST_KEYS, 2 * TOGETHER_MOST_KEYS])
def test_a_second_statement_that_fails_takes_the_first_with_it(database: Database, keys: int) -> None:
    statements = Statements(history=True)
    statements.repeat = "SELECT (1 / (1 - cardinality(:keys::text[])))::text, :values, :categories, :ttls"
    with pytest.raises(InternalError):
        commit_all(database.own, statements, [*(Write(f"k{n}", "1") for n in range(keys)), Write("k0", "2")])
    assert database.row("k0") is None
    commit_all(database.own, database.statements, [Write("k0", "1"), Write("k0", "2")])


def test_large_groups_with_repeats_do_not_wait_for_one_another_s_buffers(database: Database) -> None:
    long = "k" * 120
    writes = [Write(f"{long}{number}", f'"{"x" * 2000}"') for number in range(2000)]
    made = commit_all(database.own, database.statements, writes * 2)
    assert [change.key for change in made] == [write.key for write in writes * 2]
    assert [change.prev for change in made] == [0] * 2000 + [change.rev for change in made[:2000]]


def test_without_history_no_tick_is_kept(database: Database) -> None:
    statements = Statements(history=False)
    commit_all(database.own, statements, [Write("a", "1"), Write("a", "2")])
    assert not database.ticks("a")


def test_a_statement_that_fails_half_way_leaves_nothing(database: Database) -> None:
    with pytest.raises(InternalError):  # NUL is refused before SQL; here it stands for whatever a server refuses
        database.commit(Write("a", "1"), Write("a", "2"), Write("b", '"\0"'))
    assert database.row("a") is None
    assert not database.ticks("a")
