from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import psutil
import pytest

from kvcast.bus.cache import Cache
from kvcast.bus.connection import open_redis
from kvcast.config import Settings
from kvcast.errors import BusUnavailable, Unavailable
from kvcast.messages import Change, Subscribe, Write, encode_record
from tests.conftest import Server
from tests.databases import Database
from tests.functions.push.changing import change
from tests.functions.push.raw import WebSocket
from tests.polling import eventually

from functions.push import relay as relays
from functions.push.hub import Hub
from functions.push.joining import Joiner
from functions.push.relay import Relay
from functions.push.viewer import Viewer, Watch

VIEWERS = 200
MESSAGES = 45_000


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    """In the block its workers do nothing."""
    workers = psutil.Process(server.pid).children()
    for worker in workers:
        worker.suspend()
    yield
    for worker in workers:
        worker.resume()


def test_viewers_are_served_while_more_arrives_than_can_be_handled(
    serve: Callable[..., Server], database: Database
) -> None:
    """Again and again, however long the flood takes here; else hardly before its end."""
    server = serve("push", **database.environment())
    viewers = [WebSocket(server.url) for _ in range(VIEWERS)]
    for viewer in viewers:
        viewer.subscribe(prefixes=["p."], max_rate=0.01)  # what is handed on is no load on this test
    lively = WebSocket(server.url)
    lively.subscribe("end")
    channel = database.cache().channel
    with stopped(server):  # so that all of it waits
        for start in range(0, MESSAGES, 1_000):
            with database.redis.pipeline(transaction=False) as pipeline:
                for number in range(start, start + 1_000):
                    flood = change(f"p.{number % 100}", number + 1, max(0, number - 99))
                    pipeline.publish(channel, encode_record(flood))
                pipeline.execute()
        database.redis.publish(channel, encode_record(change("end", MESSAGES + 1)))
        lively.send({"op": "ping"})
    answered = 0
    while lively.next()["op"] == "hb":
        answered += 1
        lively.send({"op": "ping"})
    for viewer in [*viewers, lively]:
        viewer.close()
    assert answered > 5


def test_a_redis_that_was_away_for_long_and_comes_back_older_is_brought_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It wrote its file a moment before it broke, and the next values of its keys came in that moment."""
    monkeypatch.setattr(relays, "LAG_SECONDS", 0.1)
    cache = database.cache()
    settings = Settings(redis_url=database.redis_url)
    relay = Relay(Hub(database.epoch), database.pool(), cache, settings)
    database.commit(Write("away", "1"))
    relay.sweep()
    [saved] = cache.get(["away"])
    assert saved is not None
    [newer] = database.commit(Write("away", "2"))
    relay.sweep()
    relay._subscription._on_up()
    relay._subscription._on_down()
    relay._cache = Cache(open_redis("redis://127.0.0.1:1"), database.epoch, ttl_seconds=60, window=0)
    away_since = time.monotonic()
    eventually(lambda: relay.sweep() == 0 and time.monotonic() > away_since + 5 * relays.LAG_SECONDS)
    database.cache(guard=False).fill([saved])
    relay._cache = cache
    relay._subscription._on_up()
    relay.sweep()
    [held] = cache.get(["away"])
    assert held is not None
    assert held.rev == newer.rev


def test_no_sweep_comes_right_before_redis_may_be_asked_again(database: Database) -> None:
    """It would bring Redis nothing, and the next one would come more than two seconds after the refusal."""
    cache = Cache(open_redis("redis://127.0.0.1:1"), database.epoch, ttl_seconds=60, window=0)
    relay = Relay(Hub(database.epoch), database.pool(), cache, Settings(redis_url=database.redis_url))
    with pytest.raises(BusUnavailable):
        cache.ping()
    pauses = [(relay._pause_seconds(), cache.breaker.open_for_seconds) for _ in range(50)]
    assert all(refused <= pause <= 1.2 for pause, refused in pauses)


def test_a_relay_of_the_epoch_before_a_restore_tells_the_hub_nothing_more(database: Database) -> None:
    hub = Hub(database.epoch)
    viewer = Viewer(lambda _viewer: None)
    relay = Relay(hub, database.pool(), database.cache(), Settings(redis_url=database.redis_url))
    hub.renew("restored")
    hub.add(viewer)
    hub.watch(viewer, Watch(), ["gold"], (), ())
    relay.heard(encode_record(change("gold", 105)))
    database.commit(Write("gold", "1"))
    relay.sweep()
    assert hub.newest("gold") is None
    database.as_owner("UPDATE meta SET value = 'restored' WHERE name = 'epoch'")
    assert relay.sweep() == 0


def test_a_snapshot_read_across_a_restore_reaches_neither_viewer_nor_hub(database: Database) -> None:
    database.commit(Write("gold", "1"))
    hub = Hub(database.epoch)
    viewer, later = Viewer(lambda _viewer: None), Viewer(lambda _viewer: None)

    class Restored(Cache):
        def get(self, keys: Sequence[str]) -> list[Change | None]:
            found = [change("gold", 105)]  # and while it is on its way
            hub.renew("restored")
            hub.add(later)
            hub.watch(later, Watch(), ["gold"], (), ())
            return [*found]

    cache = Restored(database.redis, database.epoch, ttl_seconds=60, window=0)
    hub.add(viewer)
    with pytest.raises(Unavailable):
        Joiner(hub, database.pool(), cache, replay_most=10, covered_most=10).join(viewer, Subscribe(keys=["gold"]))
    assert hub.newest("gold") is None
