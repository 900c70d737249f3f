"""Fresh stores, and the servers that are measured over them. Every side has the same PostgreSQL and the same Redis."""

from __future__ import annotations

import http.client
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs, unquote, urlsplit

from kvcast.config import Settings
from kvcast.embedded import FUNCTIONS_ROLE, Stores
from kvcast.embedded.functions import Functions
from kvcast.embedded.postgres import DATABASE, OWNER
from kvcast.embedded.process import Process
from kvcast.messages import Write
from kvcast.serving import bound_socket
from kvcast.storage.pool import Pool, connect
from kvcast.storage.rows import text_array
from kvcast.storage.schema import migrate
from kvcast.storage.writes import Statements, commit_all

from benchmarks import tools

TOKEN = "the-token-of-the-benchmarks"  # noqa: S105
PEER_DATABASE = "peer"
START_SECONDS = 60.0
FILL_AT_ONCE = 2000
LIMIT = "1000000 per second"  # on, and not reached


class Server:
    """Something started; pid: its first process; url: http://host:port."""

    def __init__(self, url: str, pid: int, stop: Callable[[], object]) -> None:
        self.url = url
        self.pid = pid
        self.stop = stop

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port


class World:
    """`with World() as world:`; everything started in it ends with it."""

    def __enter__(self) -> World:
        self._stack = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="kvcast-bench-"))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self.stores = self._stack.enter_context(Stores(self.folder / "stores"))
            migrate(self.stores.migration_url, functions_role=FUNCTIONS_ROLE)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def kvcast(self, function: str, *, workers: int = 1, **environment: str) -> Server:
        """A function alone, at its defaults but for limits that one client of a benchmark would reach."""
        settings = Settings.from_environment(
            {
                "PORT": "0", "KVCAST_ADMIN_TOKEN": TOKEN, "KVCAST_WORKERS": str(workers), "KVCAST_DRAIN_SECONDS": "0.2",
                "KVCAST_WRITE_LIMIT": LIMIT, "KVCAST_BATCH_LIMIT": LIMIT, "KVCAST_READ_LIMIT": LIMIT,
                "KVCAST_SOCKETS_PER_ADDRESS": "20000", "KVCAST_LOG_LEVEL": "warning",
                "DATABASE_URL": self.stores.database_url, "REDIS_URL": self.stores.redis_url, **environment,
            }
        )
        home = Path(tempfile.mkdtemp(prefix=f"{function}-", dir=self.folder))
        functions = Functions(f"functions.{function}:create_app()", settings, home, log=home / "log")
        self._stack.callback(functions.stop)
        functions.start()
        return Server(functions.url, functions.pid, functions.stop)

    def node(self, *, workers: int = 1) -> Server:
        """benchmarks/peer-node over a database of its own in the same PostgreSQL."""
        program = tools.node()
        self._create_peer_database()
        environment = {
            "NODE_ENV": "production", "WORKERS": str(workers), "DATABASE_SOCKETS": self.postgres_sockets,
            "DATABASE_NAME": PEER_DATABASE, "DATABASE_USER": OWNER, "REDIS_SOCKET": self.redis_socket,
        }
        return self.program("Node peer", [program, str(tools.PEER_FOLDER / "server.js")], environment)

    def program(self, name: str, command: list[str], environment: Mapping[str, str]) -> Server:
        """A peer that listens where PORT says, which `{address}` in its command stands for as well."""
        with bound_socket("127.0.0.1", 0) as taken:
            port = taken.getsockname()[1]
        home = Path(tempfile.mkdtemp(prefix="peer-", dir=self.folder))
        process = Process(name, Path(command[0]).name, home, log=home / "log", stop_signals=((15, 3.0),))  # type: ignore[arg-type]
        self._stack.callback(process.stop)
        command = [part.replace("{address}", f"127.0.0.1:{port}") for part in command]
        process.start(command, environment={**os.environ, **environment, "PORT": str(port)})
        process.wait_ready(lambda: _answers(port), START_SECONDS)
        return Server(f"http://127.0.0.1:{port}", process.pid, process.stop)

    @property
    def postgres_sockets(self) -> str:
        return parse_qs(urlsplit(self.stores.database_url).query)["host"][0]

    @property
    def redis_socket(self) -> str:
        return unquote(urlsplit(self.stores.redis_url).path)

    def fill(self, values: Mapping[str, str]) -> None:
        """Give both sides the same keys; values: JSON texts. The peer's table is there once it was started."""
        keys = list(values)
        pool = Pool(self.stores.database_url, 1, statement_timeout_seconds=60)
        peer = connect(self._peer_url(), statement_timeout_seconds=60) if self._has_peer() else None
        try:
            for start in range(0, len(keys), FILL_AT_ONCE):
                some = keys[start : start + FILL_AT_ONCE]
                commit_all(pool, Statements(history=True), [Write(key, values[key]) for key in some])
                if peer is not None:
                    peer.run(
                        'INSERT INTO public."Pairs" (key, value, "createdAt", "updatedAt") '
                        "SELECT key, value::jsonb, now(), now() FROM unnest(:keys::text[], :values::text[]) "
                        "AS i(key, value) ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value",
                        keys=text_array(some), values=text_array(values[key] for key in some),
                    )
        finally:
            pool.close()
            if peer is not None:
                peer.close()

    def _peer_url(self) -> str:
        return self.stores.migration_url.replace(f"/{DATABASE}?", f"/{PEER_DATABASE}?")

    def _has_peer(self) -> bool:
        owner = connect(self.stores.migration_url)
        try:
            return bool(owner.run("SELECT 1 FROM pg_database WHERE datname = :name", name=PEER_DATABASE))
        finally:
            owner.close()

    def _create_peer_database(self) -> None:
        if not self._has_peer():
            owner = connect(self.stores.migration_url, statement_timeout_seconds=30)
            try:
                owner.run(f"CREATE DATABASE {PEER_DATABASE}")
            finally:
                owner.close()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
