"""Server-sent events: the same messages for clients whose way lets no WebSocket through."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import gevent
from flask import Response, request
from gevent.event import Event

from kvcast.bus.workers import WorkerReport
from kvcast.draining import draining
from kvcast.errors import InvalidRequest, KvcastError
from kvcast.messages import Subscribe
from kvcast.metrics import CONNECTIONS
from kvcast.web.requests import query

from functions.push.deliveries import Deliveries
from functions.push.flusher import interval_of
from functions.push.frames import Frame, control_frame
from functions.push.parts import Parts
from functions.push.viewer import Viewer

_LAST_ID = re.compile(r"([0-9A-Za-z_-]{1,64})-([0-9]{1,19})")
_CHECK_SECONDS = 0.5


class EventStream:
    """One stream. Its greenlet sends for itself, so nobody else waits for a slow reader."""

    def __init__(self, parts: Parts, report: WorkerReport, wanted: Subscribe, last_rev: int | None) -> None:
        self._parts = parts
        self._deliveries = Deliveries(report)
        self._wanted = wanted
        self._last_rev = last_rev
        self._awake = Event()
        self.viewer = Viewer(lambda _viewer: self._awake.set(), queue_max=parts.settings.socket_queue_max)

    def lines(self) -> Iterator[bytes]:
        """The body. Ends when too much waits, or when the worker drains."""
        self.viewer.send(self._parts.hello())
        gevent.spawn(self._subscribe)  # a large snapshot is fetched while its beginning is sent
        beat_at = time.monotonic() + self._parts.settings.heartbeat_seconds
        while not self.viewer.overflowed:
            now = time.monotonic()
            if now >= beat_at:
                beat_at = now + self._parts.settings.heartbeat_seconds
                self.viewer.send(control_frame("hb", time=time.time()))
            frames, again = self.viewer.collect(now, lambda frame: interval_of(self._parts.hub, self.viewer, frame))
            frames = [frame for frame in frames if not self._known(frame)]
            if frames:
                yield b"".join([frame.sse for frame in frames])
                self._deliveries.add(frames)
                self._deliveries.count()
                continue
            if draining():
                return
            self._awake.wait(_CHECK_SECONDS if again is None else min(_CHECK_SECONDS, max(0.0, again - now)))
            self._awake.clear()

    def _subscribe(self) -> None:
        try:
            self._parts.subscribe(self.viewer, self._wanted)
        except KvcastError as error:
            self.viewer.send(control_frame("error", **error.body()))

    def _known(self, frame: Frame) -> bool:
        # Revs of different keys may arrive out of order, so only the very change of Last-Event-ID is left out.
        return frame.change is not None and frame.change.rev == self._last_rev


def open_stream(parts: Parts, report: WorkerReport) -> Response:
    """GET /sse?key=...&prefix=...&category=... Raises InvalidRequest, TooManyRequests."""
    parameters = query(request.environ, "key", "prefix", "category")
    wanted = Subscribe(
        keys=parameters.get("key", []),
        prefixes=parameters.get("prefix", []),
        categories=parameters.get("category", []),
    ).parsed()
    if not (wanted.keys or wanted.prefixes or wanted.categories):
        raise InvalidRequest("Name what to watch, as /sse?key=gold&key=btc, or with prefix or category.")
    address = request.remote_addr or ""
    parts.admit(address)
    stream = EventStream(parts, report, wanted, _last_rev(parts.hub.epoch, request.headers.get("Last-Event-ID")))
    sock = getattr(request.environ.get("gunicorn.socket"), "settimeout", None)
    if sock is not None:
        sock(parts.settings.send_timeout_seconds)

    def body() -> Iterator[bytes]:
        parts.hub.add(stream.viewer)
        CONNECTIONS.labels("sse").inc()
        try:
            yield from stream.lines()
        finally:
            parts.hub.remove(stream.viewer)
            CONNECTIONS.labels("sse").dec()

    response = Response(
        body(),
        content_type="text/event-stream; charset=utf-8",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
    response.call_on_close(lambda: parts.leave(address))  # not in `body`, which nobody begins to read after a HEAD
    return response


def _last_rev(epoch: str, last_id: str | None) -> int | None:
    match = _LAST_ID.fullmatch(last_id or "")
    return int(match[2]) if match and match[1] == epoch else None
