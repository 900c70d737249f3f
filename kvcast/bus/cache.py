"""The newest known change of each key, and its last ticks, in Redis.

Everything is written through one script, of one key's changes at a time: what is not newer never replaces what is
there, and is never published twice. Revs are compared as text (length, then characters), because a Lua number is a
double and wrong above 2^53.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import redis
from redis.exceptions import NoScriptError

from kvcast.bus.connection import Breaker
from kvcast.bus.pipelining import run_all
from kvcast.messages import DEFAULT_CATEGORY, Change, decode_record, encode_record

ABSENT_SECONDS = 5
# `pub` apart from `rev`: a cache fill may store a rev before its writer publishes it, and must not silence it.
# Stored first: a Redis that refuses to be written publishes all the same, and who hears that takes it for stored.
# ARGV: milliseconds to live, ticks to keep, the channel or nothing, then rev and record of each change of the key.
_SCRIPT = """
local ttl, window, channel = ARGV[1], ARGV[2], ARGV[3]
local held = redis.call('HMGET', KEYS[1], 'rev', 'pub')
local function newer(rev, than)
  return %s or not than or #rev > #than or (#rev == #than and rev > than)
end
local rev, pub, record, due = held[1], held[2], nil, {}
for at = 4, #ARGV, 2 do
  local one = ARGV[at]
  if newer(one, rev) then
    rev, record = one, ARGV[at + 1]
  end
  if channel ~= '' and newer(one, pub) then
    pub = one
    due[#due + 1] = at
  end
end
if record and #due > 0 then
  redis.call('HSET', KEYS[1], 'rev', rev, 'rec', record, 'pub', pub)
elseif record then
  redis.call('HSET', KEYS[1], 'rev', rev, 'rec', record)
elseif #due > 0 then
  redis.call('HSET', KEYS[1], 'pub', pub)
end
if record then
  redis.call('PEXPIRE', KEYS[1], ttl)
end
for _, at in ipairs(due) do
  if window ~= '0' then
    redis.pcall('XADD', KEYS[2], 'MAXLEN', '~', window, ARGV[at] .. '-0', 'r', ARGV[at + 1])
  end
  redis.call('PUBLISH', channel, ARGV[at + 1])
end
if #due > 0 and window ~= '0' then
  redis.call('PEXPIRE', KEYS[2], ttl)
end
return #due
"""


class Cache:
    """Guarded access to Redis for one epoch of the store.

    window: ticks of a key that are kept for mode `every`; guard=False switches the guard off, for tests.
    Every method raises BusUnavailable.
    """

    def __init__(
        self, client: redis.Redis, epoch: str, *, ttl_seconds: float, window: int, guard: bool = True
    ) -> None:
        self._client = client
        self.epoch = epoch
        self._prefix = f"kvcast:{epoch}"
        self.channel = f"{self._prefix}:changes"
        self._ttl_ms = ttl_seconds * 1000
        self._window = str(window)
        self._script = _SCRIPT % ("false" if guard else "true")
        self._digest: str | None = None
        self.breaker = Breaker()

    def publish(self, changes: Iterable[Change]) -> int:
        """Store and publish each change that is newer; returns how many were published."""
        runs = groupby(changes, attrgetter("key"))  # together only what is in a row: the order of all is kept
        return sum(self._run([(list(run), self._ttl(), self.channel) for _, run in runs]))

    def fill(self, changes: Iterable[Change]) -> None:
        """Store what was read from PostgreSQL, unless something newer is there; publish nothing."""
        self._run([([change], self._ttl(), "") for change in changes])

    def fill_absent(self, keys: Iterable[str]) -> None:
        """Remember for a few seconds that these keys do not exist; any write beats that."""
        self._run([([absent(key)], ABSENT_SECONDS * 1000, "") for key in keys])

    def get(self, keys: Sequence[str]) -> list[Change | None]:
        """What is cached of each key, in order: a change (rev 0: known to be absent), or None."""
        with self.breaker.guard():
            if len(keys) == 1:
                records: list[Any] = [self._client.hget(self._hash(keys[0]), "rec")]
            else:
                pipeline = self._client.pipeline(transaction=False)
                for key in keys:
                    pipeline.hget(self._hash(key), "rec")
                records = pipeline.execute()
        return [decode_record(record) if record else None for record in records]

    def ticks_after(self, key: str, rev: int) -> list[Change]:
        """The ticks with a rev above `rev` that the window still holds, in order."""
        with self.breaker.guard():
            entries: list[Any] = self._client.xrange(self._stream(key), min=f"({rev}-0")  # type: ignore[assignment]
        return [decode_record(fields[b"r"]) for _, fields in entries]

    def ping(self) -> None:
        with self.breaker.guard():
            self._client.ping()

    def _run(self, calls: list[tuple[list[Change], int, str]]) -> list[int]:
        """calls: the changes of one key, their milliseconds to live, and where to publish them."""
        if not calls:
            return []
        with self.breaker.guard():
            if self._digest is None:
                self._digest = str(self._client.script_load(self._script))
            try:
                return self._pipelined(calls)
            except NoScriptError:  # Redis was restarted; running a call again changes nothing
                self._digest = str(self._client.script_load(self._script))
                return self._pipelined(calls)

    def _pipelined(self, calls: list[tuple[list[Change], int, str]]) -> list[int]:
        assert self._digest is not None
        return run_all(
            self._client,
            [
                (
                    "EVALSHA", self._digest, 2, self._hash(changes[0].key), self._stream(changes[0].key),
                    ttl_ms, self._window, channel,
                    *(part for change in changes for part in (str(change.rev), encode_record(change))),
                )
                for changes, ttl_ms, channel in calls
            ],
        )

    def _ttl(self) -> int:
        return int(self._ttl_ms * random.uniform(0.9, 1.1))

    def _hash(self, key: str) -> str:
        return f"{self._prefix}:{{{key}}}:v"  # the braces keep both names of a key on one cluster node

    def _stream(self, key: str) -> str:
        return f"{self._prefix}:{{{key}}}:w"


def absent(key: str) -> Change:
    """What stands for a key that PostgreSQL has no row of."""
    return Change(key=key, value=None, category=DEFAULT_CATEGORY, rev=0, prev=0, updated_at="-")
