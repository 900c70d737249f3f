"""The five promises of docs/guarantees.md under single faults; tests/checker/test_cures.py has their cures."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from pathlib import Path
from threading import Event, Lock
from typing import Any

import pytest

from kvcast.embedded import Stores
from kvcast.errors import KvcastError
from kvcast.messages import Change, Write, encode_record
from kvcast.storage import reads
from kvcast.storage.writes import write_all
from tests.calls import Caller
from tests.databases import Database
from tests.faults.checker import Received, missing, not_durable, phantoms, too_old, went_back
from tests.faults.worlds import Screen, World, Worlds, in_threads
from tests.functions.write.test_committer_properties import Writer
from tests.polling import eventually

from functions.read.l1 import L1

PROMISED_SECONDS = 2.5
REPAIRS = "kvcast_sweep_repairs_total"


@pytest.fixture(scope="module")
def mortal(no_settings_from_outside: None) -> Iterator[Stores]:
    """Stores that these tests kill."""
    folder = Path(tempfile.mkdtemp(prefix="kvcast-test-"))
    with Stores(folder) as stores:
        yield stores
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def worlds(stores: Stores, mortal: Stores) -> Iterator[Worlds]:
    """Ends before its stores do."""
    with ExitStack() as stack:
        yield Worlds(stack, mortal)


@contextmanager
def stalled(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# 1. Durable ------------------------------------------------------------------------------------------------------


class Load:
    """Callers that write unique values to few keys until they are told to end, and note what was acknowledged."""

    def __init__(self, write: Callable[[str, str], Change | None], callers: int = 6) -> None:
        self._write = write
        self._numbers = itertools.count()
        self._lock = Lock()
        self.acknowledged: list[Change] = []
        self.ended = Event()
        self.calls = [self._call] * callers

    def _call(self) -> None:
        while not self.ended.is_set():
            with self._lock:
                number = next(self._numbers)
            change = self._write(f"key-{number % 5}", str(number))
            if change is not None:
                self.acknowledged.append(change)

    def reached(self, more: int) -> Callable[[], bool]:
        goal = len(self.acknowledged) + more
        return lambda: len(self.acknowledged) >= goal


def lost_writes(database: Database, load: Load) -> list[Change]:
    pool = database.pool()
    keys = {change.key for change in load.acknowledged}
    ticks = [tick for key in keys for tick in reads.ticks_after(pool, key, 0, 1_000_000)]
    return not_durable(load.acknowledged, reads.latest(pool, sorted(keys)), ticks)


def test_what_was_acknowledged_outlives_a_killed_write_function(
    database: Database, serve: Callable[..., Any]
) -> None:
    server = serve("write", **database.environment())

    def write(key: str, value: str) -> Change | None:
        try:
            reply = Caller(server.url, server.token, check=False)("POST", "/add", f'{{"key":"{key}","value":{value}}}')
        except (OSError, HTTPException, ValueError):  # it is being killed
            return None
        return Change(key, value.encode(), "", reply.json()["rev"], 0, "") if reply.status == 200 else None

    load = Load(write)
    with in_threads(load.calls):
        for _ in range(2):
            eventually(load.reached(100), within=60)
            server.kill()
            server.start()
        eventually(load.reached(20), within=60)
        load.ended.set()
    assert not lost_writes(database, load)


@pytest.mark.parametrize("flushed", [True, False])
def test_what_was_acknowledged_outlives_a_killed_postgresql_because_commits_are_flushed(
    mortal: Stores, flushed: bool
) -> None:
    with Database(mortal) as database:
        if not flushed:
            database.as_owner(
                "ALTER ROLE kvcast SET synchronous_commit = off",
                "ALTER SYSTEM SET wal_writer_delay = '10s'",
                "SELECT pg_reload_conf()",
            )
        writer = Writer(database, database.database_url)

        def write(key: str, value: str) -> Change | None:
            try:
                result = writer.submit(Write(key, value))[0]
            except KvcastError:
                return None
            return result if isinstance(result, Change) else None

        load = Load(write)
        with in_threads(load.calls):
            eventually(load.reached(300), within=60)
            mortal.postgres.kill()
            load.ended.set()
        mortal.postgres.start()
        if not flushed:
            database.as_owner("ALTER ROLE kvcast RESET ALL", "ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")
        assert bool(lost_writes(database, load)) is not flushed


# 2. Monotonic ----------------------------------------------------------------------------------------------------


def test_a_hot_key_never_goes_back_for_viewers_that_change_between_push_processes(
    worlds: Worlds, stores: Stores
) -> None:
    world = worlds(stores)
    others = [world.serve("write"), world.serve("push")]
    urls = itertools.cycle([world.server.url, others[1].url])
    ended = Event()
    last: list[int] = []
    seen: list[list[Received]] = [[], []]

    def write(url: str) -> None:
        call = Caller(url, world.server.token, check=False)
        for number in itertools.count():
            rev = call("POST", "/add", f'{{"key":"hot","value":{number}}}').json()["rev"]
            if ended.is_set():
                last.append(rev)
                return

    def watch(received: list[Received], mode: str) -> None:
        epoch, rev = world.database.epoch, 0
        while len(last) < 2 or rev < max(last):
            since = {"hot": rev} if rev else {}
            with Screen(next(urls), "hot", since=since, epoch=epoch, mode=mode) as screen:
                eventually(lambda screen=screen: len(screen.received) > 20 or len(last) == 2)  # type: ignore[misc]
                if len(last) == 2:
                    eventually(lambda screen=screen, rev=rev: max(rev, screen.rev("hot")) == max(last))  # type: ignore[misc]
            received += screen.received
            rev = max([rev, *(one.rev for one in screen.received)])

    calls = [lambda: write(world.server.url), lambda: write(others[0].url)]
    calls += [lambda: watch(seen[0], "latest"), lambda: watch(seen[1], "every")]
    with in_threads(calls):
        eventually(lambda: len(world.database.ticks("hot")) > 400, within=60, every=0.2)
        ended.set()
    ticks = world.database.ticks("hot")
    assert not [tick for tick in ticks if tick.prev >= tick.rev]
    for received in seen:
        assert not went_back(received)
        assert not phantoms(received, ticks)
        assert max(one.rev for one in received) == ticks[-1].rev
    assert not missing(seen[1], ticks).silent
    for server in others:
        server.stop()


def test_a_message_that_the_bus_repeats_or_delays_is_shown_once(worlds: Worlds, stores: Stores) -> None:
    world = worlds(stores)
    channel = world.database.cache().channel
    with world.watch("again", mode="every") as screen:  # in mode latest the flusher joins what comes at once
        changes = [world.commit("again", number) for number in range(3)]
        for change in (changes[0], changes[2], changes[1], changes[2]):
            world.database.redis.publish(channel, encode_record(change))
        end = world.write("again", "end")
        eventually(lambda: screen.rev("again") == end)
    assert not went_back(screen.received)


# 3. Convergent ---------------------------------------------------------------------------------------------------


def let_sweeps_pass(world: World) -> int:
    """Return when two sweeps have ended since; the number of repairs that this needed."""
    for mark in ("mark-1", "mark-2"):
        counted = world.metric(REPAIRS)
        rev = world.commit(mark, 0).rev
        eventually(lambda mark=mark, rev=rev: world.cached_rev(mark) == rev)  # type: ignore[misc]
        eventually(lambda counted=counted: world.metric(REPAIRS) > counted)  # type: ignore[misc]
    return 2


def test_in_a_healthy_system_the_sweep_repairs_nothing(worlds: Worlds, stores: Stores) -> None:
    world = worlds(stores)
    let_sweeps_pass(world)  # what earlier tests left
    before = world.metric(REPAIRS)
    with world.watch("healthy") as screen:
        for number in range(30):
            rev = world.write("healthy", number)
        eventually(lambda: screen.rev("healthy") == rev)
        marks = let_sweeps_pass(world)
    assert world.metric(REPAIRS) - before == marks


def test_a_new_push_worker_repairs_what_was_lost_while_none_ran(worlds: Worlds, stores: Stores) -> None:
    world = worlds(stores)
    key = "while-none-ran"
    world.server.stop()
    try:
        made = world.commit(key, 2)
        other = world.serve("push")
        eventually(lambda: world.cached_rev(key) == made.rev, within=PROMISED_SECONDS)
        other.stop()  # else it would sweep in what comes after
    finally:
        world.server.start()  # other tests use this world as well


def test_a_commit_that_ends_late_reaches_viewers(worlds: Worlds, stores: Stores) -> None:
    world = worlds(stores)
    with world.watch("slow") as screen:
        late = world.database.session()
        late.run("BEGIN")
        [change] = write_all(late, world.database.statements, [Write("slow", "1")])
        after = [world.commit(f"quick-{number}", number) for number in range(2)]
        for quick in after:
            eventually(lambda quick=quick: world.cached_rev(quick.key) == quick.rev)  # type: ignore[misc]
        late.run("COMMIT")
        eventually(lambda: screen.rev("slow") == change.rev, within=PROMISED_SECONDS)
        assert change.rev < after[0].rev


def lose_while_nobody_listens(world: World, key: str) -> tuple[Screen, int]:
    """A message published in the very moment in which every subscription breaks."""
    world.write(key, "before")
    screen = world.watch(key)
    change = world.commit(key, "after")
    pipeline: Any = world.database.redis.pipeline(transaction=True)
    pipeline.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    pipeline.publish(world.database.cache().channel, encode_record(change))
    pipeline.execute()
    return screen, change.rev


def test_pushes_go_on_without_redis_and_all_converges_when_it_is_back_empty(worlds: Worlds, mortal: Stores) -> None:
    world = worlds(mortal)
    world.write("died", "before")
    world.warm("died")
    with world.watch("died") as screen:
        mortal.redis.kill()
        rev = world.write("died", "while it was dead")
        eventually(lambda: screen.rev("died") == rev, within=PROMISED_SECONDS)
        eventually(lambda: world.read_rev("died") == rev, within=PROMISED_SECONDS)
        rev = world.write("died", "and again")
        mortal.redis.start()
        eventually(lambda: world.converged(screen, "died", rev), within=PROMISED_SECONDS)
    assert not went_back(screen.received)


def test_all_converges_after_flushall_and_killed_subscriptions(worlds: Worlds, mortal: Stores) -> None:
    world = worlds(mortal)
    screen, rev = lose_while_nobody_listens(world, "flushed")
    with screen:
        world.database.redis.flushall()
        eventually(lambda: world.converged(screen, "flushed", rev), within=PROMISED_SECONDS)


@contextmanager
def refusing_writes(world: World) -> Iterator[None]:
    """Redis as a replica that was not promoted yet: it answers, holds what it held, and takes nothing."""
    client: Any = world.database.redis
    client.replicaof("127.0.0.1", "1")
    try:
        yield
    finally:
        client.replicaof("NO", "ONE")


def test_what_redis_could_not_take_for_a_while_is_not_left_stale_in_it(worlds: Worlds, mortal: Stores) -> None:
    """It goes on with what it held before, so its forgetting is not the cure."""
    world = worlds(mortal)
    world.write("refused", "before")
    with world.watch("refused") as screen:
        with refusing_writes(world):
            rev = world.write("refused", "after")
            eventually(lambda: screen.rev("refused") == rev, within=PROMISED_SECONDS)
        eventually(lambda: world.converged(screen, "refused", rev), within=PROMISED_SECONDS)


def test_a_failover_that_lost_the_last_writes_leaves_nothing_stale(worlds: Worlds, mortal: Stores) -> None:
    """The replica that takes over lags: it holds the value before, and every subscription breaks."""
    world = worlds(mortal)
    before = world.write("failover", "before")
    eventually(lambda: world.cached_rev("failover") == before)  # by the sweep, where a breaker is open from before
    [held] = world.database.cache().get(["failover"])
    assert held is not None
    rev = world.write("failover", "after")
    let_sweeps_pass(world)
    with world.watch("failover") as screen:
        eventually(lambda: world.converged(screen, "failover", rev))
        world.database.cache(guard=False).fill([held])
        client: Any = world.database.redis
        client.hset(world.database.cache()._hash("failover"), "pub", held.rev)
        client.client_kill_filter(_type="pubsub")
        eventually(lambda: world.converged(screen, "failover", rev), within=PROMISED_SECONDS)


def test_a_redis_that_stalls_holds_up_no_viewer_and_converges_after_it(worlds: Worlds, mortal: Stores) -> None:
    world = worlds(mortal)
    world.write("stalled", "before")
    with world.watch("stalled") as screen:
        with stalled(mortal.redis.pid):
            rev = world.write("stalled", "after")
            eventually(lambda: screen.rev("stalled") == rev, within=PROMISED_SECONDS)
        eventually(lambda: world.converged(screen, "stalled", rev), within=PROMISED_SECONDS)


# 4. Honest -------------------------------------------------------------------------------------------------------


def lose_some(world: World, key: str, screen: Screen) -> None:
    """Changes of which every other one is never published, and the last one is."""
    for number in range(10):
        world.write(key, number)
        world.commit(key, f"lost {number}")
    end = world.write(key, "end")
    eventually(lambda: screen.rev(key) == end)


@pytest.mark.parametrize("disabled", ["", "gap sweep"])
@pytest.mark.parametrize("by", ["key", "prefix"])
def test_lost_ticks_are_filled_in_order_and_told_where_they_cannot_be(
    worlds: Worlds, stores: Stores, disabled: str, by: str
) -> None:
    world = worlds(stores, disabled)
    key = f"every-{by}.a"
    world.write(key, "first")
    wanted: dict[str, Any] = {"keys": [key]} if by == "key" else {"prefixes": [f"every-{by}."]}
    with world.watch(**wanted, mode="every") as screen:
        lose_some(world, key, screen)
    ticks = world.database.ticks(key)
    assert not phantoms(screen.of(key), ticks)
    assert not went_back(screen.of(key))
    told, silent = missing(screen.of(key), ticks)
    assert not silent
    assert bool(told) is bool(disabled)


def test_a_tick_lost_before_the_first_that_arrives_is_filled_too(worlds: Worlds, stores: Stores) -> None:
    """A key that nobody knew, watched by its prefix: only `prev` says that there was one before."""
    world = worlds(stores)
    with world.watch(prefixes=["new."], mode="every") as screen:
        first, second = world.commit("new.a", 1), world.commit("new.a", 2)
        world.database.cache().publish([second])
        eventually(lambda: screen.rev("new.a") == second.rev)
    assert [seen.rev for seen in screen.received if seen.rev] == [first.rev, second.rev]


def test_a_commit_that_began_before_the_watch_and_ends_after_it_is_delivered(worlds: Worlds, stores: Stores) -> None:
    world = worlds(stores)
    late = world.database.session()
    late.run("BEGIN")
    [change] = write_all(late, world.database.statements, [Write("begun.a", "1")])
    with world.watch(prefixes=["begun."], mode="every") as screen:
        late.run("COMMIT")
        eventually(lambda: screen.rev("begun.a") == change.rev, within=PROMISED_SECONDS)


# 5. Fresh --------------------------------------------------------------------------------------------------------


def read_after_writes(world: World, key: str, rounds: int, *, min_rev: bool) -> list[tuple[int, int]]:
    """(rev written through another process just before, rev read) of many rounds."""
    found = []
    for number in range(rounds):
        rev = world.commit(key, number).rev
        reply = world.get(key, rev if min_rev else None)
        assert reply.status == 200, reply.body
        found.append((rev, reply.json()["rev"]))
    return found


@pytest.mark.parametrize("min_rev", [True, False])
def test_only_min_rev_makes_a_read_see_what_was_just_written_elsewhere(
    worlds: Worlds, stores: Stores, min_rev: bool
) -> None:
    world = worlds(stores, "gap sweep")
    world.write("fresh", "before")
    world.warm("fresh")
    assert bool(too_old(read_after_writes(world, "fresh", 100, min_rev=min_rev))) is not min_rev


def test_min_rev_holds_while_redis_is_stalled(worlds: Worlds, mortal: Stores) -> None:
    world = worlds(mortal)
    world.write("fresh", "before")
    world.warm("fresh")
    with stalled(mortal.redis.pid):
        assert not too_old(read_after_writes(world, "fresh", 40, min_rev=True))


def test_a_rev_that_is_not_reached_is_refused_rather_than_answered_older(worlds: Worlds, stores: Stores) -> None:
    world = worlds(stores)
    rev = world.write("fresh-refused", 1)
    reply = world.get("fresh-refused", rev + 1)
    assert (reply.status, reply.json()["error"]["code"]) == (503, "rev_not_reached")
    assert "retry-after" in reply.headers


@pytest.mark.parametrize("guard", [True, False])
def test_only_the_guard_of_l1_drops_what_was_looked_up_before_a_newer_message(guard: bool) -> None:
    l1 = L1(10**6, guard=guard)
    old, new = (Change("gold", b"1", "default", rev, 0, "2026-01-01T00:00:00.000000Z") for rev in (1, 2))
    l1.begin("gold")
    l1.heard(encode_record(new))
    l1.put("gold", old)
    assert (l1.get("gold") is None) is guard


def test_what_was_looked_up_across_a_break_of_the_bus_is_not_kept() -> None:
    l1 = L1(10**6)
    change = Change("gold", b"1", "default", 1, 0, "2026-01-01T00:00:00.000000Z")
    l1.begin("gold")
    l1.clear()
    l1.put("gold", change)
    assert l1.get("gold") is None
    l1.begin("gold")
    l1.put("gold", change)
    assert l1.get("gold") is not None
