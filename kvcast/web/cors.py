"""Lets pages of the allowed origins call over HTTP, as they may open sockets (KVCAST_ALLOWED_ORIGINS)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from kvcast.web.answers import STATUS_LINES, Environ, Headers

WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

_EXPOSED = (
    "ETag, Retry-After, X-Cache, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Idempotency-Replayed, "
    "X-Request-Id"
)
_TAKEN = (
    "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, Kvcast-Note, Last-Event-ID, X-Request-Id"
)
_PREFLIGHT = [
    ("Access-Control-Allow-Methods", "GET, POST, DELETE"),
    ("Access-Control-Allow-Headers", _TAKEN),
    ("Access-Control-Max-Age", "600"),
]
_VARY = ("Vary", "Origin")


class Cors:
    """No cookie counts here, so credentials are not allowed: what a page may do, it does with a token of its own."""

    def __init__(self, behind: WsgiApp, allowed: frozenset[str]) -> None:
        self._behind = behind
        self._allowed = allowed

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        origin = environ.get("HTTP_ORIGIN", "")
        if origin.rstrip("/").lower() not in self._allowed:
            return self._behind(environ, _adding([_VARY], start_response))
        allow = [("Access-Control-Allow-Origin", origin), _VARY]
        if environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
            start_response(STATUS_LINES[204], [*allow, *_PREFLIGHT])
            return [b""]
        return self._behind(environ, _adding([*allow, ("Access-Control-Expose-Headers", _EXPOSED)], start_response))


def _adding(further: Headers, start_response: Callable[..., Any]) -> Callable[..., Any]:
    def start(status: str, headers: Headers, *rest: Any) -> Any:
        return start_response(status, [*headers, *further], *rest)

    return start
