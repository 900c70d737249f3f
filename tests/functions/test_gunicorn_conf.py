"""What gunicorn does with every function: how it stops, and what it does with several workers."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil
import pytest

from kvcast.client import Client
from tests.polling import eventually

if TYPE_CHECKING:
    from tests.conftest import Server

ROOT = Path(__file__).parent.parent.parent
DEADLINE_SECONDS = 60.0
WAITED_SECONDS = 10.0  # by gunicorn, for what does not end by itself


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
    assert time.monotonic() - began < WAITED_SECONDS
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
    server = serve("read", KVCAST_DRAIN_SECONDS="20")
    connections = [connect(server) for _ in range(20)]
    told_to_stop(server)
    assert [status_and_close(connection) for connection in connections] == [(200, True)] * 20
    server.kill()


def test_new_connections_are_still_taken_when_the_drain_begins(
    serve: Callable[..., Server], connect: Callable[[Server], http.client.HTTPConnection]
) -> None:
    """An ingress hears late that a pod ends."""
    server = serve("read", KVCAST_DRAIN_SECONDS="20")
    told_to_stop(server)
    began = time.monotonic()
    while time.monotonic() - began < 1.5:
        fresh = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=DEADLINE_SECONDS)
        assert status_and_close(fresh) == (200, True)
    server.kill()


def test_a_request_that_arrives_as_its_idle_connection_is_ended_is_answered(
    serve: Callable[..., Server], connect: Callable[[Server], http.client.HTTPConnection]
) -> None:
    """The worker is halted meanwhile, so that both wait for it at the same moment, for each connection."""
    server = serve("read", KVCAST_DRAIN_SECONDS="16")
    connections = [connect(server) for _ in range(20)]
    worker = told_to_stop(server)
    worker.suspend()
    try:
        for connection in connections:
            connection.request("GET", "/healthz/live")
        time.sleep(4.5)  # the worker's own clock: it listens for 4 s, and what is idle for 1 s is ended then
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


def workers_of(server: Server) -> set[int]:
    """Both of them: the first may be ready before the second has begun."""
    found = [worker.pid for worker in psutil.Process(server.pid).children()]
    assert len(found) == 2, server.tail()
    return set(found)


def test_the_metrics_of_several_workers_are_added_and_their_folder_goes_with_them(
    serve: Callable[..., Server], connect: Callable[[Server], http.client.HTTPConnection], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    server = serve("read", KVCAST_WORKERS="2")
    eventually(lambda: workers_of(server))
    assert len(list(tmp_path.glob("kvcast-metrics-*"))) == 1
    assert "kvcast_reads" in answered(connect(server), "/metrics")
    server.stop()
    assert not list(tmp_path.glob("kvcast-metrics-*"))


def test_a_worker_that_dies_is_replaced(serve: Callable[..., Server]) -> None:
    server = serve("read", KVCAST_WORKERS="2")
    first = eventually(lambda: workers_of(server))
    os.kill(min(first), signal.SIGKILL)
    eventually(lambda: workers_of(server) - first)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < WAITED_SECONDS  # though the new one has hardly begun


def test_a_bad_setting_stops_the_start_with_one_line() -> None:
    started = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", "functions/gunicorn_conf.py", "functions.read:create_app()"],
        cwd=ROOT, env={**os.environ, "PORT": "eight"}, capture_output=True, text=True, timeout=DEADLINE_SECONDS,
    )
    assert started.returncode != 0
    assert started.stderr.startswith("kvcast: PORT: 'eight' is refused")
    assert started.stderr.count("\n") == 1


def held(server: Server, connection: socket.socket) -> bool:
    """Whether the worker still has its end of `connection`."""
    [worker] = psutil.Process(server.pid).children()
    port = connection.getsockname()[1]
    return any(one.raddr and one.raddr.port == port for one in worker.net_connections("tcp"))


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system cannot end such a connection")
@pytest.mark.parametrize("odd", ["", "X-Odd: 1\r\n"])
def test_who_asks_and_never_reads_is_let_go(serve: Callable[..., Server], odd: str) -> None:
    server = serve("local", KVCAST_SEND_TIMEOUT_SECONDS="0.1")
    with Client(server.url, server.token) as client:
        client.set("large", "x" * 60_000)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.connect(("127.0.0.1", urlsplit(server.url).port))
        connection.setblocking(False)

        def ask() -> bool:
            with suppress(OSError):  # nothing more can be sent, or it is over
                connection.send(f"GET /get/large HTTP/1.1\r\nHost: a\r\n{odd}\r\n".encode())
            return not held(server, connection)

        eventually(ask)


def test_a_body_that_nobody_wanted_is_not_waited_for_without_end(serve: Callable[..., Server]) -> None:
    server = serve("read", KVCAST_BODY_TIMEOUT_SECONDS="0.3")
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port)) as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")

        def drip() -> bool:
            with suppress(OSError):
                connection.sendall(b"x")
            return not held(server, connection)

        eventually(drip)


def test_greenlets_are_counted_as_they_come_and_go(
    serve: Callable[..., Server], connect: Callable[[Server], http.client.HTTPConnection]
) -> None:
    server = serve("read")
    asking = connect(server)

    def greenlets() -> float:
        text = answered(asking, "/metrics")
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith("kvcast_greenlets "))

    before = greenlets()
    opened = [connect(server) for _ in range(50)]
    assert eventually(lambda: greenlets() >= before + 40)  # others come and go too
    for connection in opened:
        connection.close()
    assert eventually(lambda: greenlets() <= before + 10)
