"""The local run: both stores and the three functions, from one command to one Ctrl-C."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Protocol

from kvcast.config import Settings
from kvcast.embedded import Postgres, ServerFailed, Valkey
from kvcast.embedded.folder import FolderInUse, FolderLock, make_private
from kvcast.embedded.functions import Functions
from kvcast.errors import KvcastError
from kvcast.serving import bound_socket
from kvcast.storage.schema import migrate
from kvcast.tokens import new_token

OK, FAILED, IN_USE = 0, 1, 3
DRAIN_SECONDS = 1.0  # nobody waits for a local run to move its viewers elsewhere
WATCH_SECONDS = 0.1
RESTART_MOST_SECONDS = 30.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DEMO_KEY = "demo.gold"


class Server(Protocol):
    @property
    def name(self) -> str: ...
    def running(self) -> bool: ...
    def start(self) -> None: ...
    def stop(self, hurried: Callable[[], bool]) -> None: ...


class Stopped(BaseException):
    """Raised where the run happens to be when it is first told to stop."""


class StopSignals:
    """The first signal raises Stopped, wherever we are; later ones make `hurried` true."""

    def __init__(self) -> None:
        self.told = 0

    def __enter__(self) -> StopSignals:
        self._before = {number: signal.signal(number, self._handle) for number in STOP_SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def hurried(self) -> bool:
        return self.told > 1

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self.told += 1
        if self.told == 1:
            raise Stopped


class Restarts:
    """Starts a store again when it died, ever more slowly while it keeps dying."""

    def __init__(self, store: Server) -> None:
        self._store = store
        self._wait_seconds = 0.0
        self._not_before = 0.0

    def look(self) -> None:
        now = time.monotonic()
        if self._store.running():
            if now > self._not_before + RESTART_MOST_SECONDS:
                self._wait_seconds = 0.0
            return
        if now < self._not_before:
            return
        self._wait_seconds = min(RESTART_MOST_SECONDS, 2 * self._wait_seconds or 0.2)
        self._not_before = now + self._wait_seconds
        warn(f"{self._store.name} died; starting it again.")
        try:
            self._store.start()
        except KvcastError as error:
            warn(f"{error.message} Next try in {self._wait_seconds:g} s.")


def run(settings: Settings) -> int:
    """`kvcast up`: returns when it is told to stop. 0, or 1 after an error, or 3 beside a running one."""
    try:
        folder = make_private(Path(settings.data))
        with StopSignals() as stop, ExitStack() as stack:
            try:
                stack.enter_context(FolderLock(folder))
                serve(prepared(settings, folder), folder, stop)
            except Stopped:
                return OK
    except FolderInUse as error:
        mend = "Stop it first, or set KVCAST_DATA and PORT for a second one."
        warn(f"{error.message} {address_of_running(folder)} {mend}")
        return IN_USE
    except KvcastError as error:
        warn(error.message)
        return FAILED
    return OK


def serve(settings: Settings, folder: Path, stop: StopSignals) -> None:
    """Start everything, say where, watch over it, stop it in the opposite order."""
    started: list[Server] = []
    running = folder / "running.json"
    try:
        if settings.port:  # before the slow part: the commonest mistake
            bound_socket(settings.host, settings.port).close()
        settings = start_stores(settings, folder, started)
        stores = [Restarts(store) for store in started]
        functions = start_functions(settings, folder, started)
        write_private(running, json.dumps({"url": functions.url, "pid": os.getpid(), "token": settings.admin_token}))
        say(greeting(functions.url, settings.admin_token, folder))
        while functions.running():
            time.sleep(WATCH_SECONDS)
            for store in stores:
                store.look()
        raise ServerFailed("The functions ended by themselves; what they said is above.")
    finally:
        stop.told = stop.told or 1  # from here on a signal hurries and no longer raises
        running.unlink(missing_ok=True)
        for server in reversed(started):
            say(f"Stopping {server.name}.")
            server.stop(stop.hurried)


def start_stores(settings: Settings, folder: Path, started: list[Server]) -> Settings:
    """PostgreSQL, migrated, and Redis, each where no URL names another; returns the settings with the URLs."""
    if not settings.database_url:
        postgres = Postgres(folder)
        started.append(postgres)
        postgres.start()
        settings = replace(settings, database_url=postgres.database_url, migration_url=postgres.migration_url)
    migrate(settings.migration_url or settings.database_url, functions_url=settings.database_url)
    if not settings.redis_url:
        valkey = Valkey(folder)
        started.append(valkey)
        valkey.start()
        settings = replace(settings, redis_url=valkey.functions_url)
    return settings


def start_functions(settings: Settings, folder: Path, started: list[Server]) -> Functions:
    """The three as one app. The functions never see the URL of the schema's owner."""
    quiet = "warning" if settings.log_level == "info" else None
    functions = Functions(
        "functions.local:create_app()", replace(settings, migration_url=""), folder / "functions", log_level=quiet
    )
    started.append(functions)
    functions.start()
    return functions


def prepared(settings: Settings, folder: Path) -> Settings:
    """With the defaults of a local run: a token that is kept, a short drain."""
    if not settings.admin_token:
        settings = replace(settings, admin_token=kept_token(folder / "admin-token"))
    if not os.environ.get("KVCAST_DRAIN_SECONDS") and settings.drain_seconds == Settings().drain_seconds:
        settings = replace(settings, drain_seconds=DRAIN_SECONDS)
    return replace(settings, data=str(folder))


def kept_token(path: Path) -> str:
    """The token in `path`, made at the first start."""
    if not path.exists():
        write_private(path, new_token() + "\n")
    token = path.read_text().strip()
    if not token:
        raise KvcastError(f"{path} is empty; remove it to get a new admin token.")
    return token


def write_private(path: Path, text: str) -> None:
    """Replace `path` in one step, readable for its owner only."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "w") as stream:
        stream.write(text)
    fresh.replace(path)


def address_of_running(folder: Path) -> str:
    try:
        return f"It answers at {json.loads((folder / 'running.json').read_text())['url']}."
    except (OSError, ValueError, KeyError):
        return "It is still starting, or stopping."


def greeting(url: str, token: str, folder: Path) -> str:
    return "\n".join((
        "",
        "kvcast is running.",
        "",
        f"    Admin page    {url}/admin#token={token}",
        f"    Viewer page   {url}/viewer/{DEMO_KEY}",
        f"    Fill it with  {own_command()} feed --demo",
        "",
        f"Data is kept in {folder}. Stop with Ctrl-C.",
    ))


def own_command() -> str:
    """How to call kvcast from here, as short as it can be said."""
    installed = Path(sys.executable).parent / "kvcast"
    if not installed.exists():
        return f"{shlex.quote(sys.executable)} -m kvcast"
    if shutil.which("kvcast") == str(installed):
        return "kvcast"
    here = Path.cwd()
    return shlex.quote(str(installed.relative_to(here) if installed.is_relative_to(here) else installed))


def say(text: str) -> None:
    with suppress(OSError):  # the terminal may be gone, and what is running must still be stopped
        print(text, flush=True)


def warn(text: str) -> None:
    with suppress(OSError):
        print(f"kvcast: {text}", file=sys.stderr, flush=True)
