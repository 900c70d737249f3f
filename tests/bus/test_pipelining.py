"""Many commands at once: each gets its own answer, whatever became of the ones before it."""

from __future__ import annotations

import pytest
import redis
from redis.exceptions import ResponseError

from kvcast.bus.connection import open_redis
from kvcast.bus.pipelining import run_all
from kvcast.embedded import Stores


def test_answers_come_in_order(stores: Stores) -> None:
    client = open_redis(stores.redis_url, connections=1)
    values = [f"vàng {number}" for number in range(3000)]
    assert run_all(client, [("ECHO", value) for value in values]) == [value.encode() for value in values]


def test_an_error_is_raised_when_all_answers_are_read(stores: Stores) -> None:
    client = open_redis(stores.redis_url, connections=1)
    for number in range(3):
        with pytest.raises(ResponseError, match="unknown command"):
            run_all(client, [("ECHO", "before"), ("NOSUCH",), ("ECHO", "after")])
        assert run_all(client, [("ECHO", number)]) == [b"%d" % number]


def test_a_late_answer_is_never_taken_for_the_next_one(stores: Stores) -> None:
    client = open_redis(stores.redis_url, timeout_seconds=1.0, connections=1, repeats=0)
    for number in range(2):
        with pytest.raises(redis.TimeoutError):
            run_all(client, [("ECHO", "first"), ("BLPOP", "nobody-pushes-here", "3"), ("ECHO", "late")])
        assert run_all(client, [("ECHO", number)]) == [b"%d" % number]
