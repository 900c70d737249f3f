"""What a watching client has seen: the filter that keeps a key from going back, and what a resume says.

Pure: no sockets, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

SINCE_MAX_BYTES = 3300  # the server closes a socket that sends more than 4096 in one frame
REV_BYTES = 28  # a rev of 19 digits, quotes, colon, commas


class Seen:
    """The newest rev of every key, within one epoch."""

    def __init__(self, revs: Mapping[str, int] | None = None, epoch: str | None = None) -> None:
        self.revs: dict[str, int] = dict(revs or {})
        self.epoch = epoch
        self._settled: dict[str, int] = {}  # while a resume is under way, the revs from before it

    def greeted(self, epoch: str) -> None:
        """A connection begins: revs of another epoch say nothing about this one."""
        if self.epoch is not None and self.epoch != epoch:
            self.revs.clear()
            self._settled.clear()
        self.epoch = epoch

    def resume_began(self) -> None:
        if not self._settled:
            self._settled = dict(self.revs)

    def resume_ended(self) -> None:
        self._settled = {}

    def resumable(self, keys: Iterable[str]) -> dict[str, int]:
        """What a resume may begin behind, where `keys` are watched by name.

        A pattern's ticks are replayed key by key, not in the order of revs: until all are here, none of them says that
        those with a lower rev came too.
        """
        if not self._settled:
            return dict(self.revs)
        return self._settled | {key: self.revs[key] for key in keys if key in self.revs}

    def newer(self, key: str, rev: int) -> bool:
        """Whether this rev is news; it is remembered when it is."""
        if rev <= self.revs.get(key, 0):
            return False
        self.revs[key] = rev
        return True


class Wanted(msgspec.Struct, frozen=True):
    """What a client watches, and how."""

    keys: tuple[str, ...]
    prefixes: tuple[str, ...]
    categories: tuple[str, ...]
    mode: str
    max_rate: float | None

    def messages(self, seen: Seen) -> tuple[list[bytes], bool]:
        """The `sub` messages of a new connection, each small enough for one frame, and whether they resume all.

        What a `since` has no room for comes as a snapshot, which `Seen` filters.
        """
        options: dict[str, Any] = {"op": "sub", "mode": self.mode}
        if self.max_rate is not None:
            options["max_rate"] = self.max_rate
        if seen.epoch is not None:
            options["epoch"] = seen.epoch
        revs = seen.resumable(self.keys)
        parts: list[dict[str, Any]] = [
            {"keys": keys, "since": {key: revs[key] for key in keys if key in revs}} for keys in _chunks(self.keys)
        ]
        others = sorted(revs.keys() - set(self.keys))
        complete = True
        for prefix in self.prefixes:
            matching = [key for key in others if key.startswith(prefix)]
            parts.append({"prefixes": [prefix], "since": _those_that_fit(revs, matching)})
            complete = complete and len(parts[-1]["since"]) == len(matching)
        for category in self.categories:
            parts.append({"categories": [category], "since": _those_that_fit(revs, others)})
            complete = complete and len(parts[-1]["since"]) == len(others)
        return [msgspec.json.encode({**options, **part}) for part in parts], complete


def _those_that_fit(revs: Mapping[str, int], keys: list[str]) -> dict[str, int]:
    """The revs of as many `keys` as one frame has room for."""
    since: dict[str, int] = {}
    left = SINCE_MAX_BYTES
    for key in keys:
        left -= len(key.encode()) + REV_BYTES
        if left < 0:
            break
        since[key] = revs[key]
    return since


def _chunks(keys: tuple[str, ...]) -> list[list[str]]:
    """Keys by the frame: each is named twice, in `keys` and in `since`."""
    chunks: list[list[str]] = []
    left = 0
    for key in keys:
        left -= 2 * len(key.encode()) + REV_BYTES
        if left < 0 or not chunks:
            chunks.append([])
            left = SINCE_MAX_BYTES - 2 * len(key.encode()) - REV_BYTES
        chunks[-1].append(key)
    return chunks
