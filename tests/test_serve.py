"""`kvcast serve`: one function as a container runs it."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from kvcast.embedded import Stores
from tests.polling import eventually
from tests.ports import port_of_our_own

ROOT = Path(__file__).parent.parent
DEADLINE_SECONDS = 60.0
QUICK = {"KVCAST_DRAIN_SECONDS": "0.2"}
NOWHERE = {"DATABASE_URL": "postgresql://127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1"}


def serve(function: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "kvcast", "serve", function], text=True, stderr=subprocess.PIPE, cwd=ROOT,
        env={**os.environ, **environment},
    )


@pytest.fixture
def free_port() -> Iterator[Callable[[], int]]:
    with ExitStack() as held:
        yield lambda: held.enter_context(port_of_our_own())


def alive(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_SECONDS)
    with suppress(OSError):
        connection.request("GET", "/healthz/live", headers={"Connection": "close"})
        return connection.getresponse().status == 200
    return False


@pytest.mark.parametrize("function", ["write", "read", "push"])
def test_the_process_that_was_started_is_gunicorns_master(
    stores: Stores, free_port: Callable[[], int], function: str
) -> None:
    port = free_port()
    own = {"DATABASE_URL": stores.database_url, "REDIS_URL": stores.redis_url, "PORT": str(port)}
    with serve(function, **own, **QUICK, KVCAST_WORKERS="2") as process:
        eventually(lambda: alive(port), DEADLINE_SECONDS)
        assert "gunicorn" in " ".join(psutil.Process(process.pid).cmdline())
        eventually(lambda: len(psutil.Process(process.pid).children()) == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_SECONDS) == 0


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"DATABASE_URL": ""}, "DATABASE_URL is not set"),
        ({"REDIS_URL": ""}, "REDIS_URL is not set"),
        ({"PORT": "many"}, "PORT: 'many' is refused"),
        ({"HOST": "256.0.0.1"}, "HOST=256.0.0.1 is no address"),
        ({"KVCAST_LOG_LEVEL": "loud"}, "KVCAST_LOG_LEVEL: 'loud' is refused"),
        ({"DATABASE_URL": "postgresql://u:se/cret@h/d"}, "DATABASE_URL: the port is no number"),
        ({"DATABASE_URL": "postgresql://h/d?sslmode=perhaps"}, "DATABASE_URL: sslmode=perhaps"),
        ({"REDIS_URL": "redis://:se/cret@h"}, "REDIS_URL cannot be understood"),
        ({"DATABASE_URL": "", "DATABASE_URL_FILE": "/nowhere"}, "DATABASE_URL_FILE: cannot read"),
    ],
)
def test_a_bad_setting_stops_it_with_the_sentence(environment: dict[str, str], said: str) -> None:
    with serve("read", **NOWHERE | environment) as process:
        assert process.stderr is not None
        line = process.stderr.read()
        assert process.wait(DEADLINE_SECONDS) == 2
    assert line.startswith(f"error: {said}")
    assert line.count("\n") == 1
    assert line.endswith(".\n")
    assert "cret" not in line


def test_only_the_three_can_be_served() -> None:
    with serve("local", **NOWHERE) as process:
        assert process.wait(DEADLINE_SECONDS) == 2


def status_of(port: int, path: str, host: str = "127.0.0.1") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_SECONDS)
    connection.request("GET", path, headers={"Connection": "close", "Host": host, "X-Forwarded-Host": host})
    return connection.getresponse().status


@pytest.mark.parametrize("function", ["write", "read", "push"])
def test_health_and_metrics_are_found_on_the_management_port_only(
    stores: Stores, free_port: Callable[[], int], function: str
) -> None:
    """So that an ingress that routes everything to the other port shows them to nobody, whatever a client claims."""
    port, management = free_port(), free_port()
    own = {"DATABASE_URL": stores.database_url, "REDIS_URL": stores.redis_url, "PORT": str(port)}
    with serve(function, **own, KVCAST_MANAGEMENT_PORT=str(management), KVCAST_TRUSTED_HOPS="1", **QUICK) as process:
        eventually(lambda: alive(management), DEADLINE_SECONDS)
        eventually(lambda: status_of(management, "/healthz/ready") == 200, DEADLINE_SECONDS)
        for path in ("/healthz/live", "/healthz/ready", "/metrics"):
            assert status_of(management, path) == 200
            assert status_of(port, path) == 404
            assert status_of(port, path, host=f"kvcast.example.org:{management}") == 404
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_SECONDS) == 0
