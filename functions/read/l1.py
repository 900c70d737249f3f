"""Hot values in this process, kept right by the bus.

Two rules make it safe. It is only asked while the subscription is alive (see Lookup), and what a lookup brings
is not kept when something newer was heard of the key since the lookup began.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime

import msgspec

from kvcast.messages import Change, decode_record
from kvcast.web.answers import JSON, Headers

_OVERHEAD_BYTES = 1000  # of the objects of one entry, measured with tracemalloc


class Entry(msgspec.Struct, frozen=True):
    """A change with what GET /get answers for it, prepared."""

    change: Change
    body: bytes
    etag: str
    headers: Headers


def make_entry(change: Change, source: str) -> Entry:
    """Prepare the answer for a live `change`; source: l1, redis or database."""
    expires = b',"expiresAt":%s' % _iso(change.expires_ms) if change.expires_ms else b""
    body = b'{%s%s,"source":"%s"}' % (change.members(), expires, source.encode())
    etag = f'"{change.rev}"'
    return Entry(change, body, etag, [JSON, ("ETag", etag), ("X-Cache", source)])


def _iso(expires_ms: int) -> bytes:
    return msgspec.json.encode(datetime.fromtimestamp(expires_ms / 1000, UTC))


class L1:
    """Least recently used first out. guard=False keeps whatever a lookup brings; for tests."""

    def __init__(self, max_bytes: int, *, guard: bool = True) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._guard = guard
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._fetching: dict[str, list[int]] = {}  # key -> [lookups under way, newest rev heard meanwhile]

    def get(self, key: str) -> Entry | None:
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def begin(self, key: str) -> None:
        """A lookup of `key` starts; `put` or `abandon` must follow."""
        self._fetching.setdefault(key, [0, 0])[0] += 1

    def put(self, key: str, change: Change) -> None:
        """Keep what a lookup found, unless the bus has brought something newer since it began."""
        heard = self._end(key)
        if self._guard and heard > change.rev:
            return
        held = self._entries.get(key)
        if held is None or held.change.rev < change.rev or not self._guard:
            self._store(key, make_entry(change, "l1"))

    def abandon(self, key: str) -> None:
        self._end(key)

    def heard(self, record: bytes) -> None:
        """A message of the bus."""
        change = decode_record(record)
        fetching = self._fetching.get(change.key)
        if fetching is not None:
            fetching[1] = max(fetching[1], change.rev)
        held = self._entries.get(change.key)
        if held is not None and held.change.rev < change.rev:
            self._store(change.key, make_entry(change, "l1"))

    def clear(self) -> None:
        self._entries.clear()
        self._bytes = 0
        for fetching in self._fetching.values():
            fetching[1] = 2**63  # what was published while nobody listened is unknown: keep nothing of these

    def _end(self, key: str) -> int:
        fetching = self._fetching[key]
        fetching[0] -= 1
        if not fetching[0]:
            del self._fetching[key]
        return fetching[1]

    def _store(self, key: str, entry: Entry) -> None:
        held = self._entries.pop(key, None)
        if held is not None:
            self._bytes -= len(held.body) + _OVERHEAD_BYTES
        self._entries[key] = entry
        self._bytes += len(entry.body) + _OVERHEAD_BYTES
        while self._bytes > self._max_bytes and self._entries:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= len(oldest.body) + _OVERHEAD_BYTES
