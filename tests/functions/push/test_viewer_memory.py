"""What viewers cost that do not read: their place in line, and no bytes of their own."""

from __future__ import annotations

import socket
import tracemalloc
from collections.abc import Iterator

import gevent
import gevent.socket
import msgspec
import pytest

from kvcast.errors import Overloaded
from kvcast.messages import Subscribe, Write
from tests.databases import Database
from tests.functions.push.changing import change, drained, revs
from tests.functions.push.test_sockets import Told
from tests.polling import HANG_SECONDS

from functions.push import joining, viewer
from functions.push.frames import Frame, change_frame, websocket_text
from functions.push.hub import Hub
from functions.push.joining import Joiner
from functions.push.sockets import ViewerSocket, taken_over
from functions.push.viewer import Viewer, Watch

VIEWERS = 50
VALUE = '"%s"' % ("x" * 60_000)
KEYS = [f"big.{number:03}" for number in range(300)]


@pytest.fixture
def stalled() -> Iterator[list[ViewerSocket]]:
    """Viewers whose buffers are full."""
    pairs = [gevent.socket.socketpair() for _ in range(VIEWERS)]
    served = []
    for near, _ in pairs:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        served.append(ViewerSocket(taken_over(near), 60, Told()))
    yield served
    for one, (_, far) in zip(served, pairs, strict=True):
        one.end()
        far.close()


@pytest.fixture
def large(database: Database) -> Hub:
    """300 keys of 60 kB, and a hub that knows of none."""
    database.commit(*(Write(key, VALUE) for key in KEYS))
    return Hub(database.epoch)


def frame_of(key: str, rev: int) -> Frame:
    return change_frame(msgspec.structs.replace(change(key, rev), value=VALUE.encode()), "e")


def joiner(hub: Hub, database: Database) -> Joiner:
    return Joiner(hub, database.pool(), database.cache(), replay_most=10, covered_most=1000)


def test_what_a_socket_has_still_to_send_is_no_copy(stalled: list[ViewerSocket]) -> None:
    frames = [websocket_text(bytes([65 + number]) * 100_000) for number in range(10)]
    tracemalloc.start()
    for one in stalled:
        one.send(*frames)
        one.send(frames[0])  # what comes while it is busy
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert all(one.busy for one in stalled)
    assert held < 1_000_000, "all of them together hold less than one would with bytes of its own"


def test_a_snapshot_is_encoded_once_for_all_who_wait_for_it(database: Database) -> None:
    hub = Hub(database.epoch)
    [written] = database.commit(Write("gold", VALUE))
    waiting = [Viewer(lambda _: None) for _ in range(3)]
    for one in waiting:
        hub.add(one)
        joiner(hub, database).join(one, Subscribe(keys=["gold"]))
    first, *others = (drained(hub, one)[0] for one in waiting)
    assert first.change == written
    assert all(frame is first for frame in others)


@pytest.mark.parametrize("wanted", [Subscribe(keys=KEYS), Subscribe(prefixes=["big."])])
def test_a_subscribe_to_much_is_read_no_faster_than_the_viewer_reads(
    database: Database, large: Hub, wanted: Subscribe
) -> None:
    one = Viewer(lambda _: None)
    large.add(one)
    joining_it = gevent.spawn(joiner(large, database).join, one, wanted)
    seen: list[int] = []
    with gevent.Timeout(HANG_SECONDS):
        while not joining_it.ready():
            gevent.sleep(0.001)
            assert one.waiting_bytes < viewer.ROOM_BYTES + 2 * len(VALUE)
            seen += revs(one.collect(0.0, lambda _: 0.0)[0])
    seen += revs(drained(large, one))
    joining_it.get()
    assert len(seen) == len(set(seen)) == len(KEYS)


def test_of_a_subscribe_whose_viewer_never_reads_little_is_read(
    database: Database, large: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "ROOM_SECONDS", 0.1)
    one = Viewer(lambda _: None)
    large.add(one)
    with pytest.raises(Overloaded):
        joiner(large, database).join(one, Subscribe(keys=KEYS))
    assert one.waiting_bytes < viewer.ROOM_BYTES + 2 * len(VALUE)
    known = [key for key in KEYS if large.newest(key) is not None]
    assert len(known) <= 100, "what is not asked of the viewer is not asked of the store"


def test_one_who_leaves_in_the_middle_of_a_subscribe_is_waited_for_no_more(database: Database, large: Hub) -> None:
    one = Viewer(lambda _: None)
    large.add(one)
    joining_it = gevent.spawn(joiner(large, database).join, one, Subscribe(keys=KEYS))
    with gevent.Timeout(HANG_SECONDS):
        while one.has_room:
            gevent.sleep(0.001)
        large.remove(one)
        with pytest.raises(Overloaded):
            joining_it.get()
    assert not large.watchers(KEYS[0], "default")


def test_one_write_takes_no_more_than_a_share_of_what_waits() -> None:
    one = Viewer(lambda _: None)
    for number in range(20):
        one.take(frame_of(f"a{number}", number + 1), Watch(every=True))
        one.take(frame_of(f"b{number}", number + 1), Watch())
    collected = []
    while (frames := one.collect(0.0, lambda _: 0.0))[0]:
        assert sum(len(frame.payload) for frame in frames[0]) < viewer.WRITE_MOST_BYTES + 2 * len(VALUE)
        collected += revs(frames[0])
    assert len(collected) == 40
    assert one.waiting_bytes == 0


def test_large_ticks_that_wait_are_bounded_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "QUEUE_MOST_BYTES", 10 * len(VALUE))
    one = Viewer(lambda _: None)
    for number in range(9):
        one.snapshot(frame_of("s", number + 1))
        one.take(frame_of("a", number + 1), Watch(every=True))
    assert not one.overflowed, "what a subscribe asked for comes on top"
    one.take(frame_of("a", 10), Watch(every=True))
    assert one.overflowed
