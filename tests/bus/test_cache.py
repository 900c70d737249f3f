"""The guarded script, on a real Redis."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvcast.bus.cache import Cache
from kvcast.bus.connection import open_redis
from kvcast.embedded import Valkey
from kvcast.errors import BusUnavailable
from kvcast.messages import Change, decode_record
from tests.databases import Database

NUMBERS = itertools.count()


def change(rev: int, key: str = "gold", prev: int = 0) -> Change:
    return Change(key, b"%d" % rev, "default", rev, prev, "2026-01-01T00:00:00.000000Z")


class Listening:
    """What is published on the channel of `cache`, in order."""

    def __init__(self, client: redis.Redis, cache: Cache) -> None:
        self._pubsub: Any = client.pubsub()  # type: ignore[no-untyped-call]
        self._pubsub.subscribe(cache.channel)
        self._client = client
        self._channel = cache.channel
        assert self._pubsub.get_message(timeout=2)

    def revs(self) -> list[int]:
        """All that was published before this call."""
        self._client.publish(self._channel, b"")
        found: list[int] = []
        while (message := self._pubsub.get_message(timeout=2)) is not None:
            if not message["data"]:
                return found
            found.append(decode_record(message["data"]).rev)
        raise AssertionError("the mark did not come")

    def close(self) -> None:
        self._pubsub.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(
        st.tuples(st.booleans(), st.integers(1, 12), st.sampled_from([0, 2**53 - 6, 2**63 - 13])),
        min_size=1,
        max_size=12,
    )
)
def test_whatever_the_order_the_newest_is_held_and_nothing_is_published_twice(
    database: Database, calls: list[tuple[bool, int, int]]
) -> None:
    cache = database.cache()
    listening = Listening(database.redis, cache)
    key = f"k{next(NUMBERS)}"
    published: list[int] = []
    for publishes, small, base in calls:
        made = change(base + small, key)
        if publishes:
            told = cache.publish([made])
            assert told == (made.rev > max(published, default=0))
            published += [made.rev] * told
        else:
            cache.fill([made])
    held = cache.get([key])[0]
    assert held is not None
    assert held.rev == max(base + small for _, small, base in calls)
    assert listening.revs() == published == sorted(set(published))
    listening.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(revs=st.lists(st.integers(1, 30), min_size=1, max_size=12), filled=st.integers(0, 30))
def test_changes_of_a_key_that_are_published_together_end_as_one_by_one(
    database: Database, revs: list[int], filled: int
) -> None:
    cache = database.cache()
    for make in (lambda changes: [changes], lambda changes: [[one] for one in changes]):
        listening = Listening(database.redis, cache)
        key = f"k{next(NUMBERS)}"
        if filled:
            cache.fill([change(filled, key)])
        told = sum(cache.publish(changes) for changes in make([change(rev, key) for rev in revs]))
        increasing = [rev for at, rev in enumerate(revs) if rev > max(revs[:at], default=0)]
        assert listening.revs() == increasing
        assert told == len(increasing)
        assert [tick.rev for tick in cache.ticks_after(key, 0)] == increasing
        held = cache.get([key])[0]
        assert held is not None
        assert held.rev == max(*revs, filled)
        assert database.redis.hget(cache._hash(key), "pub") == b"%d" % max(revs)
        assert min(database.redis.pttl(name) for name in (cache._hash(key), cache._stream(key))) > 60_000
        listening.close()


@pytest.mark.parametrize("guard", [True, False])
def test_only_the_guard_keeps_a_late_publish_from_going_back(database: Database, guard: bool) -> None:
    cache = database.cache(guard=guard)
    listening = Listening(database.redis, cache)
    for rev in (5, 7, 6, 7):
        cache.publish([change(rev)])
    heard = listening.revs()
    held = cache.get(["gold"])[0]
    listening.close()
    assert held is not None
    assert (heard == [5, 7]) is guard
    cache.publish([change(6)])
    held = cache.get(["gold"])[0]
    assert held is not None
    assert (held.rev == 7) is guard


@pytest.mark.parametrize("guard", [True, False])
def test_only_the_guard_keeps_a_stale_fill_out(database: Database, guard: bool) -> None:
    cache = database.cache(guard=guard)
    cache.publish([change(10)])
    cache.fill([change(9)])
    held = cache.get(["gold"])[0]
    assert held is not None
    assert (held.rev == 10) is guard


def test_a_fill_before_its_publish_does_not_silence_it(database: Database) -> None:
    cache = database.cache()
    listening = Listening(database.redis, cache)
    cache.fill([change(3)])
    assert cache.publish([change(3)]) == 1
    assert cache.publish([change(3)]) == 0
    assert listening.revs() == [3]
    listening.close()


def test_any_write_beats_the_mark_of_absence_and_never_the_other_way(database: Database) -> None:
    cache = database.cache()
    cache.fill_absent(["gold"])
    held = cache.get(["gold"])[0]
    assert held is not None
    assert (held.rev, held.value) == (0, None)
    cache.publish([change(1)])
    cache.fill_absent(["gold"])
    held = cache.get(["gold"])[0]
    assert held is not None
    assert held.rev == 1
    assert database.redis.pttl(cache._hash("gold")) > 60_000


def test_revs_above_what_a_double_holds_are_told_apart(database: Database) -> None:
    cache = database.cache()
    low = 2**53
    cache.publish([change(low)])
    cache.publish([change(low + 1)])
    cache.publish([change(low)])
    held = cache.get(["gold"])[0]
    assert held is not None
    assert held.rev == low + 1


def test_many_keys_in_one_call_keep_their_order(database: Database) -> None:
    cache = database.cache()
    listening = Listening(database.redis, cache)
    changes = [change(rev, f"k{rev % 7}") for rev in range(1, 301)]
    assert cache.publish(changes) == 300
    assert listening.revs() == list(range(1, 301))
    random.shuffle(changes)
    assert cache.publish(changes) == 0
    assert [held.rev for held in cache.get([f"k{n}" for n in range(7)]) if held] == [294, 295, 296, 297, 298, 299, 300]
    listening.close()


def test_a_script_that_redis_has_forgotten_is_loaded_again(database: Database) -> None:
    cache = database.cache()
    cache.publish([change(1)])
    database.redis.script_flush()
    listening = Listening(database.redis, cache)
    assert cache.publish([change(2), change(1, "silver")]) == 2
    assert listening.revs() == [2, 1]
    listening.close()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Any]:
    """A Redis that a test may make refuse."""
    valkey = Valkey(tmp_path)
    valkey.start()
    with open_redis(valkey.redis_url) as client:
        yield client
    valkey.stop()


REFUSING: list[Callable[[Any], object]] = [
    lambda client: client.replicaof("127.0.0.1", "1"),
    lambda client: client.config_set("maxmemory-policy", "noeviction", "maxmemory", "1"),
]


@pytest.mark.parametrize("refuse", REFUSING, ids=["read-only", "full"])
@pytest.mark.parametrize("filled", [False, True])
def test_a_redis_that_refuses_to_store_a_change_publishes_none(
    own_redis: Any, refuse: Callable[[Any], object], filled: bool
) -> None:
    """Who hears a change takes it for stored, so nobody would bring it to Redis again."""
    cache = Cache(own_redis, "epoch", ttl_seconds=3600, window=1000)
    cache.publish([change(1)])
    if filled:
        cache.fill([change(2)])
    listening = Listening(own_redis, cache)
    refuse(own_redis)
    with pytest.raises(BusUnavailable):
        cache.publish([change(2)])
    assert listening.revs() == []
    listening.close()


def test_the_window_keeps_the_last_ticks_in_order(database: Database) -> None:
    cache = database.cache(window=100)
    cache.publish([change(rev, prev=rev - 1) for rev in range(1, 500)])
    kept = [tick.rev for tick in cache.ticks_after("gold", 300)]
    assert kept == list(range(kept[0], 500))
    assert 100 <= len(kept) <= 199
    assert not cache.ticks_after("gold", 499)
    assert not database.cache(window=0).ticks_after("silver", 0)
