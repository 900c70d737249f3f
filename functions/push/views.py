"""The routes of push, and what comes before a WebSocket is accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Response, request
from websockets.utils import accept_key

from kvcast.bus.workers import WorkerReport
from kvcast.errors import InvalidRequest, KvcastError, MethodNotAllowed
from kvcast.web import Environ, FunctionApp, error_answer
from kvcast.web.fastpath import WsgiApp
from kvcast.web.requests import key_in_path

from functions.push.drain import Drain
from functions.push.events import open_stream
from functions.push.parts import Parts, check_origin, public_scheme
from functions.push.sessions import Session
from functions.push.sockets import taken_over


def install_routes(app: FunctionApp, parts: Parts, drain: Drain, report: WorkerReport) -> None:
    def serve(key: str | None = None) -> Response:
        environ = request.environ
        named = key_in_path(environ, "/ws/") if key is not None else None
        session = Session(parts, taken_over(environ["gunicorn.socket"]), request.remote_addr or "", drain.closed)
        behind = environ["wsgi.input"].reader.unreader.take_buffered()  # said before the answer, and read with the head
        session.start(_switching(environ), named, drain.opened)
        if behind:
            session.received(behind)
        return Switched(status=101)

    app.add_url_rule("/ws", "ws", serve, websocket=True)
    app.add_url_rule("/ws/<path:key>", "ws_key", serve, websocket=True)
    app.add_url_rule(
        "/sse", "sse", app.limit("read", app.settings.read_limit).decorate(lambda: open_stream(parts, report))
    )
    app.put_in_front(lambda behind: Handshake(behind, app))


def _switching(environ: Environ) -> bytes:
    """The answer to a handshake that was checked."""
    accepted = accept_key(environ["HTTP_SEC_WEBSOCKET_KEY"])
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accepted}\r\n\r\n"
    ).encode()


class Switched(Response):
    """Nothing is left for gunicorn to answer; a StopIteration is how it is told that the connection is not its own."""

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        raise StopIteration


class Handshake:
    """Refuses what is no WebSocket handshake with an answer."""

    def __init__(self, behind: WsgiApp, app: FunctionApp) -> None:
        self._behind = behind
        self._settings = app.settings
        self._observer = app.observer

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/ws" or path.startswith("/ws/"):
            try:
                self._check(environ)
            except KvcastError as error:
                allow = [("Allow", "GET")] if isinstance(error, MethodNotAllowed) else []
                named = self._observer.named(environ)
                self._observer.done(environ, "/ws", error.status, 0.0)
                return error_answer(error).to_wsgi(start_response, named + allow)
        return self._behind(environ, start_response)

    def _check(self, environ: Environ) -> None:
        if environ["REQUEST_METHOD"] != "GET":
            raise MethodNotAllowed("A WebSocket begins with GET; connect with such a client, or use GET /sse.")
        upgrade = environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        tokens = [token.strip() for token in environ.get("HTTP_CONNECTION", "").lower().split(",")]
        if not upgrade or "upgrade" not in tokens or not environ.get("HTTP_SEC_WEBSOCKET_KEY"):
            raise InvalidRequest("This address speaks WebSocket; connect with such a client, or use GET /sse.")
        if environ.get("HTTP_SEC_WEBSOCKET_VERSION") != "13":
            raise InvalidRequest("Only version 13 of the WebSocket protocol is spoken here (RFC 6455).")
        if environ["PATH_INFO"] != "/ws":
            key_in_path(environ, "/ws/")
        check_origin(
            environ.get("HTTP_ORIGIN"), environ.get("HTTP_HOST", ""),
            public_scheme(environ, self._settings.trusted_hops), self._settings.allowed_origins,
        )
