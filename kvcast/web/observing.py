"""What is noted of every request: metrics, and a JSON line where asked for. Tokens and bodies never."""

from __future__ import annotations

import logging
import sys
from typing import Any

from kvcast.messages import encode
from kvcast.metrics import REQUEST_SECONDS, REQUESTS, observe_all
from kvcast.web.answers import Environ

_access_log = logging.getLogger("kvcast.access")


class Observer:
    """Notes the requests of one function."""

    def __init__(self, function: str, *, access_log: bool) -> None:
        self._function = function
        self.traces = access_log
        self._counters: dict[tuple[str, int], tuple[Any, Any]] = {}

    def done(self, environ: Environ, route: str, status: int, seconds: float) -> None:
        """route: the rule, never the address itself, of which there are endlessly many."""
        requests, request_seconds = self._counters_of(route, status)
        requests.inc()
        request_seconds.observe(seconds)
        if self.traces:
            _access_log.info("%s", self._line(environ, status, seconds))

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

    def _line(self, environ: Environ, status: int, seconds: float) -> str:
        # JSON escapes control characters, so no request can forge a line
        line = {
            "function": self._function,
            "method": environ.get("REQUEST_METHOD"),
            "path": environ.get("PATH_INFO", "").encode("latin-1", "replace").decode("utf-8", "replace"),
            "status": status,
            "milliseconds": round(seconds * 1000, 2),
            "client": environ.get("REMOTE_ADDR"),
        }
        return encode(line).decode()


def set_up_logging(level: str) -> None:
    """Log to standard error, once a process."""
    root = logging.getLogger("kvcast")
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(handler)
        root.propagate = False
    root.setLevel(level.upper())
