"""In front of Flask: who may ask for what an operator needs, and what is answered before a function is whole.

Flask takes no further routes once it has answered a request, so nothing may reach it while a function still waits for
its database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from kvcast.errors import StorageUnavailable
from kvcast.metrics import exposition
from kvcast.web.answers import NOTHING_HERE, Answer, Endpoint, Environ, error_answer
from kvcast.web.fastpath import WsgiApp
from kvcast.web.health import Health


def for_operators(health: Health) -> dict[str, Endpoint]:
    """What every function answers to GET, by path, whole or not."""
    return {"/healthz/live": health.live, "/healthz/ready": health.ready, "/metrics": _metrics}


class Gate:
    """Lets everything through to `behind` once health.waits_for is None.

    management_port: the only one where health and metrics are answered; 0: any.
    """

    def __init__(self, behind: WsgiApp, health: Health, management_port: int) -> None:
        self._behind = behind
        self._health = health
        self._management_port = management_port
        self._for_operators = for_operators(health)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        operators = self._for_operators.get(environ["PATH_INFO"])
        if operators and self._management_port and local_port(environ) != self._management_port:
            return error_answer(NOTHING_HERE).to_wsgi(start_response, [])
        if self._health.waits_for is None:
            return self._behind(environ, start_response)
        endpoint = operators if environ["REQUEST_METHOD"] == "GET" else None
        return (endpoint or _not_yet)(environ).to_wsgi(start_response, [])


def local_port(environ: Environ) -> int:
    """Where the connection came in. SERVER_PORT follows what a client says in Host or X-Forwarded-Host."""
    port: int = environ["gunicorn.socket"].getsockname()[1]
    return port


def _not_yet(_environ: Environ) -> Answer:
    return error_answer(
        StorageUnavailable("The database cannot be used yet, and /healthz/ready says why; try again.")
    )


def _metrics(_environ: Environ) -> Answer:
    return Answer(200, [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")], exposition())
