"""What the load notes, and how it is handed from its process to the test."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

Kind = Literal["add", "batch", "get"]


class Plan(msgspec.Struct, kw_only=True):
    """What a load does. address: where the ingress answers; host: what it routes by; rates are per second."""

    address: tuple[str, int]
    host: str
    token: str
    keys: list[str]
    records: str
    adds: float = 40.0
    batches: float = 5.0
    gets: float = 100.0
    batch_items: int = 4
    callers: int = 4  # threads of each kind of call
    min_rev: bool = True  # half of the reads ask for what was acknowledged last
    viewers: int = 50
    keys_per_viewer: int = 2
    keeps_cookie: bool = True
    stays_seconds: float | None = None  # a viewer leaves after so long, and comes back
    silence_seconds: float = 25.0  # a viewer that hears nothing for so long comes back


class Acknowledged(msgspec.Struct, array_like=True, frozen=True):
    at: float
    key: str
    rev: int
    value: int


class Failure(msgspec.Struct, array_like=True, frozen=True):
    """status: 0 where no answer came; code: of the JSON error, empty where there was none."""

    at: float
    kind: Kind
    status: int
    reason: str
    code: str = ""
    retry_after: str = ""


class Answered(msgspec.Struct, array_like=True, frozen=True):
    at: float
    kind: Kind
    seconds: float


class Event(msgspec.Struct, array_like=True, frozen=True):
    """op: of the frame, or `closed` (rev: the code), or `refused`. text: the server's name, or a reason."""

    at: float
    op: str
    key: str = ""
    rev: int = 0
    value: str | None = None
    told: bool = False
    text: str = ""


class Viewer(msgspec.Struct):
    mode: Literal["latest", "every"]
    keys: list[str]
    events: list[Event] = []


class Records(msgspec.Struct):
    """Times are Unix seconds. too_old: (asked, got) of reads with min_rev."""

    acknowledged: list[Acknowledged] = []
    failures: list[Failure] = []
    answered: list[Answered] = []
    too_old: list[tuple[int, int]] = []
    viewers: list[Viewer] = []


class Report(msgspec.Struct):
    """How a load fares. behind: (viewer, key) pairs that do not show the newest acknowledged rev."""

    acknowledged: int
    answered: int
    failed: int
    connected: int
    behind: int


def save(records: Records, path: Path) -> None:
    path.write_bytes(msgspec.json.encode(records))


def load(path: Path) -> Records:
    return msgspec.json.decode(path.read_bytes(), type=Records)
