"""Starting a function: at once, whether its database can be used or not."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Event
from typing import NamedTuple

from kvcast.bus.cache import Cache
from kvcast.bus.connection import open_redis
from kvcast.errors import KvcastError
from kvcast.loops import start_loop
from kvcast.retries import full_jitter_seconds
from kvcast.storage.pool import Pool
from kvcast.storage.schema import usable_epoch
from kvcast.web.app import FunctionApp

FIRST_TRY_SECONDS = 1.0
FIRST_WAIT_SECONDS = 0.1
MOST_WAIT_SECONDS = 5.0
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
        self._said: set[str] = set()
        self.tried = Event()

    def run(self) -> None:
        """Returns when the app serves. Logs one line for each distinct reason why it does not yet."""
        attempt = 0
        while not self._try():
            attempt += 1
            time.sleep(full_jitter_seconds(attempt, FIRST_WAIT_SECONDS, MOST_WAIT_SECONDS))

    def _try(self) -> bool:
        name = self._app.function_name
        try:
            self._serve(self._open())
        except KvcastError as error:
            self._app.health.waits_for = error.message
            if error.message not in self._said:
                self._said.add(error.message)
                _log.error("%s cannot serve yet: %s", name, error.message)
            return False
        finally:
            self.tried.set()
        self._app.health.waits_for = None
        if self._said:
            _log.info("%s serves now.", name)
        return True

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
