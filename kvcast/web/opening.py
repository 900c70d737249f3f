"""Starting a function: at once, whether its database can be used or not; and going on after a restore."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from threading import Event
from typing import NamedTuple

from kvcast.bus.cache import Cache
from kvcast.bus.connection import open_redis
from kvcast.config import Settings
from kvcast.errors import KvcastError
from kvcast.loops import start_loop
from kvcast.metrics import POOL_DISCARDED, POOL_EXHAUSTED
from kvcast.retries import persistently
from kvcast.storage.pool import Pool
from kvcast.storage.schema import usable_epoch
from kvcast.web.app import FunctionApp

FIRST_TRY_SECONDS = 1.0
EPOCH_SECONDS = 1.0  # between two looks whether a backup was restored
_log = logging.getLogger(__name__)


class Opened(NamedTuple):
    """What every function works with.

    cache: of the epoch that is now. A restored backup begins another one: each of `on_restore` is then called with its
    cache. What was read or committed before must never get into that one, so whoever writes to a cache takes it first.
    """

    pool: Pool
    cache: Cache
    on_restore: list[Callable[[Cache], object]]


def serve_when_open(app: FunctionApp, serve: Callable[[Opened], None]) -> None:
    """Call `serve` once the database can be used: before this returns, where that takes less than a second.

    Until then `app` is unready and says why. serve: installs the routes and starts the loops; raises KvcastError, to
    be called again, only before it has done either.
    """
    opening = Opening(app, serve)
    app.health.waits_for = "PostgreSQL has not answered yet."
    start_loop(f"opening-{app.function_name}", opening.run)
    opening.tried.wait(FIRST_TRY_SECONDS)


def open_pool(settings: Settings, size: int, *, lock_timeout_seconds: float = 0) -> Pool:
    """A pool that tells /metrics how it fares."""
    return Pool(
        settings.database_url, size, discard=settings.cured("discard"), lock_timeout_seconds=lock_timeout_seconds,
        on_discard=POOL_DISCARDED.inc, on_exhausted=POOL_EXHAUSTED.inc,
    )


class Opening:
    def __init__(self, app: FunctionApp, serve: Callable[[Opened], None]) -> None:
        self._app = app
        self._serve = serve
        settings = app.settings
        self._pool = open_pool(settings, settings.pool_size)
        self._redis = open_redis(settings.redis_url)
        self._waited = False
        self.tried = Event()

    def run(self) -> None:
        """Logs one line for each distinct reason why the app does not serve yet; then watches the epoch for ever."""
        opened = persistently(self._open_and_serve, self._not_yet, only_if=lambda _error: True)
        self._app.health.waits_for = None
        self.tried.set()
        if self._waited:
            _log.info("%s serves now.", self._app.function_name)
        self._watch_epoch(opened)

    def _not_yet(self, error: KvcastError, new: bool) -> None:
        self._waited = True
        self._app.health.waits_for = error.message
        self.tried.set()
        if new:
            _log.error("%s cannot serve yet: %s", self._app.function_name, error.message)

    def _open_and_serve(self) -> Opened:
        cache = self._cache(usable_epoch(self._pool))
        self._app.health.probe("postgresql", lambda: self._pool.run("SELECT 1"))
        self._app.health.probe("redis", cache.ping)
        opened = Opened(self._pool, cache, [])
        self._serve(opened)
        return opened

    def _cache(self, epoch: str) -> Cache:
        settings = self._app.settings
        return Cache(
            self._redis, epoch,
            ttl_seconds=settings.cache_ttl_seconds, window=settings.history_window, guard=settings.cured("guard"),
        )

    def _watch_epoch(self, opened: Opened) -> None:
        known = opened.cache.epoch
        while True:
            time.sleep(EPOCH_SECONDS * random.uniform(0.8, 1.2))
            try:
                epoch = usable_epoch(self._pool)
                if epoch != known:
                    cache = self._cache(epoch)
                    for renew in opened.on_restore:
                        renew(cache)
                    known = epoch
                    _log.warning("A backup was restored; %s goes on with what it holds.", self._app.function_name)
            except KvcastError as error:
                _log.debug("The epoch could not be looked at: %s", error.message)
