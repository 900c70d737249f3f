"""WebSocket as docs and protocol promise it, spoken by hand to real servers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket as stdlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import msgspec
import pytest
import redis

from kvcast.client import Client
from kvcast.embedded import Stores, Valkey
from kvcast.storage.pool import connect
from tests.calls import Caller
from tests.conftest import Server
from tests.functions.push.raw import BINARY, CLOSE, PING, TEXT, Closed, Object, Refused, WebSocket, frame
from tests.polling import HANG_SECONDS, eventually

Open = Callable[..., WebSocket]
Key = Callable[..., str]
Serve = Callable[..., Server]


@pytest.fixture
def opened() -> Iterator[Callable[..., WebSocket]]:
    """`opened(server, "/ws", ...)`; closed after the test."""
    sockets: list[WebSocket] = []

    def open_one(server: Server, *arguments: object, **options: object) -> WebSocket:
        sockets.append(WebSocket(server.url, *arguments, **options))  # type: ignore[arg-type]
        return sockets[-1]

    yield open_one
    for one in sockets:
        one.close()


@pytest.fixture
def ws(app: Server, opened: Open) -> WebSocket:
    return opened(app)


@pytest.fixture(scope="session")
def client(app: Server) -> Iterator[Client]:
    with Client(app.url, app.token) as client:
        yield client


def client_of(server: Server) -> Client:
    return Client(server.url, server.token)


def write(client: Client, key: str, *values: object, category: str | None = None) -> list[int]:
    """Commit each value for itself; their revs."""
    return [client.set(key, value, category=category).rev for value in values]


def tick_values(objects: list[Object], key: str) -> list[object]:
    return [one.get("value") for one in objects if one.get("key") == key and one["op"] in ("snap", "upd", "del")]


def revs(objects: list[Object]) -> list[int]:
    return [one["rev"] for one in objects if one["op"] in ("snap", "upd", "del")]


def metric(server: Server, name: str) -> float:
    text = urlopen(f"{server.url}/metrics", timeout=HANG_SECONDS).read().decode()
    return sum(float(value) for value in re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


# hello, subscribe, snapshot, live


def test_hello_names_epoch_and_heartbeat_first(app: Server, opened: Open) -> None:
    hello = opened(app).hello
    assert hello["op"] == "hello"
    assert hello["epoch"]
    assert hello["heartbeat"] == app.settings.heartbeat_seconds
    assert hello["server"]
    assert hello["time"] > 1.7e9


def test_one_subscribe_gives_the_snapshot_and_then_what_follows(ws: WebSocket, client: Client, unique_key: Key) -> None:
    gold = unique_key("gold")
    written = client.set(gold, msgspec.Raw(b"2345.60"), category="metal")
    snap, subbed = ws.subscribe(gold)
    assert snap == {
        "op": "snap", "key": gold, "value": 2345.6, "category": "metal", "rev": written.rev,
        "updatedAt": written.updated_at,
    }
    assert subbed == {"op": "subbed", "keys": [gold], "absent": [], "recovered": True}
    (following,) = write(client, gold, 2346)
    update = ws.change()
    assert (update["op"], update["rev"], update["value"]) == ("upd", following, 2346)


def test_a_value_is_pushed_byte_for_byte(app: Server, opened: Open, client: Client, unique_key: Key) -> None:
    gold = unique_key("gold")
    client.set(gold, msgspec.Raw(b"1e2"))
    socket = opened(app)
    socket.send({"op": "sub", "keys": [gold]})
    payloads = b""
    while b'"subbed"' not in payloads:
        payloads += socket.frame()[1]
    client.set(gold, msgspec.Raw('{"a": 2345.60, "b":"vàng"}'.encode()))
    update = b""
    while b'"upd"' not in update:
        _, update = socket.frame()
    assert b'"value":1e2,' in payloads
    assert '"value":{"a": 2345.60, "b":"vàng"},'.encode() in update


def test_the_path_names_a_key(app: Server, opened: Open, client: Client, unique_key: Key) -> None:
    gold = unique_key("vàng")
    write(client, gold, 1)
    socket = opened(app, f"/ws/{gold.replace('à', '%C3%A0')}")
    assert [one["op"] for one in socket.until("subbed")] == ["snap", "subbed"]
    write(client, gold, 2)
    assert socket.last("upd")["value"] == 2


def test_a_key_is_watched_before_it_exists(ws: WebSocket, client: Client, unique_key: Key) -> None:
    gold = unique_key("gold")
    assert ws.subscribe(gold) == [{"op": "subbed", "keys": [gold], "absent": [gold], "recovered": True}]
    write(client, gold, 1)
    assert ws.last("upd", key=gold)["value"] == 1


def test_a_prefix_and_a_category_cover_what_is_there_and_what_comes(
    ws: WebSocket, client: Client, unique_key: Key
) -> None:
    old, other, new = unique_key("p.old"), unique_key("q.other"), unique_key("p.new")
    category = unique_key("cat")
    write(client, old, 1)
    write(client, other, 2, category=category)
    seen = ws.subscribe(prefixes=[unique_key("p.")], categories=[category])
    assert {one["key"]: one["value"] for one in seen[:-1]} == {old: 1, other: 2}
    write(client, unique_key("r"), 0)
    write(client, new, 3)
    assert ws.change()["value"] == 3
    write(client, unique_key("z"), 4, category=category)
    assert ws.change()["value"] == 4


def test_an_empty_prefix_is_everything(ws: WebSocket, client: Client, unique_key: Key) -> None:
    ws.send({"op": "sub", "prefixes": [""]})
    ws.until("subbed", within=2 * HANG_SECONDS)
    gold = unique_key("gold")
    write(client, gold, 1)
    assert ws.last("upd", key=gold)["value"] == 1


def test_a_key_named_in_two_ways_comes_once(ws: WebSocket, client: Client, unique_key: Key) -> None:
    gold = unique_key("gold")
    category = unique_key("cat")
    write(client, gold, 1, category=category)
    seen = ws.subscribe(gold, prefixes=[unique_key("")], categories=[category])
    assert tick_values(seen, gold) == [1]
    write(client, gold, 2)
    assert ws.change()["value"] == 2
    ws.silent_for(0.2)


def test_deletion_is_told_and_recreation_is_newer(ws: WebSocket, client: Client, unique_key: Key) -> None:
    gold = unique_key("gold")
    write(client, gold, 1)
    ws.subscribe(gold)
    deleted = client.delete(gold).rev
    assert ws.change() == {"op": "del", "key": gold, "rev": deleted}
    (again,) = write(client, gold, 2)
    assert again > deleted
    assert ws.change()["rev"] == again


def test_unsub_ends_it(ws: WebSocket, client: Client, unique_key: Key) -> None:
    gold, btc, fence = unique_key("gold"), unique_key("crypto.btc"), unique_key("fence")
    ws.subscribe(gold, fence, prefixes=[unique_key("crypto.")], categories=[unique_key("cat")])
    ws.send({
        "op": "unsub", "keys": [gold], "prefixes": [unique_key("crypto.")], "categories": [unique_key("cat")]
    })
    ws.subscribe(unique_key("mark"))  # the answer to a ping might be a heartbeat from before
    write(client, gold, 1)
    write(client, btc, 2, category=unique_key("cat"))
    write(client, fence, 3)
    assert ws.change()["key"] == fence


def test_unsub_takes_a_name_in_any_normal_form(ws: WebSocket, client: Client, unique_key: Key) -> None:
    gold, fence = unique_key("va\u0300ng"), unique_key("fence")
    ws.subscribe(gold, fence)
    ws.send({"op": "unsub", "keys": [gold]})
    ws.subscribe(unique_key("mark"))
    write(client, gold, 1)
    write(client, fence, 2)
    assert ws.change()["key"] == fence


def test_unsub_of_a_key_leaves_what_a_prefix_covers(ws: WebSocket, client: Client, unique_key: Key) -> None:
    gold = unique_key("gold")
    ws.subscribe(gold, prefixes=[unique_key("")])
    write(client, gold, 1)
    ws.send({"op": "unsub", "keys": [gold]})
    ws.subscribe(unique_key("mark"))
    write(client, gold, 2)
    assert ws.last("upd", key=gold, value=2)


# since and epoch


def test_since_brings_only_what_is_newer(ws: WebSocket, client: Client, unique_key: Key) -> None:
    gold, silver = unique_key("gold"), unique_key("silver")
    (held,) = write(client, gold, 1)
    (old,) = write(client, silver, 1)
    (new,) = write(client, silver, 2)
    seen = ws.subscribe(gold, silver, since={gold: held, silver: old}, epoch=ws.hello["epoch"])
    assert [(one["op"], one["key"], one["rev"]) for one in seen[:-1]] == [("snap", silver, new)]
    assert seen[-1]["recovered"] is True


def test_since_of_another_epoch_brings_everything(app: Server, opened: Open, client: Client, unique_key: Key) -> None:
    gold = unique_key("gold")
    (held,) = write(client, gold, 1)
    for mode in ("latest", "every"):
        seen = opened(app).subscribe(gold, since={gold: held + 1000}, epoch="another", mode=mode)
        assert tick_values(seen, gold) == [1]
    assert seen[-1]["recovered"] is False, "in mode every"
    assert seen[-1]["op"] == "subbed"


@pytest.mark.parametrize("how", ["keys", "prefixes", "categories"])
def test_a_deletion_while_away_is_told_on_resume(
    how: str, ws: WebSocket, client: Client, unique_key: Key
) -> None:
    gold = unique_key("gold")
    category = unique_key("cat")
    (held,) = write(client, gold, 1, category=category)
    deleted = client.delete(gold).rev
    name = {"keys": gold, "prefixes": unique_key(""), "categories": category}[how]
    seen = ws.subscribe(**{"since": {gold: held}, "epoch": ws.hello["epoch"], how: [name]})
    assert {"op": "del", "key": gold, "rev": deleted} in seen


# mode latest


def test_a_slow_reader_skips_and_always_gets_the_last(
    app: Server, opened: Open, client: Client, unique_key: Key
) -> None:
    keys = [unique_key(str(number)) for number in range(5)]
    socket = opened(app, receive_buffer=4096)
    socket.subscribe(*keys)
    last = {}
    for number in range(120):  # far more than kernel and hub would hold for 5 keys
        value = f"{number}" + "x" * 60_000
        key = keys[number % 5]
        client.set(key, value)
        last[key] = value
    got: dict[str, str] = {}
    seen_revs: dict[str, int] = {}
    count = 0
    while got != last:
        one = socket.next()
        if one["op"] == "upd":
            assert one["rev"] > seen_revs.get(one["key"], 0), "never back"
            seen_revs[one["key"]], got[one["key"]] = one["rev"], one["value"]
            count += 1
    assert count < 120, "a slow reader skips"


def test_max_rate_thins_out_and_the_last_one_comes(ws: WebSocket, client: Client, unique_key: Key) -> None:
    gold = unique_key("gold")
    ws.subscribe(gold, max_rate=4)
    began = time.monotonic()
    for start in range(0, 300, 100):
        client.batch((gold, number) for number in range(start, start + 100))
    seen = ws.until("upd", value=299)
    assert len(seen) <= 2 + 4 * (time.monotonic() - began)
    assert revs(seen) == sorted(revs(seen))


def test_max_rate_with_every_is_refused_and_the_socket_stays(ws: WebSocket, client: Client, unique_key: Key) -> None:
    gold = unique_key("gold")
    ws.send({"op": "sub", "keys": [gold], "mode": "every", "max_rate": 5})
    assert ws.last("error")["code"] == "bad_message"
    ws.subscribe(gold)
    write(client, gold, 1)
    assert ws.last("upd")["value"] == 1


# mode every


def test_every_brings_each_tick_in_order(ws: WebSocket, client: Client, unique_key: Key) -> None:
    gold = unique_key("gold")
    ws.subscribe(gold, mode="every")
    client.batch((gold, number) for number in range(500))
    seen = ws.until("upd", value=499)
    assert tick_values(seen, gold) == list(range(500))
    assert revs(seen) == sorted(set(revs(seen)))


def test_every_replays_what_was_missed(app: Server, opened: Open, client: Client, unique_key: Key) -> None:
    gold = unique_key("gold")
    (held,) = write(client, gold, -1)
    client.batch((gold, number) for number in range(50))
    client.delete(gold)
    write(client, gold, 50)
    seen = opened(app).subscribe(gold, mode="every", since={gold: held}, epoch=opened(app).hello["epoch"])
    assert tick_values(seen, gold) == [*range(50), None, 50]
    assert [one["op"] for one in seen[-3:]] == ["del", "upd", "subbed"]
    assert seen[-1]["recovered"] is True


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Valkey]:
    valkey = Valkey(tmp_path)
    valkey.start()
    yield valkey
    valkey.stop()


def test_every_replays_keys_of_a_prefix_that_were_made_while_away(
    ws: WebSocket, client: Client, unique_key: Key
) -> None:
    gold, fresh = unique_key("gold"), unique_key("fresh")
    (held,) = write(client, gold, 1)
    made = [write(client, fresh, number)[0] for number in range(3)]
    seen = ws.subscribe(prefixes=[unique_key("")], since={gold: held}, epoch=ws.hello["epoch"], mode="every")
    assert [(one["key"], one["rev"]) for one in seen[:-1]] == [(fresh, rev) for rev in made]
    assert seen[-1]["recovered"] is True


def test_every_replays_from_postgresql_when_redis_has_lost_all(
    serve: Serve, own_redis: Valkey, opened: Open, unique_key: Key
) -> None:
    server = serve("local", REDIS_URL=own_redis.redis_url)
    client = client_of(server)
    gold = unique_key("gold")
    (held,) = write(client, gold, -1)
    client.batch((gold, number) for number in range(50))
    with redis.Redis.from_url(own_redis.redis_url) as admin:
        admin.flushall()
    seen = opened(server).subscribe(gold, mode="every", since={gold: held})
    assert tick_values(seen, gold) == list(range(50))
    assert seen[-1]["recovered"] is True


def test_every_says_when_history_is_gone(serve: Serve, opened: Open, unique_key: Key) -> None:
    server = serve("local", KVCAST_HISTORY_DAYS="0", KVCAST_HISTORY_WINDOW="0")
    client = client_of(server)
    gold, quiet = unique_key("gold"), unique_key("quiet")
    held, *_, newest = write(client, gold, 1, 2, 3)
    (still,) = write(client, quiet, 1)
    socket = opened(server)
    seen = socket.subscribe(gold, quiet, mode="every", since={gold: held, quiet: still})
    assert [(one["op"], one["rev"]) for one in seen[:-1]] == [("snap", newest)]
    assert seen[0]["recovered"] is False, "who is cut off before the next message resumes behind this one"
    assert seen[-1]["recovered"] is False
    seen = opened(server).subscribe(gold, quiet, mode="every", since={gold: newest, quiet: still})
    assert seen == [{"op": "subbed", "keys": [gold, quiet], "absent": [], "recovered": True}]


@pytest.mark.parametrize("prefix", [False, True])
def test_every_says_so_too_where_what_is_left_is_a_deletion(
    serve: Serve, opened: Open, unique_key: Key, prefix: bool
) -> None:
    server = serve("local", KVCAST_HISTORY_DAYS="0", KVCAST_HISTORY_WINDOW="0")
    client = client_of(server)
    gold = unique_key("gold")
    held, *_ = write(client, gold, 1, 2)
    deleted = client.delete(gold).rev
    named = {"prefixes": [unique_key("")]} if prefix else {"keys": [gold]}
    seen = opened(server).subscribe(**named, mode="every", since={gold: held})
    assert seen[:-1] == [{"op": "del", "key": gold, "rev": deleted, "recovered": False}]
    assert seen[-1]["recovered"] is False


def test_every_says_nothing_is_missing_where_nothing_is(
    app: Server, opened: Open, client: Client, unique_key: Key
) -> None:
    gold = unique_key("gold")
    (held,) = write(client, gold, 1)
    write(client, gold, 2)
    seen = opened(app).subscribe(gold, mode="every", since={gold: held})
    assert ["recovered" in one for one in seen] == [False, True]


# ping, heartbeat, auth


def test_ping_is_answered(ws: WebSocket) -> None:
    ws.send({"op": "ping"})
    assert ws.next().keys() == {"op", "time"}


def test_a_viewer_whose_subscribe_takes_long_is_not_taken_for_dead(
    stores: Stores, serve: Serve, opened: Open, unique_key: Key
) -> None:
    """Its pong is read when the subscribe is through; a resume of thousands of keys takes longer than two pings."""
    socket = opened(serve("local", KVCAST_HEARTBEAT_SECONDS="0.1"))
    lock = connect(stores.migration_url, statement_timeout_seconds=30)
    lock.run("BEGIN")
    lock.run("LOCK TABLE kvcast.kv IN ACCESS EXCLUSIVE MODE")
    socket.send({"op": "sub", "keys": [unique_key()]})
    assert [socket.next()["op"] for _ in range(10)] == ["hb"] * 10  # every third is sent with a ping
    lock.run("COMMIT")
    lock.close()
    socket.until("subbed")


def test_an_array_holds_several_messages(ws: WebSocket, unique_key: Key) -> None:
    ws.sock.sendall(frame(TEXT, msgspec.json.encode([{"op": "ping"}, {"op": "sub", "keys": [unique_key()]}])))
    assert [ws.next()["op"], ws.change()["op"]] == ["hb", "subbed"]


def test_auth_takes_a_good_token_and_closes_on_a_bad_one(app: Server, ws: WebSocket, opened: Open) -> None:
    ws.send({"op": "auth", "token": app.token}, {"op": "ping"})
    assert ws.next()["op"] == "hb"
    other = opened(app)
    other.send({"op": "auth", "token": "wröng"})
    assert other.closed().code == 4401


# what is refused


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[1]", '{"op":"nonsense"}', '{"op":"sub","keys":"gold"}', '{"op":"sub","keys":["a"],"more":1}',
     '{"op":"sub","keys":["a"],"max_rate":0}', '{"op":"sub","keys":["a"],"mode":"some"}',
     '{"op":"sub","keys":["a"],"since":{"a":-1}}', '{"op":"sub","keys":["a"],"since":{"a":9223372036854775808}}',
     "[" * 2000],
)  # fmt: skip
def test_a_bad_message_is_explained_and_closes_with_4400(text: str, ws: WebSocket) -> None:
    ws.sock.sendall(frame(TEXT, text.encode()))
    assert ws.last("error")["code"] == "bad_message"
    assert ws.closed().code == 4400


@pytest.mark.parametrize("key", ["", " ", "a/b", "..", "x" * 129, "\ud800", "\0"])
def test_a_bad_key_is_explained_and_the_socket_stays(key: str, ws: WebSocket) -> None:
    ws.send({"op": "sub", "keys": [key]}) if key != "\ud800" else ws.sock.sendall(
        frame(TEXT, b'{"op":"sub","keys":["\\ud800"]}')
    )
    error = ws.last("error")
    assert error["code"] in ("invalid_key", "bad_message")
    if error["code"] == "invalid_key":
        ws.send({"op": "ping"})
        assert ws.next()["op"] == "hb"


def test_a_subscribe_to_nothing_is_explained(ws: WebSocket) -> None:
    ws.send({"op": "sub"})
    assert ws.last("error")["code"] == "bad_message"


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1.evil.example", "https://127.0.0.1:1", "file://"]
)
def test_a_foreign_origin_is_refused(origin: str, app: Server) -> None:
    with pytest.raises(Refused) as refused:
        WebSocket(app.url, headers={"Origin": origin})
    assert refused.value.status == 403
    assert msgspec.json.decode(refused.value.body)["error"]["code"] == "forbidden"


def test_our_own_origin_is_taken(app: Server, opened: Open) -> None:
    opened(app, headers={"Origin": app.url})


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/ws", {"Sec-WebSocket-Version": "8"}),
        ("/ws", {"Upgrade": "h2c"}),
        ("/ws", {"Connection": "keep-alive"}),
        ("/ws", {"Sec-WebSocket-Key": ""}),
        ("/ws/", {}),
        ("/ws/a%2Fb", {}),
        ("/ws/%FF", {}),
        ("/ws/..", {}),
    ],
)
def test_a_bad_handshake_is_a_bad_request(path: str, headers: dict[str, str], app: Server) -> None:
    with pytest.raises(Refused) as refused:
        WebSocket(app.url, path, headers=headers)
    assert refused.value.status == 400
    assert b'"success":false' in refused.value.body


def test_deflate_is_not_negotiated(app: Server, opened: Open) -> None:
    socket = opened(app, headers={"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"})
    assert "sec-websocket-extensions" not in socket.headers


# RFC 6455


def padded(size: int) -> bytes:
    """A ping of exactly `size` bytes: blanks around JSON mean nothing."""
    return b'{"op":"ping"}'.ljust(size)


def test_a_frame_of_4096_bytes_is_taken(ws: WebSocket) -> None:
    ws.sock.sendall(frame(TEXT, padded(4096)))
    assert ws.next()["op"] == "hb"


@pytest.mark.parametrize("size", [4097, 20_000, 300_000])
def test_a_larger_frame_closes_with_1009(size: int, ws: WebSocket) -> None:
    with contextlib.suppress(OSError):  # it may be refused before all of it was sent
        ws.sock.sendall(frame(TEXT, padded(size)))
    assert ws.closed().code == 1009


def test_bytes_count_not_characters(ws: WebSocket) -> None:
    text = '{"op":"auth","token":"%s"}' % ("₫" * 1365)
    assert len(text) < 4096 < len(text.encode())
    ws.sock.sendall(frame(TEXT, text.encode()))
    assert ws.closed().code == 1009


def test_parts_of_a_large_message_count_together(ws: WebSocket) -> None:
    ws.sock.sendall(frame(TEXT, padded(4000), end=False) + frame(0, b" " * 97))
    assert ws.closed().code == 1009


def test_a_message_in_parts_with_control_frames_between(ws: WebSocket, unique_key: Key) -> None:
    key = unique_key("vàng")
    text = msgspec.json.encode({"op": "sub", "keys": [key]})
    cut = text.index("à".encode()) + 1  # in the middle of a character
    ws.sock.sendall(
        frame(TEXT, text[:cut], end=False) + frame(PING, b"one") + frame(0, text[cut : cut + 1], end=False)
        + frame(0, b"", end=False) + frame(PING, b"") + frame(0, text[cut + 1 :])
    )  # fmt: skip
    assert ws.change() == {"op": "subbed", "keys": [key], "absent": [key], "recovered": True}
    assert ws.pongs_heard == [b"one", b""]


def test_bytes_that_drip_in_make_the_same_frames(ws: WebSocket) -> None:
    for byte in frame(TEXT, b'{"op":"ping"}') + frame(TEXT, b'{"op":"ping"}'):
        ws.sock.sendall(bytes([byte]))
    assert [ws.next()["op"], ws.next()["op"]] == ["hb", "hb"]


def test_a_binary_message_closes_with_4400(ws: WebSocket) -> None:
    ws.sock.sendall(frame(BINARY, b'{"op":"ping"}'))
    assert ws.last("error")["code"] == "bad_message"
    assert ws.closed().code == 4400


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (frame(TEXT, b'{"op":"\xff\xfe"}'), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),
        (frame(TEXT, b"\xc3", end=False) + frame(0, b"("), 1007),
        (frame(TEXT, b'{"op":"ping"}', masked=False), 1002),
        (frame(TEXT, b'{"op":"ping"}', reserved=0x40), 1002),
        (frame(TEXT, b'{"op":"ping"}', reserved=0x10), 1002),
        (frame(0x3, b""), 1002),
        (frame(0xB, b""), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(PING, b"", end=False), 1002),
        (frame(0, b"goes on from nothing"), 1002),
        (frame(TEXT, b"{", end=False) + frame(TEXT, b"}"), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, (1005).to_bytes(2, "big")), 1002),
        (frame(CLOSE, (1000).to_bytes(2, "big") + b"\xff"), 1007),
    ],
)
def test_a_broken_frame_closes_with_the_code_of_the_rfc(wrong: bytes, code: int, ws: WebSocket) -> None:
    ws.sock.sendall(wrong)
    assert ws.closed().code == code


def test_a_close_is_answered_with_its_code(ws: WebSocket) -> None:
    ws.sock.sendall(frame(CLOSE, (1000).to_bytes(2, "big") + b"bye"))
    assert ws.closed().code == 1000


# limits, slowness, drain: on a server with small limits

SEND_SECONDS = 5.0
TIGHT = {
    "KVCAST_SOCKET_MAX_KEYS": "20", "KVCAST_SOCKETS_PER_ADDRESS": "8", "KVCAST_SOCKET_QUEUE_MAX": "16",
    "KVCAST_SEND_TIMEOUT_SECONDS": f"{SEND_SECONDS:g}",
}  # fmt: skip


@pytest.fixture(scope="module")
def tight(stores: Stores) -> Iterator[Server]:
    server = Server(stores, "local", TIGHT)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def free(tight: Server) -> Server:
    """`tight` with none of its sockets open."""
    eventually(lambda: metric(tight, "kvcast_connections") == 0)
    return tight


def test_the_heart_beats_and_a_viewer_that_answers_no_ping_is_let_go(serve: Serve, opened: Open) -> None:
    server = serve("push", KVCAST_HEARTBEAT_SECONDS="0.4")
    socket = opened(server)
    assert socket.hello["heartbeat"] == 0.4
    first, second = socket.last("hb"), socket.last("hb")
    assert 0.2 < second["time"] - first["time"] < 10
    assert opened(server, pongs=False).closed().code == 4408
    socket = opened(server)
    for _ in range(8):  # three pings among them
        socket.last("hb")


def test_a_socket_watches_as_many_names_as_it_may_and_not_one_more(
    free: Server, opened: Open, unique_key: Key
) -> None:
    names = [unique_key(str(number)) for number in range(20)]
    socket = opened(free)
    assert socket.subscribe(*names[:10], prefixes=names[10:15], categories=names[15:])[-1]["op"] == "subbed"
    assert socket.subscribe(*names[:10])[-1]["op"] == "subbed", "known names count once"
    socket.send({"op": "sub", "keys": [unique_key("one-more")]})
    assert socket.last("error")["code"] == "too_many_keys"
    socket.send({"op": "unsub", "prefixes": names[10:11]})
    assert socket.subscribe(unique_key("one-more"))[-1]["op"] == "subbed"


def test_a_snapshot_may_be_larger_than_the_queue(free: Server, opened: Open, unique_key: Key) -> None:
    client = client_of(free)
    client.batch((unique_key(f"p.{number}"), number) for number in range(1500))
    for mode in ("latest", "every"):
        socket = opened(free)
        seen = socket.subscribe(prefixes=[unique_key("p.")], mode=mode)
        assert sum(one["op"] == "snap" for one in seen) == 1500
        client.set(unique_key("p.0"), "after")
        assert socket.last("upd", value="after")


def test_too_many_sockets_of_one_address(serve: Serve, opened: Open) -> None:
    server = serve("push", KVCAST_SOCKETS_PER_ADDRESS="8")
    sockets = [opened(server) for _ in range(8)]
    refused = opened(server, greeted=False).closed()
    assert refused.code == 4429
    assert refused.reason
    sockets[0].close()
    eventually(lambda: metric(server, "kvcast_connections") == 7)
    opened(server)


def test_a_viewer_that_vanishes_leaves_nothing_behind(free: Server, opened: Open, unique_key: Key) -> None:
    for _ in range(9):
        socket = opened(free)
        socket.subscribe(unique_key())
        socket.close()
        eventually(lambda: metric(free, "kvcast_connections") == 0)


def test_too_many_messages(app: Server, opened: Open) -> None:
    socket = opened(app)
    for _ in range(90):
        socket.send({"op": "ping"})
    socket.until("hb")
    with contextlib.suppress(OSError):
        socket.sock.sendall(frame(TEXT, b'{"op":"ping"}') * 200)
    assert socket.closed().code == 4429


def test_many_messages_in_one_frame_are_many_messages(app: Server, opened: Open) -> None:
    socket = opened(app)
    socket.sock.sendall(frame(TEXT, msgspec.json.encode([{"op": "ping"}] * 250)))
    assert socket.closed().code == 4429


def test_messages_that_nobody_can_handle_yet_stay_with_their_sender(
    app: Server, opened: Open, client: Client, unique_key: Key
) -> None:
    """Or a flood behind a subscribe that takes long would fill the worker's memory."""
    for start in range(0, 2500, 500):
        client.batch((unique_key(f"p.{start + number}"), "x" * 1500) for number in range(500))
    socket = opened(app, receive_buffer=4096)
    socket.send({"op": "sub", "prefixes": [unique_key("p.")]})
    flood = frame(TEXT, padded(4000)) * 100
    sent = 0
    socket.sock.settimeout(1)
    with contextlib.suppress(OSError):
        while sent < 30_000_000:
            socket.sock.sendall(flood)
            sent += len(flood)
    assert sent < 30_000_000


