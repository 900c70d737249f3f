"""kvcast as a cluster runs it: two processes of each function, PostgreSQL and Redis, and a proxy between each pair."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Self

import redis
from websockets.sync.client import connect as connect_socket

from kvcast.bus.connection import open_redis
from kvcast.config import Settings
from kvcast.embedded import FUNCTIONS_ROLE, Postgres, Valkey
from kvcast.embedded.functions import Functions
from kvcast.embedded.process import with_children
from kvcast.storage.pool import Session, connect
from kvcast.storage.schema import migrate
from tests.faults.proxy import Proxy

TOKEN = "the-admin-token-of-the-faults"
FUNCTIONS = ("write", "read", "push")
MEMBERS = ("a", "b")
STORES = ("postgres", "redis")
DRAIN_SECONDS = 3.0
SMALL_DISK_MB = 320
FALSE_CLOCK = Path(__file__).parent / "false_clock"
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


class World:
    """disk: `small` puts the data of PostgreSQL on a tmpfs of SMALL_DISK_MB. clock: a false one, which `shift` sets."""

    def __init__(self, seed: int, *, small_disk: bool = False, false_clock: bool = False) -> None:
        self._small_disk = small_disk
        self._false_clock = false_clock
        self._open = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="kvcast-faults-"))
        self.proxy = Proxy(seed)
        self.functions: dict[str, Functions] = {}
        self.urls: dict[str, list[str]] = {function: [] for function in FUNCTIONS}

    def __enter__(self) -> Self:
        self._open.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self._start()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _start(self) -> None:
        data = self.folder / "data"
        data.mkdir()
        if self._small_disk:
            options = f"size={SMALL_DISK_MB}m,mode=0711"
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(data)], check=True)
            self._open.callback(subprocess.run, ["umount", "-l", str(data)], check=False)
        self.postgres, self.valkey = Postgres(data), Valkey(data)
        self.valkey_home = data / "redis"
        self._clock_file = self.folder / "clock"
        self._functions_clock = self.folder / "functions-clock"
        self.shift(0)
        self.shift_functions(0)
        with self._clocked():
            for store in (self.postgres, self.valkey):
                self._open.callback(store.kill)
                store.start()
        migrate(self.postgres.migration_url, functions_role=FUNCTIONS_ROLE)
        self.redis: redis.Redis = open_redis(self.valkey.redis_url, timeout_seconds=5)
        self._open.callback(self.redis.close)
        self._open.enter_context(self.proxy)
        for function in FUNCTIONS:
            for member in MEMBERS:
                self._serve(function, f"{function}-{member}")

    def _serve(self, function: str, name: str) -> None:
        sockets = Path(self.valkey.redis_url.removeprefix("unix://").partition("?")[0]).parent
        database = self.proxy.open(f"{name}>postgres", str(sockets / ".s.PGSQL.5432"))
        cache = self.proxy.open(f"{name}>redis", str(sockets / "redis"))
        settings = Settings.from_environment({
            "PORT": "0", "KVCAST_ADMIN_TOKEN": TOKEN, "KVCAST_DRAIN_SECONDS": str(DRAIN_SECONDS),
            "KVCAST_READ_LIMIT": "100000 per second", "KVCAST_WRITE_LIMIT": "100000 per second",
            "KVCAST_BATCH_LIMIT": "100000 per second", "KVCAST_SERVER_NAME": name,
            "DATABASE_URL": f"postgresql://{FUNCTIONS_ROLE}@127.0.0.1:{database}/kvcast",
            "REDIS_URL": f"redis://127.0.0.1:{cache}/0",
        })  # fmt: skip
        running = Functions(
            f"functions.{function}:create_app()", settings, self.folder / name, log=self.folder / f"{name}.log"
        )
        self.functions[name] = running
        self._open.callback(running.kill)
        self.start(name)
        port = self.proxy.open(f"clients>{name}", ("127.0.0.1", running.port))
        self.urls[function].append(f"http://127.0.0.1:{port}")

    def url(self, name: str) -> str:
        """As clients reach the function `name`, such as push-a: through the proxy."""
        function, member = name.split("-")
        return self.urls[function][MEMBERS.index(member)]

    def links(self, source: str, to: str) -> list[str]:
        """The proxy's links between any two kinds: clients, a function, a store."""
        if source == "clients":
            return [f"clients>{to}-{member}" for member in MEMBERS]
        return [f"{source}-{member}>{to}" for member in MEMBERS]

    # What is done to them --------------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """A function, as Kubernetes starts it again."""
        with self._environment({"PYTHONPATH": str(FALSE_CLOCK), "FALSE_CLOCK": str(self._functions_clock)}):
            self.functions[name].start()

    def restart_store(self, store: Postgres | Valkey) -> None:
        """What is left of it ends; returns when it serves again."""
        store.kill()
        with self._clocked():
            store.start()

    @contextmanager
    def stopped(self, pid: int) -> Iterator[None]:
        """The process and its children do nothing for as long as the block takes."""
        family = with_children(pid)
        for process in family:
            process.suspend()
        try:
            yield
        finally:
            for process in reversed(family):
                if process.is_running():
                    process.resume()

    def session(self) -> Session:
        """A connection to PostgreSQL past the proxy, as the functions' role."""
        return Session(connect(self.postgres.database_url, statement_timeout_seconds=60))

    def as_owner(self, *statements: str) -> list[list[Any]]:
        connection = connect(self.postgres.migration_url, statement_timeout_seconds=60)
        try:
            rows: list[list[Any]] = []
            for statement in statements:
                rows = connection.run(statement) or []
            return rows
        finally:
            connection.close()

    def shift(self, seconds: int) -> None:
        """The wall clock of both stores jumps; the monotonic one does not."""
        self._clock_file.write_text(f"{seconds:+d}")

    def shift_functions(self, seconds: int) -> None:
        """The same for all functions."""
        with self._functions_clock.open("r+b" if self._functions_clock.exists() else "wb") as file:
            file.write(struct.pack("d", seconds))

    def _clocked(self) -> AbstractContextManager[None]:
        if not FAKETIME.exists():
            return nullcontext()
        return self._environment({
            "LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(self._clock_file),
            "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "0",
        })  # fmt: skip

    @contextmanager
    def _environment(self, clock: dict[str, str]) -> Iterator[None]:
        """Where the clock is to be false, with `clock` in the environment."""
        if not self._false_clock:
            yield
            return
        os.environ.update(clock)
        try:
            yield
        finally:
            for name in clock:
                del os.environ[name]

    # What is seen of them --------------------------------------------------------------------------------------

    def memory_mb(self) -> dict[str, float]:
        """Resident, of each function with its worker."""
        return {
            name: round(sum(process.memory_info().rss for process in with_children(function.pid)) / 2**20, 1)
            for name, function in self.functions.items()
        }

    def greeting(self, name: str) -> str:
        """The epoch that a push function greets its viewers with."""
        with connect_socket("ws" + self.functions[name].url.removeprefix("http") + "/ws", open_timeout=5) as viewer:
            frame = json.loads(viewer.recv(timeout=5))
            hello = frame[0] if isinstance(frame, list) else frame
            return str(hello["epoch"])

    def logs(self) -> list[Path]:
        return sorted([*self.folder.glob("*.log"), *self.folder.glob("data/*.log")])
