"""In front of Flask: while a function waits for its database, only what an operator needs is answered.

Flask takes no further routes once it has answered a request, so nothing may reach it before the function is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from kvcast.errors import StorageUnavailable
from kvcast.metrics import exposition
from kvcast.web.answers import Answer, Environ, error_answer
from kvcast.web.fastpath import WsgiApp
from kvcast.web.health import Health


class Gate:
    """Lets everything through to `behind` once health.waits_for is None."""

    def __init__(self, behind: WsgiApp, health: Health) -> None:
        self._behind = behind
        self._health = health
        self._open_to_all = {"/healthz/live": health.live, "/healthz/ready": health.ready, "/metrics": metrics}

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self._health.waits_for is None:
            return self._behind(environ, start_response)
        endpoint = self._open_to_all.get(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "GET" else None
        return (endpoint or _not_yet)(environ).to_wsgi(start_response, [])


def _not_yet(_environ: Environ) -> Answer:
    return error_answer(
        StorageUnavailable("The database cannot be used yet, and /healthz/ready says why; try again.")
    )


def metrics(_environ: Environ) -> Answer:
    return Answer(200, [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")], exposition())
