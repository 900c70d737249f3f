"""What one connection watches, and what waits to be sent to it. Pure: no I/O, no clock of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from functions.push.frames import Frame

WRITE_MOST_BYTES = 262_144  # in one write, but for one frame more
QUEUE_MOST_BYTES = 33_554_432  # that wait, besides what a subscribe asked for
ROOM_FRAMES, ROOM_BYTES = 1000, 262_144  # more waiting than this, and a snapshot is read no further


class Watch(msgspec.Struct, frozen=True):
    """How changes are wanted. interval_seconds: least time between two updates of a key, in mode latest.

    base: with every, the last rev that was drawn when the watch began, 0: not known. The first tick heard of a key
    has a gap before it when the one before it is above base.
    """

    every: bool = False
    interval_seconds: float = 0.0
    base: int = 0


class Viewer:
    """In mode latest a slow viewer costs one entry a key, in mode every at most `queue_max` frames.

    An entry is a reference: a frame's bytes are those of all viewers that it waits for, and QUEUE_MOST_BYTES at most.
    """

    def __init__(self, wake: Callable[[Viewer], None], *, queue_max: int = 5000) -> None:
        self._wake = wake
        self._queue_max = queue_max
        self.keys: dict[str, Watch] = {}
        self.prefixes: dict[str, Watch] = {}
        self.categories: dict[str, Watch] = {}
        self.paced = False  # whether it ever wanted an interval
        self.overflowed = False
        self.gone = False
        self._queue: deque[Frame] = deque()  # sent in order
        self._queued_bytes = 0
        self._room = queue_max  # what a subscribe asked for comes on top, until the queue was empty
        self._room_bytes = QUEUE_MOST_BYTES
        self._on_room: Callable[[], object] | None = None
        self._newest: dict[str, Frame] = {}  # mode latest: the last of each key
        self._due: dict[str, float] = {}
        self._floor: dict[str, int] = {}  # per key, a rev that this viewer has and must not see again
        self._held: dict[str, list[Frame]] | None = None  # while a subscribe reads: what came meanwhile
        self._held_keys: frozenset[str] | None = None  # None: every key

    @property
    def watched(self) -> int:
        return len(self.keys) + len(self.prefixes) + len(self.categories)

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def waiting_bytes(self) -> int:
        return self._queued_bytes

    @property
    def has_room(self) -> bool:
        """Whether little waits, so that more of a snapshot may be read."""
        return self._queued_bytes <= ROOM_BYTES and len(self._queue) <= ROOM_FRAMES

    def when_room(self, call: Callable[[], object]) -> None:
        """Have `call` called, once, when there is room or the viewer has gone."""
        self._on_room = call

    def leave(self) -> None:
        """It is served no more."""
        self.gone = True
        self._tell_room()

    def _tell_room(self) -> None:
        call, self._on_room = self._on_room, None
        if call is not None:
            call()

    def send(self, frame: Frame) -> None:
        """Queue a frame behind those that wait."""
        is_first = not self._queue
        self._queue.append(frame)
        self._queued_bytes += len(frame.payload)
        if len(self._queue) > self._room or self._queued_bytes > self._room_bytes:
            self.overflowed = True
        if is_first or self.overflowed:
            self._wake(self)

    def take(self, frame: Frame, watch: Watch) -> None:
        """A change of a key that this viewer watches."""
        assert frame.change is not None
        key, rev = frame.change.key, frame.change.rev
        if rev <= self._floor.get(key, 0):
            return
        if self._held is not None and (self._held_keys is None or key in self._held_keys):
            held = self._held.setdefault(key, [])
            if not watch.every:
                held.clear()
            held.append(frame)
            if len(held) > self._queue_max:
                self.overflowed = True
            return
        self._floor.pop(key, None)
        if watch.every:
            self.send(frame)
        else:
            waits = key in self._newest and self._due  # for its time, since the one before
            self._newest[key] = frame
            if not waits:
                self._wake(self)

    def restart_pace(self) -> None:
        """What is wanted has changed: a wait that an earlier rate asked for is over."""
        self._due.clear()
        if self._newest:
            self._wake(self)

    def hold(self, keys: frozenset[str] | None) -> None:
        """Keep what arrives for `keys` (None: for any) until `release`: a snapshot is being read."""
        self._held = {}
        self._held_keys = keys

    def take_held(self, key: str) -> list[Frame]:
        """What arrived for `key` since `hold`, in order; it is no longer held."""
        return self._held.pop(key, []) if self._held is not None else []

    def release(self, watch_of: Callable[[Frame], Watch | None]) -> None:
        """Stop holding; what is still held is delivered."""
        held, self._held = self._held or {}, None
        for frames in held.values():
            for frame in frames:
                watch = watch_of(frame)
                if watch is not None:
                    self.take(frame, watch)

    def snapshot(self, frame: Frame) -> None:
        """Queue the state of a key; nothing at or below its rev follows."""
        assert frame.change is not None
        key, rev = frame.change.key, frame.change.rev
        waiting = self._newest.get(key)
        if waiting is not None and waiting.change is not None and waiting.change.rev <= rev:
            del self._newest[key]
        self.seen(key, rev)
        self._room += 1  # what one subscribe asks for is bounded by the store's limits
        self._room_bytes += len(frame.payload)
        self.send(frame)

    def seen(self, key: str, rev: int) -> None:
        """The client has `rev` of `key` already: deliver only what is newer."""
        if rev > self._floor.get(key, 0):
            self._floor[key] = rev

    def forget(self, key: str) -> None:
        """The key is no longer watched: what waits of it is dropped."""
        self._newest.pop(key, None)
        self._due.pop(key, None)
        self._floor.pop(key, None)

    def collect(
        self, now: float, interval_of: Callable[[Frame], float], most: int = 500
    ) -> tuple[list[Frame], float | None]:
        """(at most `most` frames and WRITE_MOST_BYTES to send now, when to ask again or None).

        `now` itself means that more wait already. What is handed out is no longer waiting here.
        """
        if len(self._newest) == 1 and not self._queue and not self.paced:  # so it is nearly always: 3.0 us became 1.9
            frames = list(self._newest.values())
            self._newest.clear()
            return frames, None
        frames = []
        size = 0
        while self._queue and len(frames) < most and size < WRITE_MOST_BYTES:
            frames.append(self._queue.popleft())
            size += len(frames[-1].payload)
        self._queued_bytes -= size
        if not self._queue:
            self._room, self._room_bytes = self._queue_max, QUEUE_MOST_BYTES
        if self._on_room is not None and self.has_room:
            self._tell_room()
        again: float | None = now if self._queue else None
        if self._queue or not self._newest:
            return frames, again
        waiting, self._newest = self._newest, {}
        for key, frame in waiting.items():
            due = self._due.get(key, 0.0)
            if len(frames) >= most or size >= WRITE_MOST_BYTES or due > now:
                self._newest[key] = frame
                due = max(due, now)
                again = due if again is None else min(again, due)
                continue
            interval = interval_of(frame)
            if interval:
                self._due[key] = now + interval
            frames.append(frame)
            size += len(frame.payload)
        return frames, again
