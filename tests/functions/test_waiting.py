"""A connection that waits for too long is ended, and one that is being served never is."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest
from gevent import socket

from functions.waiting import Waiting, end_idle


@pytest.fixture
def among() -> Iterator[set[Waiting]]:
    among: set[Waiting] = set()
    looking = gevent.spawn(end_idle, among)
    yield among
    looking.kill()


def test_a_connection_that_waits_for_too_long_is_ended(among: set[Waiting]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, gevent.Timeout(30):
        with Waiting(ours, 0.0, among):
            assert ours.recv(1) == b""
        assert not among


def test_each_wait_is_counted_by_itself_and_serving_is_no_wait(among: set[Waiting]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, gevent.Timeout(30):
        waiting = Waiting(ours, 2.0, among)
        for _ in range(20):
            with waiting:
                gevent.sleep(0.15)
        gevent.sleep(0.6)
        theirs.send(b"x")
        assert ours.recv(1) == b"x"
