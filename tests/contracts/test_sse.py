"""Server-sent events: the same objects for clients whose way lets no WebSocket through."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPConnection
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

import msgspec
import pytest

from kvcast.client import Client
from kvcast.embedded import Stores
from tests.conftest import Server
from tests.functions.push.raw import Closed, EventStream, Refused, WebSocket
from tests.polling import eventually

Open = Callable[..., EventStream]
Key = Callable[..., str]
Serve = Callable[..., Server]


@pytest.fixture
def opened() -> Iterator[Open]:
    """`opened(server, headers, key=[...])`, closed after the test."""
    streams: list[EventStream] = []

    def open_one(server: Server, headers: dict[str, str] | None = None, **query: list[str]) -> EventStream:
        streams.append(EventStream(server.url, urlencode(query, doseq=True), headers))
        return streams[-1]

    yield open_one
    for one in streams:
        one.close()


@pytest.fixture(scope="session")
def client(app: Server) -> Iterator[Client]:
    with Client(app.url, app.token) as client:
        yield client


@pytest.fixture(scope="module")
def tight(stores: Stores) -> Iterator[Server]:
    limits = {
        "SOCKETS_PER_ADDRESS": "2", "SOCKET_MAX_KEYS": "3", "HEARTBEAT_SECONDS": "0.2", "SEND_TIMEOUT_SECONDS": "0.5",
    }  # fmt: skip
    server = Server(stores, "local", {f"KVCAST_{name}": value for name, value in limits.items()})
    try:
        server.start()
        yield server
    finally:
        server.close()


def open_streams(server: Server) -> float:
    text = urlopen(f"{server.url}/metrics", timeout=30).read().decode()
    return sum(float(line.rpartition(" ")[2]) for line in text.split("\n") if line.startswith("kvcast_connections{"))


@pytest.fixture
def free(tight: Server) -> Server:
    """`tight` with nothing open."""
    eventually(lambda: open_streams(tight) == 0)
    return tight


def test_the_same_objects_come_as_over_websocket(
    app: Server, opened: Open, client: Client, unique_key: Key
) -> None:
    gold, new = unique_key("vàng"), unique_key("new")
    first = client.set(gold, msgspec.Raw(b"2345.60"), category="metal").rev
    stream = opened(app, key=[gold, new])
    with WebSocket(app.url) as ws:
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["cache-control"] == "no-store"
        hello = stream.next()
        assert hello.keys() == ws.hello.keys()
        assert hello["epoch"] == ws.hello["epoch"]
        assert stream.until("subbed") == ws.subscribe(gold, new)
        revs = []
        for make in (partial(client.set, gold, 1), partial(client.delete, gold), partial(client.set, new, 2)):
            revs.append(make().rev)
            assert stream.change() == ws.change()
    assert stream.ids == [f"{hello['epoch']}-{rev}" for rev in (first, *revs)]


def test_prefixes_and_categories(app: Server, opened: Open, client: Client, unique_key: Key) -> None:
    stream = opened(app, prefix=[unique_key("p.")], category=[unique_key("cat")])
    stream.until("subbed")
    client.set(unique_key("other"), 0)
    client.set(unique_key("p.gold"), 1)
    assert stream.change()["value"] == 1
    client.set(unique_key("x"), 2, category=unique_key("cat"))
    assert stream.change()["value"] == 2


def test_last_event_id_leaves_out_what_is_known(app: Server, opened: Open, client: Client, unique_key: Key) -> None:
    gold = unique_key("gold")
    client.set(gold, 1)
    stream = opened(app, key=[gold])
    stream.until("subbed")
    known = stream.ids[-1]
    assert [one["op"] for one in opened(app, {"Last-Event-ID": known}, key=[gold]).until("subbed")] == [
        "hello", "subbed",
    ]  # fmt: skip
    client.set(gold, 2)
    stream.until("upd", value=2)  # now this worker knows it, so the next stream begins with it
    assert opened(app, {"Last-Event-ID": known}, key=[gold]).last("snap")["value"] == 2


def test_every_brings_each_tick_and_resumes_by_since(
    app: Server, opened: Open, client: Client, unique_key: Key
) -> None:
    gold, btc = unique_key("a:gold"), unique_key("btc")
    stream = opened(app, key=[gold, btc], mode=["every"])
    epoch = stream.next()["epoch"]
    assert stream.last("subbed")["recovered"] is True
    seen = [client.set(gold, n).rev for n in range(30)][9]
    assert [one["value"] for one in stream.until("upd", value=29)] == [*range(30)]
    other = client.set(btc, "x").rev
    since = [f"{gold}:{seen}", f"{btc}:{other}"]
    again = opened(app, key=[gold, btc], mode=["every"], since=since, epoch=[epoch]).until("subbed")
    assert [one["value"] for one in again if one["op"] == "upd"] == [*range(10, 30)]
    assert again[-1]["recovered"] is True
    elsewhere = opened(app, key=[gold], mode=["every"], since=since[:1], epoch=["another"]).until("subbed")
    assert [one["op"] for one in elsewhere[1:]] == ["snap", "subbed"]
    assert elsewhere[-1]["recovered"] is False


def test_latest_leaves_out_what_since_names(app: Server, opened: Open, client: Client, unique_key: Key) -> None:
    gold, btc = unique_key("gold"), unique_key("btc")
    revs = {key: client.set(key, 1).rev for key in (gold, btc)}
    newer = client.set(btc, 2).rev
    since = [f"{key}:{rev}" for key, rev in revs.items()]
    told = opened(app, key=[gold, btc], since=since).until("subbed")
    assert [(one["key"], one["rev"]) for one in told if one["op"] == "snap"] == [(btc, newer)]


def test_every_with_last_event_id_of_one_key_replays_what_was_missed(
    app: Server, opened: Open, client: Client, unique_key: Key
) -> None:
    gold = unique_key("gold")
    stream = opened(app, key=[gold], mode=["every"])
    stream.until("subbed")
    client.set(gold, 0)
    stream.until("upd", value=0)
    last_id = {"Last-Event-ID": stream.ids[-1]}
    for n in (1, 2, 3):
        client.set(gold, n)
    resumed = opened(app, last_id, key=[gold], mode=["every"])
    again = resumed.until("upd", value=3)  # the worker may hear the last of them only now
    assert [one["value"] for one in again if one["op"] == "upd"] == [1, 2, 3]
    assert not any(one["op"] == "snap" or one.get("recovered") is False for one in again)
    several = opened(app, last_id, key=[gold, unique_key("other")], mode=["every"])
    assert several.last("subbed")["recovered"] is False, "one id says nothing of the other key"


def test_max_rate_thins_out_and_the_last_one_comes(app: Server, opened: Open, client: Client, unique_key: Key) -> None:
    gold = unique_key("gold")
    stream = opened(app, key=[gold], max_rate=["4"])
    stream.until("subbed")
    began = time.monotonic()
    for n in range(60):
        client.set(gold, n)
    told = stream.until("upd", value=59)
    assert len(told) <= 2 + 4 * (time.monotonic() - began)


@pytest.mark.parametrize(
    "query",
    ["mode=some", "mode=latest&mode=every", "max_rate=0", "max_rate=nan", "max_rate=1001", "mode=every&max_rate=1",
     "since=a", "since=a:", "since=:1", "since=a:-1", "since=a:9999999999999999999", "since=a%2Fb:1"],
)  # fmt: skip
def test_a_bad_way_to_watch_is_a_bad_request(query: str, app: Server) -> None:
    with pytest.raises(Refused) as refused:
        EventStream(app.url, f"key=a&{query}")
    assert refused.value.status == 400


@pytest.mark.parametrize("last_id", ["", "nonsense", "another-{rev}", "{epoch}-", "{epoch}-" + "9" * 20, "\xff"])
def test_a_foreign_last_event_id_brings_everything(
    last_id: str, app: Server, opened: Open, client: Client, unique_key: Key
) -> None:
    gold = unique_key("gold")
    rev = client.set(gold, 1).rev
    epoch = opened(app, key=[gold]).next()["epoch"]
    headers = {"Last-Event-ID": last_id.format(epoch=epoch, rev=rev)}
    assert opened(app, headers, key=[gold]).last("snap")["rev"] == rev


def test_the_heart_beats(free: Server, opened: Open, unique_key: Key) -> None:
    stream = opened(free, key=[unique_key()])
    assert stream.last("hb")["time"] < stream.last("hb")["time"]


@pytest.mark.parametrize("query", ["", "key=", "key=a/b", "keys=a", "key=%ff", "key=.."])
def test_a_bad_query_is_a_bad_request(query: str, app: Server) -> None:
    with pytest.raises(Refused) as refused:
        EventStream(app.url, query)
    assert refused.value.status == 400
    assert msgspec.json.decode(refused.value.body)["success"] is False


def test_too_many_keys_are_said(free: Server, opened: Open, unique_key: Key) -> None:
    keys = [unique_key(str(number)) for number in range(4)]
    assert opened(free, key=keys[:3]).last("subbed")["absent"] == keys[:3]
    assert opened(free, key=keys).last("error")["code"] == "too_many_keys"


def test_too_many_streams_of_one_address_are_refused(free: Server, opened: Open, unique_key: Key) -> None:
    first, _ = opened(free, key=["a"]), opened(free, key=["b"])
    with pytest.raises(Refused) as refused:
        opened(free, key=["c"])
    assert refused.value.status == 429
    first.close()
    eventually(lambda: open_streams(free) == 1)
    opened(free, key=["c"])


def test_a_stream_that_was_not_begun_costs_no_place(free: Server, opened: Open) -> None:
    parts = urlsplit(free.url)
    for _ in range(5):
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        connection.request("HEAD", "/sse?key=a", headers={"Connection": "close"})
        assert connection.getresponse().status in (200, 405)
        connection.close()
    opened(free, key=["a"]).last("subbed")


def test_a_client_that_vanishes_is_noticed(free: Server, opened: Open, unique_key: Key) -> None:
    stream = opened(free, key=[unique_key()])
    stream.last("subbed")
    assert open_streams(free) == 1
    stream.close()
    eventually(lambda: open_streams(free) == 0)


def test_a_client_that_stops_reading_is_noticed(free: Server, unique_key: Key) -> None:
    client = Client(free.url, free.token)
    gold = unique_key("gold")
    stream = EventStream(free.url, f"key={gold}", receive_buffer=4096)
    stream.last("subbed")

    def noticed() -> bool:
        client.set(gold, "x" * 60_000)
        return open_streams(free) == 0

    eventually(noticed)
    with pytest.raises((Closed, AssertionError)):
        stream.until("nothing", within=1)
    stream.close()


def test_a_drain_ends_every_stream(serve: Serve, opened: Open, unique_key: Key) -> None:
    server = serve("push")
    streams = [opened(server, key=[unique_key()]) for _ in range(10)]
    for stream in streams:
        stream.last("subbed")
    os.kill(server.pid, signal.SIGTERM)
    for stream in streams:
        with pytest.raises(Closed) as closed:
            stream.last("nothing")
        assert closed.value.code == 1000, "the end of the last chunk, not a broken connection"
    eventually(lambda: "Shutting down: Master" in server.log())


def test_a_slow_header_or_a_cut_request_leaves_nothing(free: Server) -> None:
    parts = urlsplit(free.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as cut:
        cut.sendall(b"GET /sse?key=a HTTP/1.1\r\nHost: x\r\n\r\n")
    eventually(lambda: open_streams(free) == 0)
