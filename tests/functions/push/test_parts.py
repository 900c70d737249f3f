"""Viewers of a push worker that ends go on elsewhere, and both halves of that are counted."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from kvcast.client import Client
from kvcast.embedded import Valkey
from tests.calls import Caller
from tests.conftest import Server
from tests.functions.push.raw import EventStream, WebSocket
from tests.polling import eventually

Serve = Callable[..., Server]
Key = Callable[..., str]
SOCKETS, STREAMS = 40, 5


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def metric(server: Server, name: str) -> float:
    with urlopen(f"{server.url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def hand_over(call: Caller) -> dict[str, int]:
    told: dict[str, int] = call("GET", "/admin/functions").json()["handOver"]
    return told


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """Of a Redis of the test's own: what another test's workers have still to hand in is counted elsewhere."""
    valkey = Valkey(tmp_path)
    valkey.start()
    yield valkey.redis_url
    valkey.stop()


def test_what_a_worker_that_ends_handed_over_is_still_told_when_it_is_gone(
    serve: Serve, redis_url: str, unique_key: Key, stack: ExitStack
) -> None:
    server = serve("push", KVCAST_DRAIN_SECONDS="8", REDIS_URL=redis_url)
    reader = serve("read", REDIS_URL=redis_url)
    call = stack.enter_context(Caller(reader.url, reader.token))
    key = unique_key()
    for _ in range(SOCKETS):
        stack.enter_context(WebSocket(server.url)).subscribe(key)
    for _ in range(STREAMS):
        stack.enter_context(EventStream(server.url, f"key={key}")).last("subbed")
    os.kill(server.pid, signal.SIGTERM)
    assert eventually(lambda: metric(server, 'kvcast_handed_over_total{kind="websocket"}') > 0)
    assert eventually(lambda: "Shutting down: Master" in server.log())
    assert eventually(lambda: hand_over(call)["handedOver"] == SOCKETS + STREAMS)


def test_a_viewer_that_arrives_with_a_rev_is_counted_once(
    serve: Serve, redis_url: str, unique_key: Key, stack: ExitStack
) -> None:
    app = serve("local", REDIS_URL=redis_url)
    call = stack.enter_context(Caller(app.url, app.token))
    gold, silver = unique_key("gold"), unique_key("silver")
    with Client(app.url, app.token) as client:
        rev = client.set(gold, 1).rev

    def arrive(**members: Any) -> WebSocket:
        socket = stack.enter_context(WebSocket(app.url))
        socket.subscribe(gold, **members)
        return socket

    epoch = arrive().hello["epoch"]
    arrive(since={gold: rev}, epoch="another")
    assert metric(app, "kvcast_resumed_total") == 0
    arrive(since={gold: rev}, epoch=epoch).subscribe(silver, since={silver: rev}, epoch=epoch)
    assert metric(app, "kvcast_resumed_total") == 1
    assert eventually(lambda: hand_over(call)["resumed"] == 1)
