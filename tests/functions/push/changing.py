"""Changes and viewers without any I/O, for the tests of what is pure."""

from __future__ import annotations

from typing import Any

import msgspec

from kvcast.messages import Change

from functions.push.flusher import interval_of
from functions.push.frames import Frame
from functions.push.hub import Hub
from functions.push.viewer import Viewer


def change(key: str, rev: int, prev: int = 0, *, category: str = "c", deleted: bool = False) -> Change:
    return Change(key, None if deleted else b"%d" % rev, category, rev, prev, "2026-01-05T12:00:00.123456Z")


def viewer(queue_max: int = 5000) -> Viewer:
    return Viewer(lambda _: None, queue_max=queue_max)


def collected(hub: Hub, viewer: Viewer, now: float = 0.0, most: int = 500) -> list[Frame]:
    return viewer.collect(now, lambda frame: interval_of(hub, viewer, frame), most)[0]


def drained(hub: Hub, viewer: Viewer) -> list[Frame]:
    """Everything that waits, at a time when all of it is due."""
    frames: list[Frame] = []
    while some := collected(hub, viewer, now=1e9):
        frames += some
    return frames


def revs(frames: list[Frame]) -> list[int]:
    return [frame.change.rev for frame in frames if frame.change is not None]


def objects(frames: list[Frame]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(frame.payload) for frame in frames]