def test_a_reader_that_stops_is_let_go_and_delays_nobody(free: Server, opened: Open, unique_key: Key) -> None:
    client = client_of(free)
    gold, beat = unique_key("gold"), unique_key("beat")
    stuck = opened(free, receive_buffer=4096)
    stuck.subscribe(gold, mode="every")
    lively = opened(free)
    lively.subscribe(beat)
    closed = metric(free, "kvcast_closed_total")
    slowest = 0.0
    number = 0
    left = 3  # turns after it was told to go
    while left:
        assert number < 600, "nobody was let go"
        number += 1
        client.set(gold, "x" * 60_000)
        began = time.monotonic()
        client.set(beat, number)
        lively.last("upd", value=number)
        slowest = max(slowest, time.monotonic() - began)
        left -= metric(free, "kvcast_closed_total") > closed
    assert slowest < 0.8 * SEND_SECONDS, "as long as one may wait who does not read"
    assert stuck.closed().code in (4408, 1006), "1006 where the close frame could not be sent any more"


def test_a_reader_that_only_pauses_is_told_that_it_is_too_slow(free: Server, opened: Open, unique_key: Key) -> None:
    client = client_of(free)
    gold = unique_key("gold")
    slow = opened(free, receive_buffer=4096)
    slow.subscribe(gold, mode="every")
    closed = metric(free, "kvcast_closed_total")
    while metric(free, "kvcast_closed_total") == closed:
        client.batch((gold, "x" * 55_000) for _ in range(15))
    assert slow.closed().code == 4408


