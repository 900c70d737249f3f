"""What a watching client is told: changes of keys, and notices about its connection."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from kvcast.items import decode_value


class Update(msgspec.Struct, frozen=True):
    """One change of one key.

    raw: the JSON text exactly as it was written; deleted: the key is gone, and value is None;
    snapshot: the value that was current when the watch began or resumed; updated_at: RFC 3339 in UTC.
    """

    key: str
    value: Any
    raw: bytes
    rev: int
    category: str | None = None
    updated_at: str | None = None
    deleted: bool = False
    snapshot: bool = False


class Notice(msgspec.Struct, frozen=True):
    """What happened to the connection. gap: ticks of mode "every" were missed; absent: `keys` do not exist."""

    kind: Literal["connected", "disconnected", "gap", "absent"]
    message: str
    keys: tuple[str, ...] = ()


class Frame(msgspec.Struct, rename="camel"):
    """One message of the server, whatever its op."""

    op: str
    key: str = ""
    value: msgspec.Raw = msgspec.Raw(b"null")
    rev: int = 0
    updated_at: str | None = None
    category: str | None = None
    epoch: str = ""
    absent: tuple[str, ...] = ()
    recovered: bool = True
    code: str = ""
    message: str = ""
    time: float | None = None


_object = msgspec.json.Decoder(Frame)
_array = msgspec.json.Decoder(list[Frame])


def decode_frame(text: str | bytes) -> list[Frame]:
    """One object or an array of them."""
    data = text.encode() if isinstance(text, str) else text
    return _array.decode(data) if data.lstrip()[:1] == b"[" else [_object.decode(data)]


def update_of(frame: Frame) -> Update:
    """What a `snap`, `upd` or `del` tells."""
    raw = bytes(frame.value)
    return Update(
        frame.key,
        decode_value(raw),
        raw,
        frame.rev,
        frame.category,
        frame.updated_at,
        deleted=frame.op == "del",
        snapshot=frame.op == "snap",
    )
