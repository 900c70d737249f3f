"""Takes writes: commits them to PostgreSQL, then tells Redis. `gunicorn 'functions.write:create_app()'`."""

from __future__ import annotations

from kvcast.bus.cache import Cache
from kvcast.bus.connection import open_redis
from kvcast.bus.workers import WorkerReport
from kvcast.config import Settings
from kvcast.retries import may_repeat_reading, with_retries
from kvcast.storage import reads
from kvcast.storage.pool import Pool
from kvcast.storage.writes import Statements
from kvcast.web import FunctionApp

from functions.write.committer import Committer
from functions.write.housekeeping import Housekeeping
from functions.write.publisher import Publisher
from functions.write.views import Views


def create_app(settings: Settings | None = None) -> FunctionApp:
    """The function as a WSGI app. Opens its connections. Raises SettingsError, StorageUnavailable."""
    settings = settings or Settings.from_environment()
    app = FunctionApp("write", settings, shared_limits=True)
    pool = Pool(settings.database_url, settings.pool_size, discard=settings.cured("discard"))
    epoch = with_retries(reads.epoch, attempts=100, most_seconds=30, only_if=may_repeat_reading)(pool)
    cache = Cache(
        open_redis(settings.redis_url), epoch,
        ttl_seconds=settings.cache_ttl_seconds, window=settings.history_window, guard=settings.cured("guard"),
    )
    statements = Statements(history=settings.history_days > 0, rev_under_lock=settings.cured("row_lock_rev"))
    report = WorkerReport("write", settings.redis_url)
    publisher = Publisher(cache, report, enabled=settings.cured("publish"))
    housekeeping = Housekeeping(pool, statements, publisher, settings)
    # connections of its own, so that callers with transactions of theirs cannot hold up the group commit
    own_pool = Pool(settings.database_url, 2, discard=settings.cured("discard"))
    committer = Committer(own_pool, statements, publisher, queue_max=settings.queue_max_items, room=housekeeping)
    app.health.probe("postgresql", lambda: pool.run("SELECT 1"))
    app.health.probe("redis", cache.ping)
    Views(app, pool, statements, committer, publisher).install()
    for part in (report, publisher, committer, housekeeping):
        part.start()
    return app
