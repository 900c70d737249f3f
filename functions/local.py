"""The three functions behind one port, as the local run serves them: the same apps, and only a choice by address."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from kvcast.config import Settings
from kvcast.web import Environ, FunctionApp
from kvcast.web.health import readiness

from functions import push, read, write


class Local:
    """What an ingress does in Kubernetes."""

    def __init__(self, apps: dict[str, FunctionApp]) -> None:
        self._write, self._read, self._push = apps["write"], apps["read"], apps["push"]
        self._apps = apps

    @property
    def hot(self) -> tuple[bytes, ...]:
        return tuple(beginning for app in self._apps.values() for beginning in app.hot)

    def take(self, plain: Any, connection: Any) -> Any:
        """See functions/plain_connection.py."""
        take = self._choose(plain.method, plain.path).take
        return take(plain, connection) if take is not None else None

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/healthz/ready":
            obstacles = self._named({name: app.health.obstacles() for name, app in self._apps.items()})
            outcomes = self._named({name: app.health.report() for name, app in self._apps.items()})
            return readiness(obstacles, outcomes).to_wsgi(start_response, [])
        return self._choose(environ["REQUEST_METHOD"], path)(environ, start_response)

    @staticmethod
    def _named(outcomes: dict[str, dict[str, str]]) -> dict[str, str]:
        return {f"{name}.{probe}": outcome for name, own in outcomes.items() for probe, outcome in own.items()}

    def _choose(self, method: str, path: str) -> FunctionApp:
        if path in ("/add", "/batch") or (method == "DELETE" and path.startswith("/keys/")):
            return self._write
        if path in ("/ws", "/sse") or path.startswith("/ws/"):
            return self._push
        return self._read


def create_app(settings: Settings | None = None) -> Local:
    """The composed WSGI app; each function serves as soon as it can. Raises SettingsError."""
    settings = settings or Settings.from_environment()
    return Local(
        {"write": write.create_app(settings), "read": read.create_app(settings), "push": push.create_app(settings)}
    )
