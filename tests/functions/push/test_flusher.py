from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import gevent
import pytest

from kvcast.bus.workers import WorkerReport
from tests.functions.push.changing import change
from tests.functions.push.test_sockets import Told
from tests.polling import HANG_SECONDS

from functions.push import flusher as module
from functions.push.flusher import Flusher, rest_after
from functions.push.frames import change_frame
from functions.push.hub import Hub
from functions.push.sockets import ViewerSocket, taken_over
from functions.push.viewer import Viewer, Watch


def test_a_rate_costs_one_appointment_however_much_changes() -> None:
    """So that a viewer cannot fill the memory with a tiny max_rate, nor stay in it after it left."""
    hub = Hub("e")
    flusher = Flusher(hub, WorkerReport("push", "unix:///nowhere"))
    near, far = gevent.socket.socketpair()
    viewer = Viewer(flusher.wake)
    hub.add(viewer)
    hub.watch(viewer, Watch(interval_seconds=1e9), ["gold"], [], [])
    socket = ViewerSocket(taken_over(near), 1.0, Told())
    flusher.attach(viewer, socket, lambda: pytest.fail("overflowed"))
    for rev in range(1, 100):
        hub.offer(change("gold", rev))
        flusher._flush(viewer)
    assert far.recv(65_536).count(b'"upd"') == 1
    assert len(flusher._later) == 1
    assert flusher._until_next() <= module._LATER_SECONDS  # type: ignore[operator]
    flusher.detach(viewer)
    assert not flusher._due
    socket.end()
    far.close()


def test_few_viewers_never_wait_and_a_round_of_many_stays_short() -> None:
    assert rest_after(0.0005) == 0
    for flushing_seconds in (0.001, 0.01, 0.03, 0.049):
        assert 0 < rest_after(flushing_seconds) <= 3 * flushing_seconds
        assert flushing_seconds + rest_after(flushing_seconds) <= 0.06 + 1e-9
    assert rest_after(0.2) == 0


@contextmanager
def watching(hub: Hub, keys: Sequence[str], modes: str = "") -> Iterator[tuple[Flusher, list[Any]]]:
    """A flusher with a viewer of each of `keys`, and the far ends of their sockets. modes: each's, l or e."""
    flusher = Flusher(hub, WorkerReport("push", "unix:///nowhere"))
    pairs = [gevent.socket.socketpair() for _ in keys]
    sockets = []
    for key, mode, (near, _) in zip(keys, modes or "l" * len(keys), pairs, strict=True):
        viewer = Viewer(flusher.wake)
        hub.add(viewer)
        hub.watch(viewer, Watch(every=mode == "e"), [key], [], [])
        sockets.append(ViewerSocket(taken_over(near), 1.0, Told()))
        flusher.attach(viewer, sockets[-1], lambda: pytest.fail("overflowed"))
    try:
        yield flusher, [far for _, far in pairs]
    finally:
        for socket, (_, far) in zip(sockets, pairs, strict=True):
            socket.end()
            far.close()


def received(far: Any) -> bytes:
    """All that has been sent."""
    data = b""
    with suppress(TimeoutError):
        while True:
            far.settimeout(0.1)
            data += far.recv(1_000_000)
    return data


@pytest.fixture
def by_turns(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub whose flusher looks for input and spreads it after each viewer."""
    monkeypatch.setattr(module, "_TURN", 1)
    monkeypatch.setattr(module, "_SPREAD_SECONDS", 0)
    hub = Hub("e")
    hub.later = lambda: None
    return hub


def test_input_is_heard_in_the_middle_of_a_round_and_reaches_those_who_come_later(by_turns: Hub) -> None:
    """A round of 10,000 viewers takes 0.2 s; a change that waits for its end is as old before it is even looked at."""
    number = 40  # fewer than the turns of one look of gevent for input
    with watching(by_turns, ["gold"] * number) as (flusher, far):

        def heard_of_the_first() -> None:
            far[-1].recv(65_536)
            by_turns.offer(change("gold", 2))

        hearing = gevent.spawn(heard_of_the_first)
        gevent.sleep(0.001)  # until it waits
        by_turns.offer(change("gold", 1))
        flusher._flush_ready()
        hearing.get(timeout=HANG_SECONDS)
        last = far[0].recv(65_536)
    assert b'"rev":2' in last
    assert b'"rev":1' not in last


@pytest.mark.parametrize(
    ("modes", "old_seconds", "hurry_seconds", "expected"),
    [
        ("llll", 9, 9, "dacb" + "d"), ("llll", 0, 9, "ddacb"), ("llll", 0, 0, "dacb" + "d"),
        ("eeel", 0, 9, "dcba" + "d"), ("llle", 0, 9, "dacb" + "d"),
    ],
    ids=["newest", "before what is old", "a round that takes long is ended", "every gives way to none", "every waits"],
)
def test_whose_change_is_the_newest_is_served_first(
    by_turns: Hub, monkeypatch: pytest.MonkeyPatch, modes: str, old_seconds: float, hurry_seconds: float, expected: str
) -> None:
    monkeypatch.setattr(module, "_OLD_SECONDS", old_seconds)
    monkeypatch.setattr(module, "_HURRY_SECONDS", hurry_seconds)
    with watching(by_turns, "abcd", modes) as (flusher, far):
        for key in "abcd":
            by_turns.offer(change(key, 1))
            by_turns.spread()
        served: list[str] = []
        flush = flusher._flush

        def flushed(viewer: Viewer) -> None:
            flush(viewer)
            served.extend(viewer.keys)
            if served == ["d"]:
                by_turns.offer(change("a", 2))  # its turn would be the last
                by_turns.offer(change("d", 2))  # has had its turn

        monkeypatch.setattr(flusher, "_flush", flushed)
        flusher._flush_ready()
        flusher._flush_ready()
        assert "".join(served) == expected
        assert (b'"rev":1' in far[0].recv(65_536)) is (modes[0] == "e")


def test_what_is_too_much_for_one_write_waits_for_the_next_round_whatever_else_comes(by_turns: Hub) -> None:
    with watching(by_turns, ["gold", "silver"]) as (flusher, far):
        much = next(viewer for viewer in by_turns.viewers if "silver" in viewer.keys)
        for rev in range(1, 1001):
            much.send(change_frame(change("silver", rev), "e"))
        flusher._flush_ready()
        assert not flusher._ready
        flusher._wake_due()
        assert list(flusher._ready) == [much]
        flusher._flush_ready()
        assert received(far[1]).count(b'"upd"') == 1000