def test_large_values_of_many_keys_arrive_whole(app: Server, opened: Open, client: Client, unique_key: Key) -> None:
    values = {unique_key(str(number)): f"{number:03}" + "₫" * 21_000 for number in range(100)}
    for key, value in values.items():
        client.set(key, value)
    socket = opened(app, receive_buffer=8192)
    seen = socket.subscribe(prefixes=[unique_key("")])
    assert {one["key"]: one["value"] for one in seen[:-1]} == values


def metrics(server: Server) -> str:
    return Caller(server.url, check=False)("GET", "/metrics").body.decode()


def test_a_viewer_that_comes_back_to_an_unready_worker_is_served_for_a_while(
    serve: Serve, opened: Open, unique_key: Key
) -> None:
    """A proxy that keeps sessions sends it there until it has seen that the pod is unready."""
    server = serve("push", KVCAST_DRAIN_SECONDS="8")
    early = opened(server)
    early.subscribe(unique_key())
    os.kill(server.pid, signal.SIGTERM)
    eventually(lambda: Caller(server.url, check=False)("GET", "/healthz/ready").status == 503)
    late = opened(server)
    late.subscribe(unique_key())
    eventually(lambda: 'kvcast_handed_over_total{kind="websocket"}' in metrics(server))
    assert [socket.closed().code for socket in (early, late)] == [1012] * 2


