"""Requests that two readers could read in two ways, addresses that look for files, and origins that look alike."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator

import pytest

from kvcast.embedded import Stores
from tests.calls import Caller
from tests.conftest import TOKEN, Server
from tests.functions.push.raw import Refused, WebSocket
from tests.poison import assert_reads_their_own
from tests.polling import HANG_SECONDS

HEAD = f"Host: a\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n".encode()
# HIDDEN is a whole request that writes: a proxy that reads the shape in the other way passes it on as somebody's.
SHAPES = {
    "a length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHIDDEN",
    "chunks and a length": b"Transfer-Encoding: chunked\r\nContent-Length: ALL\r\n\r\n0\r\n\r\nHIDDEN",
    "two lengths": b"Content-Length: 0\r\nContent-Length: ALL\r\n\r\nHIDDEN",
    "the same length twice": b"Content-Length: ALL\r\nContent-Length: ALL\r\n\r\nHIDDEN",
    "a list of lengths": b"Content-Length: ALL, 0\r\n\r\nHIDDEN",
    "a length with a sign": b"Content-Length: +ALL\r\n\r\nHIDDEN",
    "a length below nothing": b"Content-Length: -1\r\n\r\nHIDDEN",
    "a length in base 16": b"Content-Length: 0x0\r\n\r\nHIDDEN",
    "a length with an underscore": b"Content-Length: 0_0\r\n\r\nHIDDEN",
    "a length in other digits": b"Content-Length: \xd9\xa0\r\n\r\nHIDDEN",
    "no number as length": b"Content-Length: \r\n\r\nHIDDEN",
    "a length with a blank before the colon": b"Content-Length : ALL\r\n\r\nHIDDEN",
    "chunks with a blank before it": b"Transfer-Encoding : chunked\r\nContent-Length: ALL\r\n\r\n0\r\n\r\nHIDDEN",
    "a folded line": b"X: a\r\n Content-Length: 0\r\nContent-Length: ALL\r\n\r\nHIDDEN",
    "a folded encoding": b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\nHIDDEN",
    "another encoding": b"Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\nHIDDEN",
    "an encoding with a quote": b'Transfer-Encoding: "chunked"\r\nContent-Length: 0\r\n\r\nHIDDEN',
    "an encoding with a tab": b"Transfer-Encoding:\x0bchunked\r\nContent-Length: 0\r\n\r\nHIDDEN",
    "chunks inside chunks": b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\nHIDDEN",
    "chunks before another encoding": b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\nHIDDEN",
    "chunks, and then none": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\nHIDDEN",
    "a bare carriage return": b"X: a\rContent-Length: 0\r\nContent-Length: ALL\r\n\r\nHIDDEN",
    "a bare line feed": b"X: a\nTransfer-Encoding: chunked\r\nContent-Length: ALL\r\n\r\n0\r\n\r\nHIDDEN",
    "a NUL": b"X: a\x00\r\nContent-Length: 0\r\n\r\nHIDDEN",
    "a name with an underscore": b"Content_Length: 0\r\nContent-Length: ALL\r\n\r\nHIDDEN",
    "an encoding with an underscore": b"Transfer_Encoding: chunked\r\nContent-Length: ALL\r\n\r\n0\r\n\r\nHIDDEN",
    "a chunk size in two bases": b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\nHIDDEN",
    "a chunk size with a sign": b"Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\nHIDDEN",
    "a chunk size below nothing": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\nHIDDEN",
    "a chunk size with an underscore": b"Transfer-Encoding: chunked\r\n\r\n0_0\r\n\r\nHIDDEN",
    "a chunk size and a bare line feed": b"Transfer-Encoding: chunked\r\n\r\n0\n\nHIDDEN",
    "a chunk that is longer than it says": b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\nHIDDEN",
    "a line feed in an extension of a chunk": b"Transfer-Encoding: chunked\r\n\r\n2;a\nHIDDEN\r\n0\r\n\r\n",
}


def answers_to(app: Server, request: bytes) -> list[int]:
    """The status of every answer until the server closes. The last one is one that we ask it to close after."""
    with socket.create_connection(Caller(app.url).address, timeout=HANG_SECONDS) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while data := connection.recv(65_536):
            received += data
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


@pytest.mark.parametrize("line", [b"POST /add", b"POST /batch", b"GET /get/a"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_request_that_can_be_read_in_two_ways_hides_none(
    app: Server, call: Caller, unique_key: Callable[..., str], shape: str, line: bytes
) -> None:
    body = b'{"key":"%s","value":1}' % unique_key("hidden").encode()
    hidden = b"POST /add HTTP/1.1\r\n" + HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    text = SHAPES[shape].replace(b"HIDDEN", hidden)
    length = len(text.partition(b"\r\n\r\n")[2])
    statuses = answers_to(app, line + b" HTTP/1.1\r\n" + HEAD + text.replace(b"ALL", b"%d" % length))
    if line.startswith(b"GET"):  # is answered without a look at its body, which then ends the connection
        assert statuses[1:] in ([], [400]), statuses
    else:
        assert len(statuses) <= 1
        assert all(400 <= status < 500 or status == 501 for status in statuses), statuses
    assert call.get(unique_key("hidden")).status == 404


def test_after_all_of_them_each_read_returns_its_own_key(app: Server) -> None:
    for shape in SHAPES.values():
        text = shape.replace(b"ALL", b"9").replace(b"HIDDEN", b"GET /get/a")
        for line in (b"POST /add", b"GET /get/a"):
            answers_to(app, line + b" HTTP/1.1\r\n" + HEAD + text)
    assert_reads_their_own(app.url, app.url, app.token)


@pytest.mark.parametrize(
    "line",
    ["GET http://evil.example/get/none HTTP/1.1", "GET evil.example:80 HTTP/1.1", "CONNECT evil.example:443 HTTP/1.1",
     "OPTIONS * HTTP/1.1", "TRACE / HTTP/1.1", "GET /get/a b HTTP/1.1", "GET / HTTP/0.9",
     "PRI * HTTP/2.0"],
)
def test_a_request_line_for_somebody_else_is_no_way_out(app: Server, line: str) -> None:
    statuses = answers_to(app, f"{line}\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert len(statuses) <= 1
    assert all(400 <= status < 500 or status == 501 for status in statuses), statuses


@pytest.mark.parametrize(("cookie", "status"), [(8000, 404), (8400, 400)])
def test_cookies_have_a_limit(call: Caller, cookie: int, status: int) -> None:
    assert call.get("none.at.all", cookie="a" * cookie).status == status


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd", "/%252e%252e%252fetc%252fpasswd",
     "/style.css%00.html", "/style.css/", "/./style.css", "/%c0%ae%c0%ae/%c0%afetc", "/\\..\\..\\etc\\passwd",
     "//etc/passwd", "/vendor/../../kvcast/config.py", "/vendor/%2e%2e/%2e%2e/kvcast/config.py", "/web/",
     "/kvcast/config.py", "/.git/config",
     "/get/%2e%2e", "/get/..%2f..%2fetc%2fpasswd", "/get/%00", "/get/%c0%80", "/get/%ed%a0%80", "/get/a%0d%0aX-Evil:1",
     "/history/..%2f..", "/keys/..", "/get/%E2%80%AE", "/viewer/..%2f..%2fetc"],
)
def test_an_address_reaches_nothing_but_what_is_listed(call: Caller, path: str) -> None:
    reply = Caller(call_url(call), check=False)("GET", path)
    assert reply.status in (400, 404, 405), (reply.status, reply.body[:200])
    assert "x-evil" not in reply.headers
    assert b"root:" not in reply.body
    assert b"from __future__" not in reply.body


def call_url(call: Caller) -> str:
    return "http://{}:{}".format(*call.address)


@pytest.mark.parametrize(
    "origin",
    ["http://HOST.evil.example", "http://evil-HOST", "http://HOST@evil.example", "http://user@HOST", "http://HOST:1",
     "http://HOST/", "HTTP://HOST", "http://HOST evil", "http://HOST, http://evil.example", "null",
     "NULL", "file://", "//HOST", "HOST", "http://HOST#", "http://[HOST]"],
)
def test_an_origin_that_only_looks_like_ours_opens_no_socket(app: Server, origin: str) -> None:
    host = app.url.removeprefix("http://")
    with pytest.raises(Refused) as refused:
        WebSocket(app.url, headers={"Origin": origin.replace("HOST", host)})
    assert refused.value.status == 403


def test_an_allowed_origin_is_allowed_exactly(serve: Callable[..., Server]) -> None:
    server = serve("push", KVCAST_ALLOWED_ORIGINS="https://prices.example.org")
    WebSocket(server.url, headers={"Origin": "https://prices.example.org"}).close()
    for origin in (
        "https://prices.example.org.evil.example", "http://prices.example.org", "https://prices.example.org:444",
        "https://xprices.example.org", "https://user@prices.example.org",
    ):
        with pytest.raises(Refused):
            WebSocket(server.url, headers={"Origin": origin})


SAME_SCHEME = [  # proxies, what they say, the page's scheme, whether it may
    (1, "https", "https", True), (1, "https", "http", False), (1, "wss", "http", False), (1, "wss", "https", True),
    (1, "HTTPS", "http", False), (1, "http", "http", True), (1, "ws", "http", True), (1, "http", "https", True),
    (1, None, "http", True), (1, None, "https", True), (1, "gopher", "http", True), (1, "", "http", True),
    (1, "http, https", "http", False), (1, "http,https", "https", True), (1, "https, http", "http", True),
    (2, "https, http", "http", False), (2, "http, https", "http", True), (2, "http, https, http", "http", False),
    (2, "https", "http", True), (0, "https", "http", True), (0, None, "https", True),
]


@pytest.fixture(scope="module")
def behind(stores: Stores) -> Iterator[Callable[[int], Server]]:
    """A push function behind so many proxies."""
    servers: dict[int, Server] = {}

    def server(hops: int) -> Server:
        if hops not in servers:
            servers[hops] = Server(stores, "push", {"KVCAST_TRUSTED_HOPS": str(hops)})
            servers[hops].start()
        return servers[hops]

    yield server
    for one in servers.values():
        one.close()


def assert_opens(server: Server, headers: dict[str, str], may: bool) -> None:
    """A socket opens where it may, and is refused as forbidden where not."""
    if may:
        WebSocket(server.url, headers=headers).close()
    else:
        with pytest.raises(Refused) as refused:
            WebSocket(server.url, headers=headers)
        assert refused.value.status == 403


@pytest.mark.parametrize(("hops", "said", "scheme", "may"), SAME_SCHEME)
def test_a_page_in_the_clear_opens_no_socket_to_a_site_under_tls(
    behind: Callable[[int], Server], hops: int, said: str | None, scheme: str, may: bool
) -> None:
    server = behind(hops)
    headers = {"Origin": server.url.replace("http", scheme, 1)} | ({} if said is None else {"X-Forwarded-Proto": said})
    assert_opens(server, headers, may)


SAME_HOST = [  # proxies, what they say, the page's host, whether it may
    (1, "shown.example", "shown.example", True), (1, "shown.example", "HOST", False),
    (1, "other.example, shown.example", "shown.example", True),
    (1, "shown.example, other.example", "shown.example", False),
    (2, "shown.example, between.example", "shown.example", True), (2, "shown.example", "HOST", True),
    (0, "shown.example", "shown.example", False), (0, "shown.example", "HOST", True),
]  # fmt: skip


@pytest.mark.parametrize(("hops", "said", "host", "may"), SAME_HOST)
def test_the_host_that_a_trusted_proxy_was_asked_for_is_ours(
    behind: Callable[[int], Server], hops: int, said: str, host: str, may: bool
) -> None:
    server = behind(hops)
    origin = f"http://{host.replace('HOST', server.url.removeprefix('http://'))}"
    assert_opens(server, {"Origin": origin, "X-Forwarded-Host": said}, may)


@pytest.mark.parametrize(
    "origin",
    ["https://HOST.evil.example", "https://evil-HOST", "https://user@HOST", "https://HOST:1", "https://HOST/",
     "wss://HOST", "http://HOST", "HTTPS://HOST", "https://HOST, http://HOST", "null", "https:/HOST", "https://HOST.",
     ""],
)
def test_under_tls_an_origin_that_only_looks_like_ours_opens_no_socket(
    behind: Callable[[int], Server], origin: str
) -> None:
    server = behind(1)
    sent = origin.replace("HOST", server.url.removeprefix("http://"))
    with pytest.raises(Refused) as refused:
        WebSocket(server.url, headers={"Origin": sent, "X-Forwarded-Proto": "https"})
    assert refused.value.status == 403
