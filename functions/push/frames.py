"""A message to viewers, encoded once however many get it."""

from __future__ import annotations

import weakref
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from kvcast.messages import Change, server_frame


def websocket_text(payload: bytes) -> bytes:
    """An unmasked, unfragmented text frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81" + bytes((size,)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


class Frame:
    """payload: one JSON object; change: what it carries, if anything."""

    def __init__(self, payload: bytes, change: Change | None = None, epoch: str = "") -> None:
        self.payload = payload
        self.change = change
        self._epoch = epoch
        self._snapshot: weakref.ref[Frame] | None = None

    @cached_property
    def websocket(self) -> bytes:
        return websocket_text(self.payload)

    @cached_property
    def sse(self) -> bytes:
        name = b"id: %s-%d\n" % (self._epoch.encode(), self.change.rev) if self.change and self._epoch else b""
        return name + b"data: " + self.payload + b"\n\n"

    def snapshot(self) -> Frame:
        """What shows this change as the state of its key: one for all who are sent it at the same time."""
        assert self.change is not None
        shared = self._snapshot() if self._snapshot is not None else None
        if shared is None:
            shared = change_frame(self.change, self._epoch, "snap")
            self._snapshot = weakref.ref(shared)
        return shared

    @cached_property
    def committed_at(self) -> float | None:
        """Unix seconds by PostgreSQL's clock; None where nothing was committed."""
        if self.change is None or not self.change.rev:
            return None
        return datetime.fromisoformat(self.change.updated_at).timestamp()


def change_frame(
    change: Change, epoch: str, op: Literal["upd", "snap"] = "upd", *, recovered: bool = True
) -> Frame:
    """recovered: False says that ticks are missing before it. It stands in the frame itself, which may be the last
    one that a viewer gets, and the next resume begins behind it.
    """
    payload = change.frame(op)
    return Frame(payload if recovered else payload[:-1] + b',"recovered":false}', change, epoch)


def control_frame(op: str, **members: Any) -> Frame:
    return Frame(server_frame(op, **members))
