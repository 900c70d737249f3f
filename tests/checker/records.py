"""What a history is made of: one JSON line for each call that was answered or given up, and each message received.

`at` is time.monotonic_ns(), which on Linux all processes share, so the files of a folder are one history: of a call
when it ended (`took` before that it was sent), of a message when it came. `who` is a client.
"""

from __future__ import annotations

import time
from typing import Literal

import msgspec

Mode = Literal["latest", "every"]
UNREACHABLE = "unreachable"  # code of a call that was never sent


class Record(msgspec.Struct, tag_field="what", kw_only=True, omit_defaults=True, gc=False):
    at: int
    who: str


class Call(Record, kw_only=True):
    """status: 0 where no answer came; code: of the error; rev: that was answered, 0 for none. took: nanoseconds.

    id: the Idempotency-Key, the same in each attempt of one write.
    """

    url: str = ""
    took: int = 0
    status: int = 0
    code: str = ""
    rev: int = 0
    id: str = ""

    @property
    def sent_at(self) -> int:
        return self.at - self.took

    @property
    def unknown(self) -> bool:
        """Whether it may have been applied, though nobody said so."""
        if self.status in (0, 500, 502, 504):
            return self.code != UNREACHABLE
        return self.status == 503 and self.code in ("", "outcome_unknown")


class Add(Call, tag="add", kw_only=True):
    """if_rev: what If-Match demanded, or 0 for `If-None-Match: *`."""

    key: str
    value: str
    category: str = ""
    if_rev: int | None = None


class Delete(Call, tag="delete", kw_only=True):
    key: str
    if_rev: int | None = None


class Item(msgspec.Struct, array_like=True, gc=False):
    """One write of a batch. code: of its own error."""

    key: str
    value: str
    category: str = ""
    rev: int = 0
    code: str = ""


class Batch(Call, tag="batch", kw_only=True):
    items: list[Item]


class Get(Call, tag="get", kw_only=True):
    """known: the rev of If-None-Match; value: None where none came. final: asked when all had settled."""

    key: str
    value: str | None = None
    min_rev: int = 0
    known: int = 0
    final: bool = False


class Open(Record, tag="open", kw_only=True):
    """A viewer connects and asks for this; since: what it has, within `epoch`."""

    url: str = ""
    via: Literal["ws", "sse"] = "ws"
    mode: Mode = "latest"
    max_rate: float = 0.0
    keys: list[str] = []
    prefixes: list[str] = []
    categories: list[str] = []
    since: dict[str, int] = {}
    epoch: str = ""


class Hello(Record, tag="hello", kw_only=True):
    epoch: str
    server: str = ""


class Seen(msgspec.Struct, array_like=True, gc=False):
    """A change as a viewer is shown it; value: None for a deletion. recovered: False: ticks are missing before it."""

    op: Literal["snap", "upd", "del"]
    key: str
    rev: int
    value: str | None = None
    recovered: bool = True


class Got(Record, tag="got", kw_only=True):
    """What one message held."""

    changes: list[Seen]


class Subbed(Record, tag="subbed", kw_only=True):
    keys: list[str] = []
    absent: list[str] = []
    recovered: bool = True


class Refused(Record, tag="refused", kw_only=True):
    """A viewer could not connect, or was answered an error."""

    url: str = ""
    status: int = 0
    code: str = ""


class Closed(Record, tag="closed", kw_only=True):
    """by: who ended the connection; cut: it broke without a goodbye, silent: nothing was heard for too long.

    refused: it never came about.
    """

    by: Literal["server", "client", "cut", "silent", "refused"] = "cut"
    code: int = 0


class Fault(Record, tag="fault", kw_only=True):
    """drains: the URL of a push function that was told to stop, so that it owes its viewers a goodbye.

    voids_from: of a restored backup, when taking it began: from then to the restore's end nothing counts.
    """

    name: str
    phase: Literal["begin", "end"]
    drains: str = ""
    voids_from: int = 0


class End(Record, tag="end", kw_only=True):
    """The client's process is done: its file is whole. settled: it saw everything converge."""

    settled: bool = True


Any = Add | Delete | Batch | Get | Open | Hello | Got | Subbed | Refused | Closed | Fault | End
decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Any)


def now() -> int:
    return time.monotonic_ns()
