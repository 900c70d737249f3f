"""The plain reader beside gunicorn's parser: the same verdict for the same bytes, in one piece and in many."""

from __future__ import annotations

import itertools
import re
import socket
from contextlib import suppress
from typing import Any

from gunicorn.config import Config
from gunicorn.http.parser import RequestParser
from hypothesis import example, given
from hypothesis import strategies as st

from tests.calls import Caller
from tests.conftest import TOKEN, Server
from tests.fuzz.examples import examples

from functions.plain_requests import PlainReader

Gunicorn: Any = RequestParser
BODY = b'{"key":"fuzz.requests","value":1}'
LINES = [
    b"GET /get/fuzz.requests HTTP/1.1", b"POST /add HTTP/1.1", b"GET /get/a HTTP/1.0", b"GET /get/a?b=c HTTP/1.1",
    b"GET  /get/a HTTP/1.1", b"get /get/a HTTP/1.1", b"GET /get/%61 HTTP/1.1", b"GET http://a/get/a HTTP/1.1",
    b"GET /get/a HTTP/1.1 ", b"GET /get/a\tHTTP/1.1", b"GET //get/a HTTP/1.1", b"GET /get/../get/a HTTP/1.1", b"",
    b"GET /",
]  # fmt: skip
FIELDS = [
    b"Accept: */*", b"accept:a", b"Accept : a", b" Accept: a", b"Accept: \ta \t", b"Accept: a\x00b", b"Accept: a\x7fb",
    b"Accept: v\xc3\xa0ng", b"Accept:", b"Cookie: a=b", b'If-None-Match: "4"', b"Origin: https://evil.example",
    b"Content-Type: application/json", b"Content-Type: application/json; charset=utf-8", b"Content_Length: 5",
    b"Connection: keep-alive", b"Connection: close", b"Connection: Keep-Alive, Upgrade", b"Keep-Alive: 5",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding: xchunked", b"TE: trailers",
    b"Transfer-Encoding : chunked", b"Content-Length: 0", b"Content-Length: 33", b"Content-Length: 34",
    b"Content-Length: +33", b"Content-Length: 033", b"Content-Length: 33, 33", b"Content-Length: 0x21",
    b"Content-Length: 3 3", b"Content-Length : 33", b"Host: b", b"Host: a b", b"Host: a:80", b"Host:",
    b"X-Forwarded-For: 1.2.3.4",
    b"Upgrade: h2c", b"Expect: 100-continue", b"Authorization: Bearer " + TOKEN.encode(), b"Script-Name: /x",
    b"folded\r\n on",
]  # fmt: skip
CHUNKED = b"21\r\n" + BODY + b"\r\n0\r\n\r\n"
BODIES = st.one_of(
    st.sampled_from([b"", BODY, BODY + b" ", BODY[:-1], b"0\r\n\r\n", CHUNKED]), st.binary(max_size=8)
)


def assembled(line: bytes, fields: list[bytes], body: bytes, end: bytes) -> bytes:
    return end.join([line, *fields, b"", b""]) + body


REQUESTS = st.builds(
    assembled, st.one_of(st.sampled_from(LINES[:2]), st.sampled_from(LINES)),
    st.lists(st.one_of(st.sampled_from([b"Host: a", FIELDS[0]]), st.sampled_from(FIELDS)), max_size=7).map(
        lambda fields: [b"Host: a", *fields]
    ),
    BODIES, st.sampled_from([b"\r\n"] * 9 + [b"\n"]),
)  # fmt: skip


def mutated(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    """Some bytes of it replaced."""
    changed = bytearray(data)
    for place, byte in changes:
        if changed:
            changed[place % len(changed)] = byte
    return bytes(changed)


CHANGES = st.lists(st.tuples(st.integers(0, 500), st.sampled_from(b"\r\n \t:,;\x00\xff/%?#0aZ_-")), max_size=2)
CUTS = st.lists(st.integers(0, 500), max_size=4)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(bounds) if stop > start]


@examples(400)
@given(REQUESTS, CHANGES, CUTS)
@example(assembled(LINES[1], [b"Host: a", b"Content-Length: 33"], BODY, b"\r\n"), [], [20, 60])
def test_what_is_plain_gunicorn_reads_alike(data: bytes, changes: list[tuple[int, int]], cuts: list[int]) -> None:
    data = mutated(data, changes)
    plain = PlainReader().read(data)
    if plain is None:
        return
    parser = Gunicorn(Config(), iter(pieces(data, cuts)), ("127.0.0.1", 1))
    request = next(parser)
    assert (request.method, request.path, request.query) == (plain.method, plain.path, "")
    assert request.body.read() == plain.body
    fields = {name.replace("-", "_"): value for name, value in request.headers}
    assert fields == {name.removeprefix("HTTP_"): value for name, value in plain.fields().items()}
    assert not request.should_close()
    assert next(parser, None) is None, "a second request is hidden in it"


def exchanged(server: Server, data: bytes, cuts: list[int]) -> list[bytes]:
    """The statuses of all answers to `data`; fewer where what was sent after a refusal cut its answer off."""
    with socket.create_connection(Caller(server.url).address, timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answer = b""
        try:
            for piece in pieces(data, cuts):
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
            while more := connection.recv(65_536):
                answer += more
        except OSError:
            with suppress(OSError):
                answer += connection.recv(65_536)
    return re.findall(rb"^HTTP/1\.1 (\d{3})", answer, re.MULTILINE)


@examples(60)
@given(REQUESTS, CHANGES, CUTS)
def test_a_request_is_answered_alike_however_it_is_cut(
    target: Server, data: bytes, changes: list[tuple[int, int]], cuts: list[int]
) -> None:
    data = mutated(data, changes)
    whole = exchanged(target, data, [])
    assert not [status for status in whole if status >= b"500"], whole
    cut = exchanged(target, data, cuts)
    assert cut == whole[: len(cut)] or whole == cut[: len(whole)]
    assert len(cut) == len(whole) or b"400" in [*cut, *whole]
