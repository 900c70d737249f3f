"""Answers plain requests straight from the socket, in front of gunicorn's parser and writer.

gunicorn reads a request into objects, sets a timer, and writes head and body apart; for a value that is in memory this
was three quarters of the time (docs/performance.md). The WSGI app behind is the same one, and so is every byte of the
answers: tests/functions/test_plain_connection.py sends the same requests both ways.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import gevent
from gunicorn import util
from gunicorn.http.wsgi import SERVER, base_environ

from kvcast import draining

from functions.plain_requests import Plain, PlainReader
from functions.waiting import Waiting

if TYPE_CHECKING:  # gunicorn imports this module before gevent patches what that one builds on
    from kvcast.web.answers import Headers

_READ_BYTES = 65_536


class Pending(Protocol):
    """An answer that follows without its connection's greenlet, which goes on to wait for what comes next."""

    def wait(self) -> None:
        """Until the answer is sent: whatever comes next is answered after it."""


class _Answered:
    """Of a request whose answer is sent already."""

    def wait(self) -> None:
        pass


ANSWERED = _Answered()


class PlainServer:
    """One for each worker."""

    def __init__(self, config: Any, app: Any) -> None:
        self._app = app
        self._keepalive_seconds = config.keepalive
        self._reader = PlainReader()
        self._base = {
            **base_environ(config), "wsgi.multithread": True, "wsgi.url_scheme": "http", "SCRIPT_NAME": "",
            "QUERY_STRING": "", "SERVER_PROTOCOL": "HTTP/1.1",
        }
        self._heads: dict[str, str] = {}
        self._heads_second = 0

    def serve(self, client: Any, addr: Any, hot: tuple[bytes, ...], waiting: Waiting) -> bytes:
        """Answer requests of `client` until one comes that is not plain; returns what was received of that one.

        hot: how a request must begin to be looked at here.
        """
        environ = self._environ(client, addr)
        connection = PlainConnection(client, self.head, environ["REMOTE_ADDR"])
        take: Callable[[Plain, PlainConnection], Pending | None] | None = getattr(self._app, "take", None)
        raw = client._sock  # gevent's recv asks the kernel in vain before it waits
        pending: Pending | None = None
        while True:
            with waiting:
                data = _receive(client, raw)
            if pending is not None:
                pending.wait()
                pending = None
            plain = self._reader.read(data) if data.startswith(hot) and not draining.draining() else None
            if plain is None:
                return data
            waiting.seconds = self._keepalive_seconds
            if take is not None:
                pending = take(plain, connection)
            if pending is None:
                self._answer(plain, {**environ, **plain.fields()}, connection)

    def head(self, status: str) -> str:
        """The beginning of an answer, the same for a whole second."""
        second = int(time.time())
        if self._heads_second != second:
            self._heads_second = second
            self._heads.clear()
        head = self._heads.get(status)
        if head is None:
            head = self._heads[status] = (
                f"HTTP/1.1 {status}\r\nServer: {SERVER}\r\nDate: {util.http_date(second)}\r\nConnection: keep-alive\r\n"
            )
        return head

    def _environ(self, client: Any, addr: Any) -> dict[str, Any]:
        here = client.getsockname()
        return {
            **self._base, "gunicorn.socket": client, "REMOTE_ADDR": addr[0], "REMOTE_PORT": str(addr[1]),
            "SERVER_NAME": here[0], "SERVER_PORT": str(here[1]),
        }

    def _answer(self, plain: Plain, environ: dict[str, Any], connection: PlainConnection) -> None:
        environ["REQUEST_METHOD"] = plain.method
        environ["PATH_INFO"] = environ["RAW_URI"] = plain.path
        environ["wsgi.input"] = io.BytesIO(plain.body)
        started: list[tuple[str, Headers]] = []

        def start_response(status: str, headers: Headers) -> None:
            started.append((status, headers))

        body = b"".join(self._app(environ, start_response))
        status, headers = started[0]
        connection.send(self.head(status), header_lines(headers), body)


class PlainConnection:
    """Where answers go. head: makes the beginning of one of its status line; address: of whoever is connected."""

    __slots__ = ("_client", "_raw", "address", "head")

    def __init__(self, client: Any, head: Callable[[str], str], address: str) -> None:
        self._client = client
        self._raw = client._sock
        self.head = head
        self.address = address

    def send(self, head: str, lines: str, body: bytes) -> None:
        """Send an answer, and wait where the client takes it slowly. Raises OSError."""
        left = self._send_now(head, lines, body)
        if left:
            self._client.sendall(left)

    def send_without_waiting(self, head: str, lines: str, body: bytes, then: Callable[[], object]) -> None:
        """The same for one who has others to answer. then: called when it is sent, or nobody is there any more."""
        left = b""
        with suppress(OSError):  # the connection's own greenlet notices
            left = self._send_now(head, lines, body)
        if left:
            gevent.spawn(self._send_rest, left, then)
        else:
            then()

    def _send_now(self, head: str, lines: str, body: bytes) -> bytes:
        answer = f"{head}{lines}\r\n".encode("latin-1") + body
        try:
            sent = self._raw.send(answer)  # gevent's sendall asks the kernel more than once
        except BlockingIOError:
            return answer
        return answer[sent:] if sent < len(answer) else b""

    def _send_rest(self, left: bytes, then: Callable[[], object]) -> None:
        try:
            with suppress(OSError):
                self._client.sendall(left)
        finally:
            then()


def header_lines(headers: Headers) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in headers])


def _receive(client: Any, raw: Any) -> bytes:
    """Wait first: a client that waits for answers has sent nothing yet, and one that does not gives way to others."""
    while True:
        client._wait(client._read_event)
        try:
            data: bytes = raw.recv(_READ_BYTES)
            return data
        except BlockingIOError:
            continue
