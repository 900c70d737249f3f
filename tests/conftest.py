"""Real servers for the tests: the stores as the local run starts them, and the functions under gunicorn."""

from __future__ import annotations

import re
import shutil
import signal
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from kvcast.config import Settings
from kvcast.embedded import FUNCTIONS_ROLE, Stores
from kvcast.embedded.functions import Functions
from kvcast.storage.schema import migrate
from tests.databases import Database, patient
from tests.ports import port_of_our_own

if TYPE_CHECKING:
    from tests.calls import Caller

collect_ignore = ["cluster"]  # needs a Kubernetes: `make test-cluster` names it
TOKEN = "the-admin-token-of-the-tests"
_REPORTED = pytest.StashKey[Sequence["Server"]]()


class Server:
    """A function, or `module:app`, under gunicorn. `environment` overrides settings by the names a person would use."""

    def __init__(
        self, stores: Stores, name: str, environment: dict[str, str], awaited: str = "/healthz/ready"
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kvcast-test-"))
        self._held = ExitStack()
        port = self._held.enter_context(port_of_our_own())
        self.settings = Settings.from_environment(
            {
                "PORT": str(port), "KVCAST_ADMIN_TOKEN": TOKEN, "KVCAST_DRAIN_SECONDS": "0.2",
                "KVCAST_LOG_LEVEL": "debug", "DATABASE_URL": stores.database_url,
                "REDIS_URL": patient(stores.functions_redis_url), **environment,
            }
        )
        self.token = self.settings.admin_token
        app = name if ":" in name else f"functions.{name}:create_app()"
        self._functions = Functions(app, self.settings, self.folder, log=self.folder / "log", awaited=awaited)

    @property
    def url(self) -> str:
        return self._functions.url

    @property
    def pid(self) -> int:
        return self._functions.pid

    def start(self) -> None:
        """After `stop` or `kill` it comes back under the same URL."""
        self._functions.start()

    def stop(self) -> None:
        self._functions.stop()

    def kill(self) -> None:
        self._functions.kill()

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def tail(self) -> str:
        return self._functions.tail()

    def close(self) -> None:
        self.stop()
        self._held.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def pytest_configure() -> None:
    """A shell ignores SIGINT in what it runs in the background, and so would every child that a test interrupts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A busy machine is slow, and that is no finding.
    hypothesis_settings.register_profile("kvcast", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    hypothesis_settings.load_profile("kvcast")


@pytest.fixture(scope="session", autouse=True)
def no_settings_from_outside() -> Iterator[None]:
    """The tests decide what is set."""
    with pytest.MonkeyPatch.context() as patch:
        for spec in fields(Settings):
            patch.delenv(spec.metadata["name"], raising=False)
            patch.delenv(spec.metadata["name"] + "_FILE", raising=False)
        yield


@pytest.fixture(scope="session")
def stores(no_settings_from_outside: None) -> Iterator[Stores]:
    """PostgreSQL, migrated, and Redis."""
    folder = Path(tempfile.mkdtemp(prefix="kvcast-test-"))
    with Stores(folder) as stores:
        migrate(stores.migration_url, functions_role=FUNCTIONS_ROLE)
        yield stores
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def lasting_database(stores: Stores) -> Iterator[Database]:
    with Database(stores) as database:
        yield database


@pytest.fixture
def database(lasting_database: Database) -> Iterator[Database]:
    """An empty database of the test's own."""
    yield lasting_database
    lasting_database.reset()


@pytest.fixture
def bare(stores: Stores) -> Iterator[Database]:
    """A database without a schema, whose statements the server logs."""
    database = Database(stores)
    database.administer(f"CREATE DATABASE {database.name}")
    database.administer(f"ALTER DATABASE {database.name} SET log_statement = 'all'")
    yield database
    database.close()
    database.administer(f"DROP DATABASE {database.name} WITH (FORCE)")


@pytest.fixture(scope="session")
def app(stores: Stores) -> Iterator[Server]:
    """The three functions as one app, shared by all tests: use keys of your own."""
    server = Server(stores, "local", {})
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def call(app: Server) -> Iterator[Caller]:
    """Calls the shared app with the admin token; holds every answer to openapi.json."""
    from tests.calls import Caller

    with Caller(app.url, app.token) as caller:
        yield caller


@pytest.fixture
def serve(stores: Stores, request: pytest.FixtureRequest) -> Iterator[Callable[..., Server]]:
    """`serve("read", KVCAST_L1_MAX_BYTES="0")` starts a function of its own and stops it after the test.

    awaited: the path that must answer 200 first.
    """
    servers: list[Server] = []

    def start(name: str = "local", *, awaited: str = "/healthz/ready", **environment: str) -> Server:
        server = Server(stores, name, environment, awaited)
        servers.append(server)
        server.start()
        return server

    request.node.stash[_REPORTED] = servers
    yield start
    for server in servers:
        server.close()


@pytest.fixture
def unique_key(request: pytest.FixtureRequest) -> Callable[..., str]:
    """`unique_key("gold")` is a key that no other test, and no other run, names."""
    test = re.sub(r"\W+", "-", request.node.name)[:60].strip("-")
    mark = uuid.uuid4().hex[:10]
    return lambda name="key": f"{test}.{mark}.{name}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the servers of a failed test said last."""
    report = yield
    if call.when == "call" and report.failed:
        own: Sequence[Server] = item.stash.get(_REPORTED, ())
        servers = [*own]
        shared = getattr(item, "funcargs", {}).get("app")
        if isinstance(shared, Server):
            servers.append(shared)
        for server in servers:
            report.sections.append((f"log of {server.url}", server.tail()))
    return report
