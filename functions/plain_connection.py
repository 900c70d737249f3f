"""Answers plain requests straight from the socket, in front of gunicorn's parser and writer.

gunicorn reads a request into objects, sets a timer, and writes head and body apart; for a value that is in memory this
was three quarters of the time (docs/performance.md). The WSGI app behind is the same one, and so is every byte of the
answers: tests/functions/test_plain_connection.py sends the same requests both ways.
"""

from __future__ import annotations

import io
import time
from typing import Any

from gunicorn import util
from gunicorn.http.wsgi import SERVER, base_environ

from kvcast import draining

from functions.plain_requests import Plain, PlainReader
from functions.waiting import Waiting

_READ_BYTES = 65_536


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
        self._date = (0, "")

    def serve(self, client: Any, addr: Any, hot: tuple[bytes, ...], waiting: Waiting) -> bytes:
        """Answer requests of `client` until one comes that is not plain; returns what was received of that one.

        hot: how a request must begin to be looked at here.
        """
        environ = self._environ(client, addr)
        raw = client._sock  # gevent's recv asks the kernel in vain before it waits, and its sendall asks more than once
        while True:
            with waiting:
                data = _receive(client, raw)
            plain = self._reader.read(data) if data.startswith(hot) and not draining.draining() else None
            if plain is None:
                return data
            waiting.seconds = self._keepalive_seconds
            answer = self._answer(plain, {**environ, **plain.fields})
            try:
                sent = raw.send(answer)
            except BlockingIOError:
                sent = 0
            if sent < len(answer):
                client.sendall(answer[sent:])

    def _environ(self, client: Any, addr: Any) -> dict[str, Any]:
        here = client.getsockname()
        return {
            **self._base, "gunicorn.socket": client, "REMOTE_ADDR": addr[0], "REMOTE_PORT": str(addr[1]),
            "SERVER_NAME": here[0], "SERVER_PORT": str(here[1]),
        }

    def _answer(self, plain: Plain, environ: dict[str, Any]) -> bytes:
        environ["REQUEST_METHOD"] = plain.method
        environ["PATH_INFO"] = environ["RAW_URI"] = plain.path
        environ["wsgi.input"] = io.BytesIO(plain.body)
        lines: list[str] = []

        def start_response(status: str, headers: list[tuple[str, str]]) -> None:
            lines.append(f"HTTP/1.1 {status}\r\nServer: {SERVER}\r\nDate: {self._now()}\r\nConnection: keep-alive\r\n")
            lines.extend([f"{name}: {value}\r\n" for name, value in headers])

        body = b"".join(self._app(environ, start_response))
        lines.append("\r\n")
        return "".join(lines).encode("latin-1") + body

    def _now(self) -> str:
        second = int(time.time())
        if self._date[0] != second:
            self._date = (second, util.http_date(second))
        return self._date[1]


def _receive(client: Any, raw: Any) -> bytes:
    """Wait first: a client that waits for answers has sent nothing yet, and one that does not gives way to others."""
    while True:
        client._wait(client._read_event)
        try:
            data: bytes = raw.recv(_READ_BYTES)
            return data
        except BlockingIOError:
            continue
