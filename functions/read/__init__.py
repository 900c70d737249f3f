"""Answers reads from memory, Redis or PostgreSQL, and serves the pages. `gunicorn 'functions.read:create_app()'`."""

from __future__ import annotations

from kvcast.bus.cache import Cache
from kvcast.bus.connection import open_redis
from kvcast.bus.subscription import Subscription
from kvcast.bus.workers import WorkerReport
from kvcast.config import Settings
from kvcast.retries import may_repeat_reading, with_retries
from kvcast.storage import reads
from kvcast.storage.pool import Pool
from kvcast.web import FunctionApp

from functions.read.admin import AdminViews
from functions.read.l1 import L1
from functions.read.lookup import Lookup
from functions.read.pages import install_pages
from functions.read.stats import Stats
from functions.read.views import Views


def create_app(settings: Settings | None = None) -> FunctionApp:
    """The function as a WSGI app. Opens its connections. Raises SettingsError, StorageUnavailable."""
    settings = settings or Settings.from_environment()
    app = FunctionApp("read", settings, shared_limits=False)
    pool = Pool(settings.database_url, settings.pool_size, discard=settings.cured("discard"))
    epoch = with_retries(reads.epoch, attempts=100, most_seconds=30, only_if=may_repeat_reading)(pool)
    cache = Cache(
        open_redis(settings.redis_url), epoch,
        ttl_seconds=settings.cache_ttl_seconds, window=settings.history_window, guard=settings.cured("guard"),
    )
    l1 = L1(settings.l1_max_bytes, guard=settings.cured("l1_guard"))
    subscription = Subscription(
        settings.redis_url, cache.channel, on_record=l1.heard, on_up=l1.clear, on_down=l1.clear
    )
    report = WorkerReport("read", settings.redis_url)
    lookup = Lookup(pool, cache, l1, subscription, report)
    app.health.probe("postgresql", lambda: pool.run("SELECT 1"))
    app.health.probe("redis", cache.ping)
    Views(app, pool, lookup, Stats(pool, report, epoch)).install()
    AdminViews(app, pool, report).install()
    install_pages(app)
    report.start()
    subscription.start()
    return app
