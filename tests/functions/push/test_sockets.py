from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from typing import Any

import gevent
import gevent.socket
import pytest
from gevent.event import Event

from functions.push.frames import websocket_text
from functions.push.sockets import ViewerSocket

PONG = b"\x8a\x04pong"


@pytest.fixture
def pair() -> Iterator[tuple[Any, Any]]:
    """(server's end, viewer's end) of a TCP connection with small buffers."""
    listener = gevent.socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    far = gevent.socket.socket()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    far.connect(listener.getsockname())
    near, _ = listener.accept()
    listener.close()
    yield near, far
    near.close()
    far.close()


def frames_of(data: bytes) -> list[tuple[int, bytes]]:
    """(first byte, payload) of each; the last must end with `data`."""
    found = []
    while data:
        size, head = data[1], 2
        if size == 126:
            size, head = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, head = int.from_bytes(data[2:10], "big"), 10
        assert len(data) >= head + size, "a frame is cut"
        found.append((data[0], data[head : head + size]))
        data = data[head + size :]
    return found


def read_all(far: Any) -> bytes:
    data = b""
    while some := far.recv(3000):
        data += some
        gevent.sleep(0)
    return data


def test_frames_are_neither_cut_nor_mixed_with_pongs_while_the_viewer_reads_slowly(pair: tuple[Any, Any]) -> None:
    near, far = pair
    viewer = ViewerSocket(near, 10)
    free = Event()
    viewer.on_free = free.set
    payloads = [hashlib.sha256(b"%d" % number).hexdigest().encode() * 1500 for number in range(40)]
    waited = 0

    def flush() -> None:
        nonlocal waited
        for payload in payloads:
            while viewer.busy:
                waited += 1
                free.clear()
                free.wait(10)
            viewer.send_now(websocket_text(payload))

    def pong() -> None:
        for _ in range(100):
            viewer.send(PONG)
            gevent.sleep(0)

    reader = gevent.spawn(read_all, far)
    writers = [gevent.spawn(flush), gevent.spawn(pong), gevent.spawn(pong)]
    gevent.joinall(writers, timeout=20, raise_error=True)
    while viewer.busy:
        free.clear()
        free.wait(10)
    near.shutdown(socket.SHUT_WR)
    frames = frames_of(reader.get(timeout=20))
    assert waited > 5, "the viewer was never slow, so nothing was tested"
    assert [payload for first, payload in frames if first == 0x81] == payloads
    assert frames.count((0x8A, b"pong")) == 200
    assert len(frames) == 240


def test_sending_never_waits_for_a_viewer_that_does_not_read(pair: tuple[Any, Any]) -> None:
    near, _ = pair
    viewer = ViewerSocket(near, 10)
    switched: list[bool] = []
    gevent.spawn(lambda: switched.append(True))
    while not viewer.busy:
        viewer.send_now(b"x" * 100_000)
    assert not switched, "nobody else ran meanwhile"


def test_a_viewer_that_stops_is_given_up_after_the_timeout(pair: tuple[Any, Any]) -> None:
    near, far = pair
    viewer = ViewerSocket(near, 0.1)
    stuck, freed = Event(), Event()
    viewer.on_stuck, viewer.on_free = stuck.set, freed.set
    viewer.send_now(b"x" * 10_000_000)
    assert viewer.busy
    with pytest.raises(OSError, match="gone"):
        viewer.send(PONG)  # waits behind the frame
    assert stuck.is_set()
    assert not freed.is_set()
    assert viewer.broken
    assert not viewer.busy
    viewer.send_now(b"more")
    assert len(read_all(far)) < 10_000_000, "it ends, and is not taken for whole"


def test_a_viewer_that_goes_on_in_time_is_served_on(pair: tuple[Any, Any]) -> None:
    near, far = pair
    viewer = ViewerSocket(near, 10)
    free = Event()
    viewer.on_free = free.set
    viewer.send_now(b"x" * 1_000_000)
    assert viewer.busy
    reader = gevent.spawn(read_all, far)
    assert free.wait(10)
    viewer.send_now(b"y")
    near.shutdown(socket.SHUT_WR)
    assert reader.get(timeout=10) == b"x" * 1_000_000 + b"y"


def test_a_viewer_that_is_gone_breaks_and_does_not_raise(pair: tuple[Any, Any]) -> None:
    near, far = pair
    viewer = ViewerSocket(near, 10)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    far.close()
    gevent.socket.wait_read(near.fileno(), timeout=5)
    for _ in range(3):
        viewer.send_now(b"x")
    assert viewer.broken
    with pytest.raises(OSError, match="gone"):
        viewer.send(b"x")


def test_closing_wakes_whoever_reads(pair: tuple[Any, Any]) -> None:
    near, _ = pair
    viewer = ViewerSocket(near, 10)
    reader = gevent.spawn(viewer.recv, 100)
    gevent.sleep(0)
    viewer.close()
    with pytest.raises(OSError, match="closed"):
        reader.get(timeout=5)
