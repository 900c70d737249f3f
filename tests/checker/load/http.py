"""HTTP over one kept connection, as lean as asking thousands of times a second from one process takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

import gevent
import msgspec
from gevent import socket

from tests.checker.records import UNREACHABLE

CONNECT_SECONDS = 1.0
_PIECE = 65_536


class Answer(NamedTuple):
    """status: 0 where none came. sent: whether the server may have seen the request."""

    status: int
    head: bytes = b""
    body: bytes = b""
    sent: bool = True
    url: str = ""
    began: int = 0
    ended: int = 0

    @property
    def code(self) -> str:
        """Of the error that the body names, or of what went wrong on the way."""
        if self.status == 0:
            return self.body.decode()
        with suppress(msgspec.DecodeError):
            return _errors.decode(self.body).error.code
        return ""

    @property
    def retry_after_seconds(self) -> float:
        seconds = header(self.head, b"retry-after")
        return float(seconds) if seconds.isdigit() else 0.0


class _Code(msgspec.Struct):
    code: str


class _Error(msgspec.Struct):
    error: _Code


_errors = msgspec.json.Decoder(_Error)


def header(head: bytes, name: bytes) -> bytes:
    """The value of a header; empty where there is none. name: in lower case."""
    _, found, rest = head.lower().partition(b"\r\n" + name + b":")
    return rest.partition(b"\r\n")[0].strip() if found else b""


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80


class Route:
    """Which of several servers of a function a client uses: the same one until it fails, as behind an ingress."""

    def __init__(self, urls: Sequence[str], number: int) -> None:
        self._urls = urls
        self._at = number % len(urls)

    @property
    def url(self) -> str:
        return self._urls[self._at]

    def move_on(self) -> None:
        self._at = (self._at + 1) % len(self._urls)


class Caller:
    """Belongs to one greenlet."""

    def __init__(self, route: Route, token: str, timeout_seconds: float) -> None:
        self._route = route
        self._authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        self._timeout_seconds = timeout_seconds
        self._socket: socket.socket | None = None

    def __call__(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The answer of the server in use; where none comes, or a 502 to 504, the next call goes to another one."""
        url = self._route.url
        host, port = address(url)
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()]) if headers else ""
        if body is not None:
            lines += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        request = f"{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{self._authorization}{lines}\r\n".encode()
        began = time.monotonic_ns()
        answer = self._exchange((host, port), request + (body or b""))
        if answer.status in (0, 502, 503, 504):
            self.close()
            self._route.move_on()
        return answer._replace(url=url, began=began, ended=time.monotonic_ns())

    def _exchange(self, where: tuple[str, int], request: bytes) -> Answer:
        sent = False
        timeout = gevent.Timeout(self._timeout_seconds)
        timeout.start()
        try:
            kept = self._socket
            if kept is None:
                kept = self._socket = socket.create_connection(where, CONNECT_SECONDS)
                kept.settimeout(None)
                kept.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sent = True
            kept.sendall(request)
            head, body = self._receive(kept)
            status = int(head[9:12])
        except (OSError, ValueError, gevent.Timeout) as error:
            self.close()
            if isinstance(error, gevent.Timeout) and error is not timeout:
                raise
            return Answer(0, b"", type(error).__name__.encode() if sent else UNREACHABLE.encode(), sent)
        finally:
            timeout.close()
        if header(head, b"connection") == b"close":
            self.close()
        return Answer(status, head, body)

    def _receive(self, kept: socket.socket) -> tuple[bytes, bytes]:
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += _more(kept)
        head, body = data[: end + 2], data[end + 4 :]
        if head[9:12] == b"304":
            return head, b""
        length = int(header(head, b"content-length"))
        while len(body) < length:
            body += _more(kept)
        return head, body

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _more(kept: socket.socket) -> bytes:
    piece = kept.recv(_PIECE)
    if not piece:
        raise ConnectionResetError
    return piece


Call = Callable[..., Answer]
