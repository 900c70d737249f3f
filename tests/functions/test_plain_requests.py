"""What is read as plain is exactly one whole request; whatever else comes is left to gunicorn."""

from __future__ import annotations

import tracemalloc

import pytest

from functions.plain_requests import PlainReader

HEAD = b"GET /get/gold HTTP/1.1\r\nHost: a.example:80\r\n"


def test_a_plain_get_is_read() -> None:
    read = PlainReader().read(HEAD + b'If-None-Match: "4" \r\nConnection: Keep-Alive\r\n\r\n')
    fields = {"HTTP_HOST": "a.example:80", "HTTP_IF_NONE_MATCH": '"4"', "HTTP_CONNECTION": "Keep-Alive"}
    assert read is not None
    assert (read.method, read.path, read.block.fields, read.body) == ("GET", "/get/gold", fields, b"")


def test_a_plain_post_is_read_with_its_body() -> None:
    reader = PlainReader()
    for body in (b"{}", b'{"key":"a"}', b"\r\n\r\n"):
        data = b"POST /add HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        read = reader.read(data)
        assert read is not None
        assert read.body == body
        assert read.block.fields["CONTENT_LENGTH"] == str(len(body))


def test_a_block_that_was_refused_stays_refused() -> None:
    reader = PlainReader()
    for _ in range(2):
        assert reader.read(HEAD + b"Upgrade: websocket\r\n\r\n") is None


def test_what_a_browser_adds_by_itself_is_plain() -> None:
    names = (b"sec-ch-ua", b"sec-ch-ua-mobile", b"sec-ch-ua-platform", b"Sec-Fetch-Site", b"Sec-Fetch-Mode")
    data = HEAD + b"".join(b"%s: a\r\n" % name for name in (*names, b"Sec-Fetch-Dest", b"Sec-Fetch-User")) + b"\r\n"
    assert PlainReader().read(data) is not None


def test_what_varies_is_not_remembered() -> None:
    reader = PlainReader()
    blocks = set()
    for number in range(3000):
        first, last = b"x-request-id: %d \r\n" % number, b"X-Forwarded-For: 1.1.1.1, %d\r\nTraceParent:\r\n" % number
        read = reader.read(HEAD + first + b"Accept: a\r\n" + last + b"\r\n")
        assert read is not None
        assert read.varied == {
            "HTTP_X_REQUEST_ID": str(number), "HTTP_X_FORWARDED_FOR": f"1.1.1.1, {number}", "HTTP_TRACEPARENT": ""
        }
        assert read.fields() == {"HTTP_HOST": "a.example:80", "HTTP_ACCEPT": "a", **read.varied}
        blocks.add(read.block)
    assert len(blocks) == 1
    read = reader.read(HEAD + b"Accept: a\r\n\r\n")
    assert read is not None
    assert read.block in blocks
    assert not read.varied


def test_large_blocks_take_no_memory() -> None:
    """Anybody can send them, each another one, though nobody gets an answer but 400."""
    reader = PlainReader()
    tracemalloc.start()
    for number in range(300):
        assert reader.read(HEAD + b"Accept: %d%s\r\n\r\n" % (number, b"a" * 60_000)) is None
    held_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held_bytes < 1_000_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEAD,
        HEAD + b"\r\n" + HEAD + b"\r\n",
        HEAD + b"\r\nx",
        HEAD + b"Connection: close\r\n\r\n",
        HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Content-Length: 0\r\n\r\n",
        HEAD + b"Expect: 100-continue\r\n\r\n",
        HEAD + b"Script-Name: /x\r\n\r\n",
        HEAD + b"Accept: a\r\nAccept: b\r\n\r\n",
        HEAD + b"Accept: a\r\n b\r\n\r\n",
        HEAD + b"Accept : a\r\n\r\n",
        HEAD + b"Accept: a\nCookie: b\r\n\r\n",
        HEAD + b"Accept: a\rb\r\n\r\n",
        HEAD + b"Accept: \x00\r\n\r\n",
        HEAD + b"Accept: v\xc3\xa0ng\r\n\r\n",
        HEAD + b"Accept_Language: a\r\n\r\n",
        HEAD + b"Accept: " + b"a" * 5000 + b"\r\n\r\n",
        HEAD + b"Host: b\r\n\r\n",
        HEAD + b"Sec-CH-UA-1: a\r\n\r\n",
        HEAD + b"X-Request-Id: a\r\nx-request-id: b\r\n\r\n",
        HEAD + b"X-Request-Id: a\r\nAccept: b\r\nX-Forwarded-For: c\r\nX-Request-Id: d\r\n\r\n",
        HEAD + b"X-Request-Id: a\r\n b\r\n\r\n",
        HEAD + b"X-Request-Id: a\nCookie: b\r\n\r\n",
        HEAD + b"X-Request-Id : a\r\n\r\n",
        HEAD + b"X-Request-Id: v\xc3\xa0ng\r\n\r\n",
        HEAD + b"X_Request_Id: a\r\n\r\n",
        b"GET /get/gold HTTP/1.1\r\nAccept: a\r\n\r\n",
        b"GET /get/gold HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET /get/gold HTTP/1.0\r\nHost: a\r\n\r\n",
        b"GET /get/gold?min_rev=4 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /get/v%C3%A0ng HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://a/get/gold HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /get/" + b"a" * 2000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HEAD /get/gold HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\nGET /get/gold HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /add HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /add HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /add HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n{}",
        b"POST /add HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}",
        b"POST /add HTTP/1.1\r\nHost: a\r\nContent-Length: 02\r\n\r\n{}",
        b"POST /add HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /add HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    ],
)
def test_what_is_not_surely_plain_is_left(data: bytes) -> None:
    assert PlainReader().read(data) is None
