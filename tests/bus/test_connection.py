"""The breaker: a dead Redis costs a request nothing, and comes back by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from kvcast.bus.connection import Breaker, open_redis
from kvcast.embedded import Stores
from kvcast.errors import BusUnavailable
from tests.descriptors import none_left


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def call(breaker: Breaker, *, fails: bool) -> bool:
    """Whether the call was made at all."""
    made = False
    try:
        with breaker.guard():
            made = True
            if fails:
                raise redis.ConnectionError("gone")
    except BusUnavailable:
        pass
    return made


def test_after_a_failure_nobody_asks_for_a_second_then_one_does() -> None:
    clock = Clock()
    breaker = Breaker(1.0, clock)
    assert call(breaker, fails=True)
    clock.now += 0.99
    assert not call(breaker, fails=False)
    assert not breaker.closed
    clock.now += 0.02
    with breaker.guard():  # one tries; as long as it does not know, the others are refused
        assert not call(breaker, fails=False)
    assert call(breaker, fails=False)


def test_a_try_that_fails_opens_it_again() -> None:
    clock = Clock()
    breaker = Breaker(1.0, clock)
    call(breaker, fails=True)
    clock.now += 1.1
    assert call(breaker, fails=True)
    assert not call(breaker, fails=False)


def test_an_error_that_is_not_of_redis_passes_and_does_not_open_it() -> None:
    breaker = Breaker(1.0, Clock())
    with pytest.raises(ZeroDivisionError), breaker.guard():
        raise ZeroDivisionError
    assert call(breaker, fails=False)


def test_a_try_that_ends_in_another_error_does_not_refuse_for_longer_than_a_second() -> None:
    clock = Clock()
    breaker = Breaker(1.0, clock)
    call(breaker, fails=True)
    clock.now += 1.1
    with pytest.raises(ZeroDivisionError), breaker.guard():
        raise ZeroDivisionError
    clock.now += 1.1
    assert call(breaker, fails=False)


def test_a_redis_that_is_not_there_is_noticed_at_once(tmp_path: Path) -> None:
    client = open_redis(f"unix://{tmp_path}/none")
    breaker = Breaker(clock=Clock())
    asked: list[bool] = []

    def ask() -> None:
        with breaker.guard():
            asked.append(True)
            client.ping()

    for _ in range(1000):
        with pytest.raises(BusUnavailable):
            ask()
    assert len(asked) == 1


def test_without_a_file_descriptor_redis_is_unavailable_and_the_pool_loses_no_place(stores: Stores) -> None:
    connections = 2
    client = open_redis(stores.redis_url, connections=connections)
    breaker = Breaker(0.0)
    with none_left():
        for _ in range(connections + 1):
            with pytest.raises(BusUnavailable, match="open files"), breaker.guard():
                client.ping()
    with breaker.guard():
        assert client.ping()
    client.close()
