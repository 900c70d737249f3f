"""The functions under gunicorn as a child process, each alone or all in one."""

from __future__ import annotations

import http.client
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path

from kvcast.config import Settings
from kvcast.embedded.folder import make_private
from kvcast.embedded.process import Process, never
from kvcast.serving import bound_socket, gunicorn_command, importable

START_SECONDS = 60.0
PROBE_SECONDS = 5.0
EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


class Functions:
    """`app` (such as `functions.write:create_app()`) on settings.host and settings.port; port 0 takes a free one.

    home: a folder of its own. log: None for the terminal. log_level: gunicorn's, where it is not settings'.
    awaited: the path whose 200 ends `start`.
    `start` after `stop` or `kill` takes the same port again.
    """

    def __init__(
        self, app: str, settings: Settings, home: Path, *, log: Path | None = None, log_level: str | None = None,
        awaited: str = "/healthz/ready",
    ) -> None:
        self._app = app
        self._settings = settings
        self._awaited = awaited
        self._options = [] if log_level is None else ["--log-level", log_level]
        self._host = settings.host
        self.port = settings.port
        drain = settings.drain_seconds + 12
        self._process = Process(
            "kvcast", "python", make_private(home), log=log,
            stop_signals=((signal.SIGTERM, drain), (signal.SIGQUIT, 3)), death_signal=signal.SIGQUIT,
        )

    @property
    def name(self) -> str:
        return "functions"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        """As a program on this machine reaches it."""
        return f"http://{bracketed(self._reached())}:{self.port}"

    def running(self) -> bool:
        return self._process.running()

    def tail(self) -> str:
        return self._process.tail()

    def start(self) -> None:
        """Returns when it is ready. Raises ServerFailed, SettingsError."""
        self._process.end_leftovers()
        with bound_socket(self._host, self.port) as listener:
            self.port = listener.getsockname()[1]
            self._process.start(
                gunicorn_command(self._app, [listener], self._options),
                environment=child_environment(self._settings), pass_fds=[listener.fileno()],
            )
        self._process.wait_ready(self._ready, START_SECONDS)

    def stop(self, hurried: Callable[[], bool] = never) -> None:
        self._process.stop(hurried)

    def kill(self) -> None:
        self._process.kill()

    def _reached(self) -> str:
        return EVERY_ADDRESS.get(self._host, self._host)

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection(self._reached(), self.port, timeout=PROBE_SECONDS)
        try:
            connection.request("GET", self._awaited, headers={"Connection": "close"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def child_environment(settings: Settings) -> Mapping[str, str]:
    """Ours, but for the settings, which are exactly `settings`."""
    names = {spec.metadata["name"] for spec in fields(Settings)}
    inherited = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in names}
    return {**inherited, **importable(), **settings.environment()}
