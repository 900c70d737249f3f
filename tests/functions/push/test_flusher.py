from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gevent
import pytest

from kvcast.bus.workers import WorkerReport
from tests.functions.push.changing import change
from tests.functions.push.test_sockets import Told
from tests.polling import HANG_SECONDS

from functions.push import flusher as module
from functions.push.flusher import Flusher, rest_after
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
def watching(hub: Hub, keys: Sequence[str]) -> Iterator[tuple[Flusher, list[Any]]]:
    """A flusher with a viewer of each of `keys`, and the far ends of their sockets."""
    flusher = Flusher(hub, WorkerReport("push", "unix:///nowhere"))
    pairs = [gevent.socket.socketpair() for _ in keys]
    sockets = []
    for key, (near, _) in zip(keys, pairs, strict=True):
        viewer = Viewer(flusher.wake)
        hub.add(viewer)
        hub.watch(viewer, Watch(), [key], [], [])
        sockets.append(ViewerSocket(taken_over(near), 1.0, Told()))
        flusher.attach(viewer, sockets[-1], lambda: pytest.fail("overflowed"))
    yield flusher, [far for _, far in pairs]
    for socket, (_, far) in zip(sockets, pairs, strict=True):
        socket.end()
        far.close()


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


def test_whose_change_is_the_newest_is_served_first_and_everybody_once_a_round(
    by_turns: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ["a", "b", "c", "d"]
    with watching(by_turns, keys) as (flusher, far):
        for key in keys:
            by_turns.offer(change(key, 1))
        served: list[str] = []
        flush = flusher._flush

        def flushed(viewer: Viewer) -> None:
            flush(viewer)
            served.extend(viewer.keys)
            if served == ["d"]:
                by_turns.offer(change("a", 2))  # its turn was the last
                by_turns.offer(change("d", 2))  # has had its turn

        monkeypatch.setattr(flusher, "_flush", flushed)
        flusher._flush_ready()
        assert served == ["d", "a", "c", "b"]
        flusher._flush_ready()
        assert served == ["d", "a", "c", "b", "d"]
        assert b'"rev":1' not in far[0].recv(65_536)