def test_a_viewer_that_still_reads_when_the_drain_ends_is_told_behind_whole_frames(
    serve: Serve, opened: Open, client: Client, unique_key: Key
) -> None:
    server = serve("push", KVCAST_DRAIN_SECONDS="0.4", KVCAST_SEND_TIMEOUT_SECONDS="10")
    gold = unique_key("gold")
    slow = opened(server, receive_buffer=4096)
    slow.subscribe(gold, mode="every")
    values = [f"{number:03}" + "x" * 60_000 for number in range(100)]
    client.batch((gold, value) for value in values)
    os.kill(server.pid, signal.SIGTERM)
    eventually(lambda: 'kvcast_handed_over_total{kind="websocket"}' in metrics(server))
    drained = time.monotonic() + 0.6
    eventually(lambda: time.monotonic() > drained)
    seen = []
    code = None
    while code is None:
        try:
            seen.append(slow.last("upd")["value"])
        except Closed as closed:
            code = closed.code
    assert code == 1012
    assert seen
    assert seen == values[: len(seen)], "it comes back with the last rev that it saw"


def test_a_full_worker_refuses_one_more_and_a_drain_tells_every_viewer(
    serve: Serve, opened: Open, unique_key: Key
) -> None:
    server = serve("push", KVCAST_DRAIN_SECONDS="0.5", KVCAST_SOCKETS_MAX="20")
    sockets = [opened(server) for _ in range(20)]
    assert opened(server, greeted=False).closed().code == 4429
    for socket in sockets:
        socket.subscribe(unique_key())
    os.kill(server.pid, signal.SIGTERM)
    assert [socket.closed().code for socket in sockets] == [1012] * 20
    eventually(lambda: "Shutting down: Master" in server.log())


def test_frames_right_behind_the_handshake_are_heard(app: Server, unique_key: Callable[..., str]) -> None:
    said = json.dumps({"op": "sub", "keys": [unique_key()]}).encode()
    request = (
        b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    with stdlib.create_connection(Caller(app.url).address, timeout=HANG_SECONDS) as connection:
        connection.sendall(request + frame(TEXT, said))
        received = b""
        while b'"subbed"' not in received:
            received += connection.recv(65_536)
