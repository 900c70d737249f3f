from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.socket
import pytest
from gevent.event import Event

from tests.polling import HANG_SECONDS

from functions.push import sockets
from functions.push.frames import websocket_text
from functions.push.sockets import ViewerSocket, taken_over

PONG = b"\x8a\x04pong"


class Told:
    """What an owner is told."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.is_free, self.is_stuck, self.is_gone = Event(), Event(), Event()
        self.hears_no_more: Exception | None = None

    def received(self, data: bytes) -> None:
        if self.hears_no_more is not None:
            raise self.hears_no_more
        self.heard += data

    def free(self) -> None:
        self.is_free.set()

    def stuck(self) -> None:
        self.is_stuck.set()

    def gone(self) -> None:
        assert not self.is_gone.is_set(), "told twice"
        self.is_gone.set()


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
    near.close()  # it was left without its connection if a viewer has that
    far.close()


@pytest.fixture
def told() -> Told:
    return Told()


Served = Callable[[float], ViewerSocket]


@pytest.fixture
def served(pair: tuple[Any, Any], told: Told) -> Iterator[Served]:
    """Gives the server's end to a viewer."""
    viewers: list[ViewerSocket] = []

    def serve(timeout_seconds: float) -> ViewerSocket:
        viewers.append(ViewerSocket(taken_over(pair[0]), timeout_seconds, told))
        return viewers[0]

    yield serve
    for viewer in viewers:
        viewer.end()


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
    data = bytearray()
    while some := far.recv(3000):
        data += some
        gevent.sleep(0)
    return bytes(data)


def test_frames_are_neither_cut_nor_mixed_with_pongs_while_the_viewer_reads_slowly(
    pair: tuple[Any, Any], served: Served, told: Told
) -> None:
    _, far = pair
    viewer = served(60)
    payloads = [hashlib.sha256(b"%d" % number).hexdigest().encode() * 1500 for number in range(40)]
    waited = 0

    def flush() -> None:
        nonlocal waited
        for payload in payloads:
            while viewer.busy:
                waited += 1
                told.is_free.clear()
                told.is_free.wait(HANG_SECONDS)
            viewer.send(websocket_text(payload))

    def pong() -> None:
        for _ in range(100):
            viewer.send(PONG)
            gevent.sleep(0)

    reader = gevent.spawn(read_all, far)
    writers = [gevent.spawn(flush), gevent.spawn(pong), gevent.spawn(pong)]
    gevent.joinall(writers, timeout=HANG_SECONDS, raise_error=True)
    viewer.leave(b"")
    frames = frames_of(reader.get(timeout=HANG_SECONDS))
    assert waited > 5, "the viewer was never slow, so nothing was tested"
    assert [payload for first, payload in frames if first == 0x81] == payloads
    assert frames.count((0x8A, b"pong")) == 200
    assert len(frames) == 240


def test_sending_never_waits_for_a_viewer_that_does_not_read(served: Served) -> None:
    viewer = served(60)
    switched: list[bool] = []
    gevent.spawn(lambda: switched.append(True))
    while not viewer.busy:
        viewer.send(b"x" * 100_000)
    assert not switched, "nobody else ran meanwhile"


def test_a_viewer_that_stops_is_given_up_after_the_timeout(
    pair: tuple[Any, Any], served: Served, told: Told
) -> None:
    _, far = pair
    viewer = served(0.1)
    viewer.send(b"x" * 10_000_000)
    assert viewer.busy
    viewer.send(PONG)  # waits behind the frame
    assert told.is_gone.wait(HANG_SECONDS)
    assert told.is_stuck.is_set()
    assert not told.is_free.is_set()
    assert viewer.over
    assert not viewer.busy
    viewer.send(b"more")
    assert len(read_all(far)) < 10_000_000, "it ends, and is not taken for whole"


def test_a_viewer_that_goes_on_in_time_is_served_on(pair: tuple[Any, Any], served: Served, told: Told) -> None:
    _, far = pair
    viewer = served(60)
    viewer.send(b"x" * 1_000_000)
    assert viewer.busy
    reader = gevent.spawn(read_all, far)
    assert told.is_free.wait(HANG_SECONDS)
    viewer.send(b"y")
    viewer.leave(b"z")
    assert reader.get(timeout=HANG_SECONDS) == b"x" * 1_000_000 + b"yz"


def test_a_viewer_that_is_gone_breaks_and_does_not_raise(pair: tuple[Any, Any], served: Served, told: Told) -> None:
    near, far = pair
    viewer = served(60)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    far.close()
    assert told.is_gone.wait(HANG_SECONDS)
    assert viewer.over
    viewer.send(b"x")
    viewer.listen(True)
    viewer.leave(b"x")
    viewer.end()
    assert near.fileno() == -1, "it is not gunicorn's any more"


def test_what_is_not_wanted_yet_waits_with_the_client(pair: tuple[Any, Any], served: Served, told: Told) -> None:
    _, far = pair
    viewer = served(60)
    viewer.listen(False)
    far.settimeout(0.2)
    with pytest.raises(TimeoutError):
        far.sendall(b"x" * 10_000_000)
    assert not told.heard
    viewer.listen(True)
    far.settimeout(HANG_SECONDS)
    far.sendall(b"the end")
    with gevent.Timeout(HANG_SECONDS):
        while not told.heard.endswith(b"the end"):
            gevent.sleep(0.001)  # after one of 0 gevent looks for input only now and then


def test_a_goodbye_is_read_whole_by_one_who_reads_late_and_says_more(
    pair: tuple[Any, Any], served: Served, told: Told
) -> None:
    """A close with unread data is a reset, which would take what the client has not read yet."""
    _, far = pair
    viewer = served(60)
    viewer.send(b"x" * 200_000)
    viewer.leave(b"goodbye")
    viewer.send(b"more")
    far.sendall(b"still talking")
    assert read_all(far) == b"x" * 200_000 + b"goodbye"
    assert not told.heard, "nobody listens to one who was told to go"
    far.close()
    assert told.is_gone.wait(HANG_SECONDS)


def test_one_who_does_not_hang_up_is_let_go_all_the_same(
    pair: tuple[Any, Any], served: Served, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "_LINGER_SECONDS", 0.1)
    served(60).leave(b"goodbye")
    assert told.is_gone.wait(HANG_SECONDS)
    assert not told.is_stuck.is_set()
    assert read_all(pair[1]) == b"goodbye"


def test_one_who_goes_on_talking_after_the_goodbye_is_cut_off(
    pair: tuple[Any, Any], served: Served, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "_LINGER_SECONDS", 60)
    served(60).leave(b"goodbye")
    with pytest.raises(ConnectionError):
        pair[1].sendall(b"x" * 30_000_000)
    assert told.is_gone.is_set()


def test_what_cannot_be_taken_ends_that_viewer_only(pair: tuple[Any, Any], served: Served, told: Told) -> None:
    served(60)
    told.hears_no_more = RuntimeError("a defect")
    pair[1].sendall(b"x")
    assert told.is_gone.wait(HANG_SECONDS)
