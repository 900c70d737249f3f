"""One flusher for all sockets of a worker: whatever is due for a connection goes out in one write.

Ten updates joined into one write cost what one costs (docs/performance.md), so being late makes it faster.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import time
from collections.abc import Callable

import gevent
from gevent.event import Event

from kvcast.bus.workers import WorkerReport
from kvcast.loops import start_loop

from functions.push.deliveries import Deliveries
from functions.push.frames import Frame
from functions.push.hub import Hub
from functions.push.sockets import ViewerSocket
from functions.push.viewer import Viewer

_log = logging.getLogger(__name__)
_LATER_SECONDS = 10.0  # what is due later is looked at again then, so that nobody who left is held for long
_TURN = 100  # viewers served before others may run
_TURN_OVER_SECONDS = 1e-6  # not 0: gevent then lets run who is ready, and looks for input after 50 such turns only
_SPREAD_SECONDS = 0.005
_OLD_SECONDS = 0.02
_HURRY_SECONDS = 0.3  # the longest that the last value of a key which has gone quiet waits for keys that go on
_REST_TIMES = 3.0
_ROUND_SECONDS = 0.06  # of flushing and rest together
_SHORT_SECONDS = 0.001


class Flusher:
    def __init__(self, hub: Hub, report: WorkerReport) -> None:
        self._hub = hub
        self._deliveries = Deliveries(report)
        self._sockets: dict[Viewer, ViewerSocket] = {}
        self._on_overflow: dict[Viewer, Callable[[], None]] = {}
        # When something came for whom; the newest is the last.
        self._ready: dict[Viewer, float] = {}
        self._round: dict[Viewer, float] = {}  # those whose turn is still to come
        self._later: list[tuple[float, int, Viewer]] = []
        self._due: dict[Viewer, float] = {}  # when it is next in `_later`
        self._order = itertools.count()
        self._awake = Event()

    def start(self) -> None:
        self._hub.later = self._awake.set
        start_loop("flusher", self._run_for_ever)

    def attach(self, viewer: Viewer, socket: ViewerSocket, on_overflow: Callable[[], None]) -> None:
        """Serve `viewer` through `socket` from now on."""
        self._sockets[viewer] = socket
        self._on_overflow[viewer] = on_overflow
        self.wake(viewer)

    def detach(self, viewer: Viewer) -> None:
        self._sockets.pop(viewer, None)
        self._on_overflow.pop(viewer, None)
        self._ready.pop(viewer, None)
        self._round.pop(viewer, None)
        self._due.pop(viewer, None)

    def _give_up(self, viewer: Viewer) -> None:
        socket = self._sockets.get(viewer)
        self.detach(viewer)
        if socket is not None:
            socket.end()  # its client then connects again

    def wake(self, viewer: Viewer) -> None:
        """Something waits for `viewer`, or something newer does."""
        waiting = self._round if viewer in self._round else self._ready
        waiting.pop(viewer, None)
        waiting[viewer] = time.monotonic()
        self._awake.set()

    def _run_for_ever(self) -> None:
        while True:
            self._awake.wait(self._until_next())
            self._awake.clear()
            began = time.monotonic()
            self._wake_due()
            self._flush_ready()
            self._deliveries.count()
            gevent.sleep(rest_after(time.monotonic() - began))

    def _flush_ready(self) -> None:
        """Serve everybody once; what comes meanwhile reaches those whose turn is still to come, and they come first."""
        self._hub.spread()
        began = spread_at = time.monotonic()
        self._round, self._ready = self._ready, {}
        number = 0
        while self._round:
            viewer = self._next(hurried=spread_at - began > _HURRY_SECONDS)
            number += 1
            try:
                self._flush(viewer)
            except Exception:  # one viewer must not end the service of the others
                _log.exception("A viewer could not be served for a reason that nobody foresaw")
                self._give_up(viewer)
            if number % _TURN == 0:
                gevent.sleep(_TURN_OVER_SECONDS)
                if time.monotonic() - spread_at >= _SPREAD_SECONDS:
                    self._hub.spread()
                    spread_at = time.monotonic()

    def _next(self, *, hurried: bool) -> Viewer:
        """Of the round the one whose change is the newest. Unless hurried, an old one gives way to who has had a turn.

        What is old is soon replaced where keys change all the time: so everybody is sent what has just come, each time
        or every other time. Served in their order, half of what a full worker sent was over 60 ms old. Frames of mode
        every are not replaced: they give way to none, and those that are late are joined.
        """
        viewer, since = self._round.popitem()
        if self._ready and not hurried and not viewer.waiting:
            other, other_since = self._ready.popitem()
            if other_since > since + _OLD_SECONDS and not other.waiting:
                self._round[viewer] = since
                return other
            self._ready[other] = other_since
        return viewer

    def _until_next(self) -> float | None:
        return max(0.0, self._later[0][0] - time.monotonic()) if self._later else None

    def _wake_due(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            due, _, viewer = heapq.heappop(self._later)
            if self._due.get(viewer) == due:
                del self._due[viewer]
                self._ready[viewer] = now

    def _flush(self, viewer: Viewer) -> None:
        socket = self._sockets.get(viewer)
        if socket is None or socket.over:
            return
        if viewer.overflowed:
            self._on_overflow[viewer]()
            return
        if socket.busy:
            return  # it is woken again when it is free
        now = time.monotonic()
        frames, again = viewer.collect(now, lambda frame: interval_of(self._hub, viewer, frame))
        if frames:
            socket.send(*[frame.websocket for frame in frames])
            self._deliveries.add(frames)
        if again is not None:
            self._wake_at(viewer, min(again, now + _LATER_SECONDS))

    def _wake_at(self, viewer: Viewer, due: float) -> None:
        if due < self._due.get(viewer, math.inf):
            self._due[viewer] = due
            heapq.heappush(self._later, (due, next(self._order), viewer))


def rest_after(flushing_seconds: float) -> float:
    """How long to let changes gather after a flush that took so long.

    Sending costs the same for one change as for ten. So where a flush is long, because viewers are many, the next one
    waits and joins more; where they are few it is short, and nobody waits. A quiet key's change always goes at once.
    """
    if flushing_seconds < _SHORT_SECONDS:
        return 0.0
    return max(0.0, min(_REST_TIMES * flushing_seconds, _ROUND_SECONDS - flushing_seconds))


def interval_of(hub: Hub, viewer: Viewer, frame: Frame) -> float:
    watch = hub.watch_of(viewer, frame)
    return watch.interval_seconds if watch is not None else 0.0
