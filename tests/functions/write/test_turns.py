from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.write.turns import Turns

MOST = 500


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def turns(clock: Clock) -> Turns:
    return Turns(2.0, clock)


def commit(turns: Turns, clock: Clock, writes: int, seconds: float) -> None:
    turns.began(writes, MOST)
    clock.now += seconds
    turns.ended()


def test_nobody_is_refused_before_anything_is_known(turns: Turns) -> None:
    assert turns.in_time(10**9)


def test_a_store_that_keeps_up_says_nothing_of_what_it_can_do(turns: Turns, clock: Clock) -> None:
    """One write in a millisecond is no thousand a second, and one that hung for a second is no slow store."""
    for writes, seconds in ((1, 0.001), (499, 0.2), (1, 1.0)):
        commit(turns, clock, writes, seconds)
        assert turns.in_time(10**9)
    turns.began(3, MOST)
    clock.now += 1.9
    assert turns.in_time(10**9)


def test_whose_turn_would_come_too_late_is_known_at_once(turns: Turns, clock: Clock) -> None:
    commit(turns, clock, 500, 0.5)
    assert turns.in_time(2000)
    assert not turns.in_time(2001)


def test_a_full_group_that_takes_long_is_known_before_it_ends(turns: Turns, clock: Clock) -> None:
    turns.began(500, MOST)
    assert turns.in_time(10**9)
    clock.now += 0.5
    assert turns.in_time(2000)
    assert not turns.in_time(2001)
    clock.now += 9.5
    assert not turns.in_time(101)


def test_one_slow_group_counts_half(turns: Turns, clock: Clock) -> None:
    commit(turns, clock, 1000, 0.1)
    commit(turns, clock, 1000, 1.0)
    assert turns.in_time(11_000)
    assert not turns.in_time(11_001)


def test_a_store_that_is_quick_again_is_believed_with_its_first_group(turns: Turns, clock: Clock) -> None:
    for _ in range(10):
        commit(turns, clock, 500, 5.0)
    assert not turns.in_time(201)
    commit(turns, clock, 500, 0.05)
    assert turns.in_time(19_000)


@given(st.lists(st.tuples(st.integers(1, 2 * MOST), st.floats(0.0, 60.0)), max_size=20))
def test_whatever_was_it_is_over_with_the_queue(groups: list[tuple[int, float]]) -> None:
    clock = Clock()
    turns = Turns(2.0, clock)
    for writes, seconds in groups:
        commit(turns, clock, writes, seconds)
        assert turns.in_time(0), "with nobody ahead there is always a turn, so what is known cannot get stale"
    commit(turns, clock, 1, 10.0)
    assert turns.in_time(10**9)
