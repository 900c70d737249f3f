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
        allow = allowing(environ, self._allowed)
        if (
            len(allow) > 1 and environ["REQUEST_METHOD"] == "OPTIONS"
            and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
        ):
            start_response(STATUS_LINES[204], [*allow[:2], *_PREFLIGHT])
            return [b""]
        return self._behind(environ, _adding(allow, start_response))


def allowing(environ: Environ, allowed: frozenset[str]) -> Headers:
    """What every answer says further; `allowed` is empty where nothing is said of it."""
    if not allowed:
        return []
    origin = environ.get("HTTP_ORIGIN", "")
    if origin.rstrip("/").lower() not in allowed:
        return [_VARY]
    return [("Access-Control-Allow-Origin", origin), _VARY, ("Access-Control-Expose-Headers", _EXPOSED)]


def _adding(further: Headers, start_response: Callable[..., Any]) -> Callable[..., Any]:
    def start(status: str, headers: Headers, *rest: Any) -> Any:
        return start_response(status, [*headers, *further], *rest)

    return start
