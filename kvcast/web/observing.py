"""What is noted of every request: metrics, and a log line where asked for. Tokens and bodies never."""

from __future__ import annotations

from typing import Any

from kvcast import logs
from kvcast.metrics import REQUEST_SECONDS, REQUESTS, observe_all
from kvcast.web.answers import Environ, Headers

REQUEST_ID = "kvcast.request_id"
LOGGED = "kvcast.logged"  # what a view has to say of a request in its line


class Observer:
    """Notes the requests of one function. traces: whether each gets a log line, and so an id."""

    def __init__(self, function: str) -> None:
        self._function = function
        self.traces = logs.traces()
        self._counters: dict[tuple[str, int], tuple[Any, Any]] = {}

    def named(self, environ: Environ) -> Headers:
        """What an answer says of its request's id, which is made where none was given."""
        environ[REQUEST_ID] = found = logs.request_id(environ.get("HTTP_X_REQUEST_ID"))
        return [("X-Request-Id", found)]

    def say(self, environ: Environ, **fields: Any) -> None:
        """Add `fields` to the line of this request."""
        environ.setdefault(LOGGED, {}).update(fields)

    def done(self, environ: Environ, route: str, status: int, seconds: float) -> None:
        """route: the rule, never the address itself, of which there are endlessly many."""
        requests, request_seconds = self._counters_of(route, status)
        requests.inc()
        request_seconds.observe(seconds)
        if self.traces:
            logs.access.info("answered", extra={"fields": self._fields(environ, route, status, seconds)})

    def done_many(self, route: str, status: int, seconds: list[float]) -> None:
        """The same for several at once, where `traces` is off."""
        requests, request_seconds = self._counters_of(route, status)
        requests.inc(len(seconds))
        observe_all(request_seconds, seconds)

    def _counters_of(self, route: str, status: int) -> tuple[Any, Any]:
        counters = self._counters.get((route, status))
        if counters is None:
            counters = self._counters[route, status] = (
                REQUESTS.labels(self._function, route, str(status)),
                REQUEST_SECONDS.labels(self._function, route),
            )
        return counters

    def _fields(self, environ: Environ, route: str, status: int, seconds: float) -> dict[str, Any]:
        return {
            "function": self._function,
            "request_id": environ.get(REQUEST_ID),
            "method": environ.get("REQUEST_METHOD"),
            "route": route,
            "path": environ.get("PATH_INFO", "").encode("latin-1", "replace").decode("utf-8", "replace"),
            "status": status,
            "milliseconds": round(seconds * 1000, 2),
            "client": environ.get("REMOTE_ADDR"),
            **environ.get(LOGGED, {}),
        }
