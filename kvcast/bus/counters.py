"""Rate-limit counters for `limits` that cost a request no call to Redis.

Every worker counts for itself and adds what it counted to a shared total ten times a second. So a limit that
several workers share may be overshot by what arrives in that tenth of a second; with Redis down each worker
goes on limiting by its own count.
"""

from __future__ import annotations

import time
from contextlib import suppress
from threading import Event
from typing import Any

import redis
from limits.storage import Storage

from kvcast.bus.connection import Breaker, open_redis
from kvcast.errors import BusUnavailable
from kvcast.loops import start_loop

STORAGE_URI = "kvcast://"  # what makes `limits` choose SharedCounters
SYNC_SECONDS = 0.1
_MOST_ENTRIES = 50_000
# the total of all workers and what is left of the window, whose length the first one sets
_ADD = """
local total = redis.call('INCRBY', KEYS[1], ARGV[1])
if total == tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return {total, redis.call('PTTL', KEYS[1])}
"""


class _Window:
    """ends: by the monotonic clock, which no step of the wall clock moves."""

    __slots__ = ("count", "ends", "unsent")

    def __init__(self, ends: float) -> None:
        self.count = 0
        self.unsent = 0
        self.ends = ends


class SharedCounters(Storage):
    """Fixed windows. redis_url: where totals are shared; empty keeps them in this process."""

    STORAGE_SCHEME = ["kvcast"]  # noqa: RUF012  (limits declares it so)
    base_exceptions = redis.RedisError

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, redis_url: str = "", **_: Any) -> None:
        super().__init__(uri, wrap_exceptions)
        self._windows: dict[str, _Window] = {}
        self._breaker = Breaker()
        self._ended = Event()
        if redis_url:
            self._client = open_redis(redis_url, connections=2)
            start_loop("rate-counters", self._sync_for_ever)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        window = self._window(key, expiry)
        window.count += amount
        window.unsent += amount
        return window.count

    def get(self, key: str) -> int:
        window = self._windows.get(key)
        return window.count if window is not None and window.ends > time.monotonic() else 0

    def get_expiry(self, key: str) -> float:
        """In Unix seconds, as `limits` asks it."""
        window = self._windows.get(key)
        return time.time() + (window.ends - time.monotonic() if window is not None else 0)

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        count = len(self._windows)
        self._windows.clear()
        return count

    def clear(self, key: str) -> None:
        self._windows.pop(key, None)

    def close(self) -> None:
        self._ended.set()

    def _window(self, key: str, expiry: float) -> _Window:
        now = time.monotonic()
        window = self._windows.get(key)
        if window is None or window.ends <= now:
            if len(self._windows) >= _MOST_ENTRIES:
                self._windows = {name: held for name, held in self._windows.items() if held.ends > now}
            window = self._windows[key] = _Window(now + expiry)
        return window

    def _sync_for_ever(self) -> None:
        while not self._ended.wait(SYNC_SECONDS):
            due = [(key, window, window.unsent) for key, window in list(self._windows.items()) if window.unsent]
            if due:
                with suppress(BusUnavailable):  # counted here all the same; what is unsent goes with the next try
                    self._sync(due)

    def _sync(self, due: list[tuple[str, _Window, int]]) -> None:
        now = time.monotonic()
        with self._breaker.guard():
            pipeline = self._client.pipeline(transaction=False)
            for key, window, unsent in due:
                left_ms = max(1, int((window.ends - now) * 1000))
                pipeline.eval(_ADD, 1, f"kvcast:rate:{key}", str(unsent), str(left_ms))
            results = pipeline.execute()
        for (_, window, sent), (total, left_ms) in zip(due, results, strict=True):
            window.unsent -= sent
            window.count = int(total) + window.unsent
            if left_ms > 0:
                window.ends = min(window.ends, now + left_ms / 1000)
