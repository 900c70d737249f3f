"""Viewers by the thousand that do what hurts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from statistics import quantiles

import pytest

from tests.calls import Caller
from tests.conftest import Server
from tests.databases import Database
from tests.functions.push.raw import WebSocket
from tests.overload.crowds import Crowd, raise_open_files
from tests.polling import eventually
from tests.soak.sampling import sample

Serve = Callable[..., Server]
LIMITS = {
    "KVCAST_SOCKETS_PER_ADDRESS": "20000", "KVCAST_LOG_LEVEL": "warning", "KVCAST_WRITE_LIMIT": "1000000 per second",
    "KVCAST_BATCH_LIMIT": "1000000 per second", "KVCAST_SEND_TIMEOUT_SECONDS": "2",
}  # fmt: skip

POOLED = 16  # connections to the stores that a crowd opens and that are kept


@pytest.fixture
def server(database: Database, serve: Serve) -> Server:
    raise_open_files(6000)
    return serve("local", **LIMITS, **database.environment())


def write(server: Server, keys: list[str], value: str) -> None:
    with Caller(server.url, server.token, check=False) as call:
        for start in range(0, len(keys), 500):
            body = json.dumps([{"key": key, "value": value} for key in keys[start : start + 500]])
            assert call("POST", "/batch", body).json()["success"]


def test_viewers_that_never_read(server: Server, full: bool) -> None:
    viewers = 2000 if full else 300
    keys = [f"stalled.{number}" for number in range(5)]
    write(server, keys, "")
    before = sample(server)
    with WebSocket(server.url) as reader, Crowd(server.url, viewers, keys, receive_buffer=4096) as crowd:
        reader.subscribe("seen")
        crowd.connect()
        connected = sample(server)
        delays, most = [], 0.0
        for turn in range(40):
            write(server, keys, f"{turn} " + "x" * 30_000)
            began = time.monotonic()
            write(server, ["seen"], str(turn))
            reader.last("upd", value=str(turn))
            delays.append(time.monotonic() - began)
            most = max(most, sample(server)["memory MiB"])
        eventually(lambda: sample(server)["greenlets"] < before["greenlets"] + viewers * 0.02 + 5, every=0.5)
        after = sample(server)
        write(server, ["seen"], "after")
        reader.last("upd", value="after")
    print(
        f"\n{viewers} that never read: connected +{connected['memory MiB'] - before['memory MiB']:.1f} MiB, at most "
        f"+{most - before['memory MiB']:.1f} MiB, after +{after['memory MiB'] - before['memory MiB']:.1f} MiB; "
        f"a reader beside them p50 {1000 * quantiles(delays, n=2)[0]:.0f} ms, at most {1000 * max(delays):.0f} ms"
    )
    assert most - connected["memory MiB"] < 8 + viewers / 100, "a viewer holds bytes of its own"
    assert max(delays) < 5.0


def test_viewers_that_connect_and_leave(server: Server, full: bool) -> None:
    viewers = 2000 if full else 300
    write(server, ["brief"], "1")
    with Crowd(server.url, 100, ["brief"]) as crowd:  # the first ones make the allocator find its size
        crowd.connect()
    before = _settled(server)
    with Crowd(server.url, viewers, ["brief"]) as crowd:
        took = crowd.connect()
    after = eventually(lambda: _back(server, before), every=0.2)
    assert after is not None
    print(f"\n{viewers} came within {took:.1f} s and left: " + ", ".join(
        f"{kind} {before[kind]:.0f} -> {after[kind]:.0f}" for kind in before
    ))  # fmt: skip
    assert after["memory MiB"] - before["memory MiB"] < 15 + viewers / 100


def _settled(server: Server) -> dict[str, float]:
    eventually(lambda: sample(server)["greenlets"] < 60, every=0.2)
    return sample(server)


def _back(server: Server, before: dict[str, float]) -> dict[str, float] | None:
    now = sample(server)
    well = now["descriptors"] <= before["descriptors"] + POOLED and now["greenlets"] <= before["greenlets"] + 5
    return now if well else None


def test_a_subscribe_to_1000_keys_each(server: Server, full: bool) -> None:
    viewers = 200 if full else 40
    keys = [f"wide.{number}" for number in range(1000)]
    write(server, keys, "x" * 20)
    before = sample(server)
    with Crowd(server.url, viewers, keys) as crowd:
        took = crowd.connect()
        during = sample(server)
    print(f"\n{viewers} x 1,000 keys: all snapshots within {took:.1f} s, "
          f"{(during['memory MiB'] - before['memory MiB']) * 1024 / viewers:.0f} KiB a viewer")  # fmt: skip
    assert (during["memory MiB"] - before["memory MiB"]) * 1024 / viewers < 600


def test_a_herd_that_comes_back_after_a_restart_of_push(database: Database, serve: Serve, full: bool) -> None:
    viewers = 5000 if full else 400
    raise_open_files(viewers + 1000)
    writer = serve("write", **LIMITS, **database.environment())
    push = serve("push", **LIMITS, **database.environment())
    keys = [f"herd.{number}" for number in range(20)]
    write(writer, keys, "1")
    with Crowd(push.url, viewers, keys) as crowd:
        first = crowd.connect()
        push.kill()
        push.start()
        asked = _transactions(database)
        began = time.monotonic()
        took = crowd.come_back()
        reads = _transactions(database) - asked
        assert len(crowd.times) == viewers
        print(
            f"\n{viewers} connected within {first:.1f} s; after a restart all had their snapshots within {took:.1f} s "
            f"(p50 {quantiles(crowd.times, n=2)[0]:.1f} s), {crowd.failures} attempts failed, {reads} transactions in "
            f"PostgreSQL in {time.monotonic() - began:.0f} s"
        )
        assert took < 60
        assert reads < 50 + 10 * took, "a read of the database for each viewer"


def _transactions(database: Database) -> int:
    """In the test's database until now; PostgreSQL tells of a session's once a second."""
    with database.pool(2).session() as session:
        rows = session.run("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
    return int(rows[0][0])
