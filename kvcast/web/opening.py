"""Starting a function: at once, whether its database can be used or not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event
from typing import NamedTuple

from kvcast.bus.cache import Cache
from kvcast.bus.connection import open_redis
from kvcast.errors import KvcastError
from kvcast.loops import start_loop
from kvcast.retries import persistently
from kvcast.storage.pool import Pool
from kvcast.storage.schema import usable_epoch
from kvcast.web.app import FunctionApp

FIRST_TRY_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Opened(NamedTuple):
    """What every function works with."""

    pool: Pool
    cache: Cache
    epoch: str


def serve_when_open(app: FunctionApp, serve: Callable[[Opened], None]) -> None:
    """Call `serve` once the database can be used: before this returns, where that takes less than a second.

    Until then `app` is unready and says why. serve: installs the routes and starts the loops; raises KvcastError, to
    be called again, only before it has done either.
    """
    opening = Opening(app, serve)
    app.health.waits_for = "PostgreSQL has not answered yet."
    start_loop(f"opening-{app.function_name}", opening.run)
    opening.tried.wait(FIRST_TRY_SECONDS)


class Opening:
    def __init__(self, app: FunctionApp, serve: Callable[[Opened], None]) -> None:
        self._app = app
        self._serve = serve
        settings = app.settings
        self._pool = Pool(settings.database_url, settings.pool_size, discard=settings.cured("discard"))
        self._waited = False
        self.tried = Event()

    def run(self) -> None:
        """Returns when the app serves. Logs one line for each distinct reason why it does not yet."""
        persistently(lambda: self._serve(self._open()), self._not_yet, only_if=lambda _error: True)
        self._app.health.waits_for = None
        self.tried.set()
        if self._waited:
            _log.info("%s serves now.", self._app.function_name)

    def _not_yet(self, error: KvcastError, new: bool) -> None:
        self._waited = True
        self._app.health.waits_for = error.message
        self.tried.set()
        if new:
            _log.error("%s cannot serve yet: %s", self._app.function_name, error.message)

    def _open(self) -> Opened:
        settings = self._app.settings
        epoch = usable_epoch(self._pool)
        cache = Cache(
            open_redis(settings.redis_url), epoch,
            ttl_seconds=settings.cache_ttl_seconds, window=settings.history_window, guard=settings.cured("guard"),
        )
        self._app.health.probe("postgresql", lambda: self._pool.run("SELECT 1"))
        self._app.health.probe("redis", cache.ping)
        return Opened(self._pool, cache, epoch)
