"""Server-sent events: the same messages for clients whose way lets no WebSocket through."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from typing import Any

import gevent
import msgspec
from flask import Response, request
from gevent.event import Event

from kvcast.bus.workers import WorkerReport
from kvcast.draining import handing_over
from kvcast.errors import InvalidRequest, KvcastError
from kvcast.messages import CLOSE_UNAUTHORIZED, MESSAGE_MAX_REV, Subscribe
from kvcast.metrics import CLOSED, CONNECTIONS
from kvcast.tokens import Token
from kvcast.web.requests import query, single

from functions.push.deliveries import Deliveries
from functions.push.drain import LET_GO_SECONDS
from functions.push.flusher import interval_of
from functions.push.frames import Frame, control_frame
from functions.push.parts import Parts, check_pace
from functions.push.viewer import Viewer

_LAST_ID = re.compile(r"([0-9A-Za-z_-]{1,64})-([0-9]{1,19})")
_SINCE = re.compile(r"(.+):([0-9]{1,19})", re.DOTALL)  # a key may hold a colon, a rev does not
_NAMES = {"key": "keys", "prefix": "prefixes", "category": "categories"}
_HOW = ("mode", "max_rate", "epoch")
_CHECK_SECONDS = 0.5


class EventStream:
    """One stream. Its greenlet sends for itself, so nobody else waits for a slow reader."""

    def __init__(
        self, parts: Parts, report: WorkerReport, wanted: Subscribe, last_rev: int | None, token: Token | None
    ) -> None:
        self._parts = parts
        self._deliveries = Deliveries(report)
        self._wanted = wanted
        self._last_rev = last_rev
        self._token = token
        self._awake = Event()
        self.viewer = Viewer(lambda _viewer: self._awake.set(), queue_max=parts.settings.socket_queue_max)

    def lines(self) -> Iterator[bytes]:
        """The body. Ends when too much waits, and while the worker drains."""
        self.viewer.send(self._parts.hello())
        gevent.spawn(self._subscribe)  # a large snapshot is fetched while its beginning is sent
        beat_at = time.monotonic() + self._parts.settings.heartbeat_seconds
        leaves_at: float | None = None
        while not self.viewer.overflowed:
            if self._token is not None and not self._parts.keyring.holds(self._token):
                CLOSED.labels(str(CLOSE_UNAUTHORIZED)).inc()
                return  # the client comes back, and is told why
            now = time.monotonic()
            if leaves_at is None and (handing_over() or self.viewer.gone):
                most = LET_GO_SECONDS if self.viewer.gone else self._parts.settings.drain_seconds
                leaves_at = now + random.uniform(0, most)
            if leaves_at is not None and now >= leaves_at:
                self._parts.handed_over("sse")
                return
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
            self._awake.wait(_CHECK_SECONDS if again is None else min(_CHECK_SECONDS, max(0.0, again - now)))
            self._awake.clear()

    def _subscribe(self) -> None:
        try:
            self._parts.subscribe(self.viewer, self._wanted, self._token)
        except KvcastError as error:
            self.viewer.send(control_frame("error", **error.body()))

    def _known(self, frame: Frame) -> bool:
        # Revs of different keys may arrive out of order, so only the very change of Last-Event-ID is left out.
        return frame.change is not None and frame.change.rev == self._last_rev


def open_stream(parts: Parts, report: WorkerReport) -> Response:
    """GET /sse?key=...&prefix=...&category=...&mode=...&max_rate=...&since=KEY:REV&epoch=...

    Raises InvalidRequest, TooManyRequests, Unauthorized, Forbidden.
    """
    wanted = _wanted(query(request.environ, *_NAMES, *_HOW, "since"))
    last_epoch, last_rev = _last_id(request.headers.get("Last-Event-ID"))
    if last_epoch is not None:
        wanted = _resumed(wanted, last_epoch, last_rev)
    token = parts.keyring.identify(request.headers.get("Authorization"))
    parts.check_reading(wanted, token)  # here too: a refusal after the stream has begun could be no status
    address = request.remote_addr or ""
    parts.admit(address)
    stream = EventStream(parts, report, wanted, last_rev if last_epoch == parts.hub.epoch else None, token)
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


def _wanted(parameters: dict[str, list[str]]) -> Subscribe:
    named: dict[str, Any] = {field: parameters.get(name, []) for name, field in _NAMES.items()}
    if not any(named.values()):
        raise InvalidRequest("Name what to watch, as /sse?key=gold&key=btc, or with prefix or category.")
    how = {name: value for name in _HOW if (value := single(parameters, name)) is not None}
    since = dict(_since(text) for text in parameters.get("since", []))
    try:
        wanted = msgspec.convert({"op": "sub", **named, **how, "since": since}, Subscribe, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{error}. Give mode=latest or every, max_rate above 0 and up to 1000.") from None
    check_pace(wanted)
    return wanted.parsed()


def _since(text: str) -> tuple[str, int]:
    match = _SINCE.fullmatch(text)
    if not match:
        raise InvalidRequest(f"The parameter since is {text!r}; give a key and its rev, as since=gold:41.")
    return match[1], int(match[2])


def _last_id(text: str | None) -> tuple[str | None, int]:
    """(epoch, rev) of an event's id; the epoch is None when it is no id of ours."""
    match = _LAST_ID.fullmatch(text or "")
    if not match or int(match[2]) > MESSAGE_MAX_REV:
        return None, 0
    return match[1], int(match[2])


def _resumed(wanted: Subscribe, epoch: str, rev: int) -> Subscribe:
    """`wanted` as browsers repeat it by themselves: with the address of the beginning and the last event's id."""
    since = wanted.since if wanted.epoch in (None, epoch) else {}
    is_narrow = not (wanted.prefixes or wanted.categories)
    if is_narrow and len(wanted.keys) == 1:
        [key] = wanted.keys
        since = {key: max(rev, since.get(key, 0))}
    elif wanted.mode == "every" and not (is_narrow and since.keys() >= set(wanted.keys)):
        epoch = ""  # no epoch is called so: one id tells of one key, so ticks of the others may be missing
    return msgspec.structs.replace(wanted, since=since, epoch=epoch)
