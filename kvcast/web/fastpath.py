"""Plain WSGI in front of Flask for the hottest calls.

Flask's dispatch alone costs more than the whole answer of a hot read: the same value from memory came 3.2 times as
often this way (docs/performance.md). The same endpoint function serves both ways, so they cannot differ.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from kvcast.errors import KvcastError
from kvcast.web.answers import Endpoint, Environ, Headers, error_answer, unforeseen
from kvcast.web.limiting import Limit
from kvcast.web.observing import Observer

WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class FastPath:
    """Routes by (method, path) or (method, first segment with both its slashes); the rest goes to `behind`."""

    def __init__(self, behind: WsgiApp, observer: Observer) -> None:
        self._behind = behind
        self._observer = observer
        self._traces = observer.traces
        self._routes: dict[tuple[str, str], tuple[str, Endpoint, Limit]] = {}

    def add(self, method: str, path: str, route: str, endpoint: Endpoint, limit: Limit) -> None:
        self._routes[method, path] = (route, endpoint, limit)

    def beginnings(self) -> tuple[bytes, ...]:
        """How a request that is served here begins."""
        return tuple(
            f"{method} {path}".encode() + (b"" if path.endswith("/") else b" ") for method, path in self._routes
        )

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        found = self._routes.get((method, path)) or self._routes.get((method, path[: path.find("/", 1) + 1]))
        named = self._observer.named(environ) if self._traces or "HTTP_X_REQUEST_ID" in environ else None
        if found is None:
            return self._behind(environ, _with(named, start_response) if named else start_response)
        route, endpoint, limit = found
        started = time.perf_counter()
        further: Headers = []
        try:
            further, refusal = limit.hit(environ)
            if refusal is not None:
                raise refusal
            answer = endpoint(environ)
        except KvcastError as error:
            answer = error_answer(error)
        except Exception as error:
            answer = error_answer(unforeseen(error))
        self._observer.done(environ, route, answer.status, time.perf_counter() - started)
        return answer.to_wsgi(start_response, [*further, *named] if named else further)


def _with(further: Headers, start_response: Callable[..., Any]) -> Callable[..., Any]:
    def start(status: str, headers: Headers, exc_info: Any = None) -> Any:
        return start_response(status, [*headers, *further], exc_info)

    return start
