"""What gunicorn does with every function: how it stops, and what it does with several workers."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil
import pytest

from tests.polling import eventually

if TYPE_CHECKING:
    from tests.conftest import Server

ROOT = Path(__file__).parent.parent.parent
DEADLINE_SECONDS = 20.0


@pytest.fixture
def connect() -> Iterator[Callable[[Server], http.client.HTTPConnection]]:
    """`connect(server)` is a keep-alive connection that has had one answer."""
    opened: list[http.client.HTTPConnection] = []

    def open_one(server: Server) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=DEADLINE_SECONDS)
        opened.append(connection)
        answered(connection)
        return connection

    yield open_one
    for connection in opened:
        connection.close()


def answered(connection: http.client.HTTPConnection, path: str = "/healthz/live") -> str:
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 200
    return answer.read().decode()


def test_idle_connections_do_not_hold_up_a_stop(
    serve: Callable[..., Server], connect: Callable[[Server], http.client.HTTPConnection]
) -> None:
    server = serve("read")
    connections = [connect(server) for _ in range(5)]
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 5  # and not the 10 s that gunicorn would wait
    for connection in connections:
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            answered(connection)


def status_and_close(connection: http.client.HTTPConnection, path: str = "/healthz/live") -> tuple[int, bool]:
    """The next answer, and whether it says that the connection ends."""
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.getheader("Connection") == "close"


def told_to_stop(server: Server) -> psutil.Process:
    """The worker, once it is draining."""
    [worker] = psutil.Process(server.pid).children()
    psutil.Process(server.pid).send_signal(signal.SIGTERM)
    caller = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=DEADLINE_SECONDS)
    assert eventually(lambda: status_and_close(caller, "/healthz/ready") == (503, True))
    return worker


def test_a_request_on_a_kept_connection_is_answered_while_the_worker_drains(
    serve: Callable[..., Server], connect: Callable[[Server], http.client.HTTPConnection]
) -> None:
    server = serve("read", KVCAST_DRAIN_SECONDS="8")
    connections = [connect(server) for _ in range(20)]
    told_to_stop(server)
    assert [status_and_close(connection) for connection in connections] == [(200, True)] * 20


def test_new_connections_are_still_taken_when_the_drain_begins(
    serve: Callable[..., Server], connect: Callable[[Server], http.client.HTTPConnection]
) -> None:
    """An ingress hears late that a pod ends."""
    server = serve("read", KVCAST_DRAIN_SECONDS="8")
    told_to_stop(server)
    began = time.monotonic()
    while time.monotonic() - began < 1.5:
        fresh = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=DEADLINE_SECONDS)
        assert status_and_close(fresh) == (200, True)


def test_a_request_that_arrives_as_its_idle_connection_is_ended_is_answered(
    serve: Callable[..., Server], connect: Callable[[Server], http.client.HTTPConnection]
) -> None:
    """The worker is halted meanwhile, so that both wait for it at the same moment, for each connection."""
    server = serve("read", KVCAST_DRAIN_SECONDS="8")
    connections = [connect(server) for _ in range(20)]
    worker = told_to_stop(server)
    worker.suspend()
    try:
        for connection in connections:
            connection.request("GET", "/healthz/live")
        time.sleep(2.5)  # the worker's own clock: it listens for 2 s, and what is idle for 1 s is ended then
    finally:
        worker.resume()
    answers = [connection.getresponse() for connection in connections]
    assert [(answer.status, answer.getheader("Connection")) for answer in answers] == [(200, "close")] * 20


def test_a_connection_is_used_again_and_again(
    serve: Callable[..., Server], connect: Callable[[Server], http.client.HTTPConnection]
) -> None:
    connection = connect(serve("read"))
    local = connection.sock.getsockname()
    for _ in range(20):
        answered(connection)
    assert connection.sock.getsockname() == local


def test_the_metrics_of_several_workers_are_added_and_their_folder_goes_with_them(
    serve: Callable[..., Server], connect: Callable[[Server], http.client.HTTPConnection]
) -> None:
    before = set(Path(tempfile.gettempdir()).glob("kvcast-metrics-*"))
    server = serve("read", KVCAST_WORKERS="2")
    assert len(psutil.Process(server.pid).children()) == 2
    made = set(Path(tempfile.gettempdir()).glob("kvcast-metrics-*")) - before
    assert len(made) == 1
    assert "kvcast_reads" in answered(connect(server), "/metrics")
    server.stop()
    assert not any(folder.exists() for folder in made)


def test_a_worker_that_dies_is_replaced(serve: Callable[..., Server]) -> None:
    server = serve("read", KVCAST_WORKERS="2")
    first = {worker.pid for worker in psutil.Process(server.pid).children()}
    os.kill(min(first), 9)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while len({worker.pid for worker in psutil.Process(server.pid).children()} - first) < 1:
        assert time.monotonic() < deadline, server.tail()
        time.sleep(0.02)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 5  # though the new one has hardly begun


def test_a_bad_setting_stops_the_start_with_one_line() -> None:
    started = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", "functions/gunicorn_conf.py", "functions.read:create_app()"],
        cwd=ROOT, env={**os.environ, "PORT": "eight"}, capture_output=True, text=True, timeout=30,
    )
    assert started.returncode != 0
    assert started.stderr.startswith("kvcast: PORT: 'eight' is refused")
    assert started.stderr.count("\n") == 1
