"""A request that is answered straight from the socket gets, byte for byte, what gunicorn would have sent."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.calls import Caller
from tests.conftest import TOKEN, Server
from tests.polling import eventually

ODD = "X-Odd: 1\r\n"  # what makes a request not plain
PASSING = re.compile(
    rb"((?:Date|RateLimit-Remaining|RateLimit-Reset|X-Request-Id): )(?!an-id)[^\r]*|(\"rev\":|\"updatedAt\":)[^,}]*"
)


class Wire:
    """One kept connection, byte by byte."""

    def __init__(self, server: Server) -> None:
        host, port = server.url.removeprefix("http://").split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> bytes:
        """The next whole answer; its end is known by Content-Length."""
        received = b""
        while b"\r\n\r\n" not in received:
            received += self.more()
        head = received.partition(b"\r\n\r\n")[0]
        length = re.search(rb"Content-Length: (\d+)", head)
        while len(received) < len(head) + 4 + (int(length[1]) if length else 0):
            received += self.more()
        return received

    def more(self) -> bytes:
        data = self._socket.recv(65_536)
        assert data, "the connection was closed"
        return data

    def ended(self) -> bool:
        return self._socket.recv(1) == b""

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def wire(app: Server) -> Iterator[Wire]:
    wire = Wire(app)
    yield wire
    wire.close()


def request(line: str, headers: str = "", body: str = "") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if line.startswith("POST") else ""
    return f"{line} HTTP/1.1\r\nHost: localhost\r\n{headers}{length}\r\n{body}".encode()


def grown(answer: bytes) -> bytes:
    """Without its length where it has a rev, which grows by a digit now and then."""
    return re.sub(rb"Content-Length: \d+", b"", answer) if b'"success":true' in answer else answer


PROXY = (
    "X-Request-Id: an-id\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nX-Forwarded-Proto: https\r\n"
    "X-Forwarded-Host: a.example\r\nX-Forwarded-Port: 443\r\nX-Forwarded-Server: a\r\nX-Real-Ip: 1.1.1.1\r\n"
    "Forwarded: for=1.1.1.1\r\ntraceparent: 00-a-b-00\r\n"
)
BEARER = f"Authorization: Bearer {TOKEN}\r\n"
JSON = "Content-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("line", "headers", "body"),
    [
        ("GET /get/KEY", "", ""),
        ("GET /get/KEY", "If-None-Match: *\r\n", ""),
        ("GET /get/KEY", 'If-None-Match: "1"\r\n', ""),
        ("GET /get/KEY", "If-None-Match: 1\r\n", ""),
        ("GET /get/KEY", "Authorization: Bearer wrong\r\n", ""),
        ("GET /get/none.at.all", "", ""),
        ("GET /get/", "", ""),
        ("GET /get/..", "", ""),
        ("GET /get/a/b", "", ""),
        ("POST /add", BEARER + JSON, '{"key":"KEY","value":[1.50, {"a":"b"}]}'),
        ("POST /add", BEARER + JSON + PROXY, '{"key":"KEY","value":1}'),
        ("POST /add", JSON + PROXY, '{"key":"KEY","value":1}'),
        ("POST /add", BEARER + JSON + "X-Request-Id: a,b\r\n", '{"key":"KEY","value":1}'),
        ("GET /get/KEY", PROXY, ""),
        ("GET /get/none.at.all", PROXY, ""),
        ("POST /add", BEARER + JSON, '{"key":"KEY","value":NaN}'),
        ("POST /add", BEARER + JSON, ""),
        ("POST /add", BEARER, '{"key":"KEY","value":1}'),
        ("POST /add", JSON, '{"key":"KEY","value":1}'),
        ("POST /add", BEARER + JSON + 'If-Match: "1"\r\n', '{"key":"KEY","value":1}'),
        ("POST /add", BEARER + JSON + "Content-Encoding: gzip\r\n", '{"key":"KEY","value":1}'),
    ],
)
def test_both_ways_give_the_same_bytes(
    wire: Wire, call: Caller, unique_key: Callable[..., str], line: str, headers: str, body: str
) -> None:
    key = unique_key()
    call.add(key, "2345.60")
    call("GET", f"/get/{key}")  # so that both are answered from the same place
    answers = []
    for odd in ("", ODD, ""):
        wire.send(request(line.replace("KEY", key), headers + odd, body.replace("KEY", key)))
        answers.append(PASSING.sub(rb"\1\2", grown(wire.answer())))
    assert answers[0].startswith(b"HTTP/1.1 ")
    assert answers == [answers[0]] * 3


def test_both_ways_give_the_same_bytes_and_the_same_line_where_requests_are_logged_and_pages_may_call(
    serve: Callable[..., Server], unique_key: Callable[..., str]
) -> None:
    server = serve(
        "write", KVCAST_ACCESS_LOG="1", KVCAST_ALLOWED_ORIGINS="https://a.example", KVCAST_TRUSTED_HOPS="1",
        KVCAST_LOG_FORMAT="json",
    )
    wire = Wire(server)
    body = f'{{"key":"{unique_key()}","value":1}}'
    for origin in ("", "Origin: https://a.example\r\n", "Origin: https://b.example\r\n"):
        for proxy in ("", PROXY):
            answers = []
            for odd in ("", ODD):
                wire.send(request("POST /add", BEARER + JSON + origin + proxy + odd, body))
                answers.append(PASSING.sub(rb"\1\2", grown(wire.answer())))
            assert answers[0].startswith(b"HTTP/1.1 200 ")
            assert answers[0] == answers[1]
    eventually(lambda: len(answered(server)) == 12)
    lines = answered(server)
    for line in lines:
        for own in ("time", "milliseconds", "rev", "request_id"):
            assert line.pop(own)
    assert lines[::2] == lines[1::2]
    assert [line["client"] for line in lines[::2]] == ["127.0.0.1", "2.2.2.2"] * 3
    wire.close()


def answered(server: Server) -> list[dict[str, Any]]:
    whole = server.log().rpartition("\n")[0]
    lines = [json.loads(line) for line in whole.splitlines() if '"answered"' in line]
    return [line for line in lines if line["route"] == "/add"]


def test_a_body_that_comes_after_its_head_is_waited_for(wire: Wire, unique_key: Callable[..., str]) -> None:
    data = request("POST /add", BEARER + JSON, f'{{"key":"{unique_key()}","value":1}}')
    head = data.index(b"\r\n\r\n") + 4
    wire.send(data[:head])
    wire.send(data[head:])
    assert wire.answer().startswith(b"HTTP/1.1 200 ")


def test_pipelined_requests_are_answered_in_order(wire: Wire, call: Caller, unique_key: Callable[..., str]) -> None:
    keys = [unique_key(name) for name in ("a", "b", "c")]
    for key in keys:
        call.add(key, f'"{key}"')
    wire.send(b"".join(request(f"GET /get/{key}") for key in keys))
    received = b""
    while received.count(b"HTTP/1.1 200 OK") < len(keys) or not received.endswith(b"}"):
        received += wire.more()
    assert [received.index(key.encode()) for key in keys] == sorted(received.index(key.encode()) for key in keys)


def test_what_comes_before_a_write_is_answered_is_answered_after_it(
    wire: Wire, unique_key: Callable[..., str]
) -> None:
    key = unique_key()
    for _ in range(50):
        wire.send(request("POST /add", BEARER + JSON, f'{{"key":"{key}","value":1}}'))
        sent_at = time.perf_counter()
        while time.perf_counter() < sent_at + 0.0005:  # so that it arrives by itself, before the commit
            pass
        wire.send(request("GET /get/none.at.all"))
        received = b""
        while b'"success":false' not in received or b'"success":true' not in received:
            received += wire.more()
        assert received.index(b" 200 OK\r\n") < received.index(b" 404 ")


def test_a_write_whose_client_hangs_up_at_once_is_committed(
    app: Server, call: Caller, unique_key: Callable[..., str]
) -> None:
    keys = [unique_key(f"n{number}") for number in range(20)]
    for key in keys:
        wire = Wire(app)
        wire.send(request("POST /add", BEARER + JSON, f'{{"key":"{key}","value":1}}'))
        wire.close()
    eventually(lambda: all(call("GET", f"/get/{key}").status == 200 for key in keys))


def test_a_request_hidden_in_another_is_not_answered(wire: Wire, unique_key: Callable[..., str]) -> None:
    """A body, or half a header, that looks like a request: who answered it would answer the next client's."""
    hidden = request(f"GET /get/{unique_key()}")
    wire.send(request("POST /add", BEARER + JSON, "x" * len(hidden))[: -len(hidden)])
    time.sleep(0.05)  # so that it arrives by itself
    wire.send(hidden)
    assert b" 400 " in wire.answer().splitlines()[0]
    wire.send(b"GET /healthz/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b" 200 " in wire.answer().splitlines()[0]


def test_a_client_that_asks_for_the_end_gets_it(wire: Wire) -> None:
    for _ in range(3):
        wire.send(request("GET /get/none.at.all"))
        assert b" 404 " in wire.answer()
    wire.send(request("GET /get/none.at.all", "Connection: close\r\n"))
    assert b"Connection: close" in wire.answer()
    assert wire.ended()


def test_a_connection_that_was_answered_may_idle_for_longer_than_one_that_has_said_nothing(
    app: Server, wire: Wire, unique_key: Callable[..., str]
) -> None:
    """A proxy keeps connections, and a POST that meets one which is ending is lost."""
    silent = Wire(app)
    wire.send(request(f"GET /get/{unique_key()}"))
    wire.answer()
    assert silent.ended()
    wire.send(request(f"GET /get/{unique_key()}"))
    wire.answer()
    silent.close()
