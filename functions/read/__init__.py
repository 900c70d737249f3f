"""Answers reads from memory, Redis or PostgreSQL, and serves the pages. `gunicorn 'functions.read:create_app()'`."""

from __future__ import annotations

from kvcast.bus.cache import Cache
from kvcast.bus.subscription import Subscription
from kvcast.bus.workers import WorkerReport
from kvcast.config import Settings
from kvcast.web import FunctionApp
from kvcast.web.opening import Opened, serve_when_open

from functions.read.admin import AdminViews
from functions.read.l1 import L1
from functions.read.lane import Lane
from functions.read.lookup import Lookup
from functions.read.pages import install_pages
from functions.read.stats import Stats
from functions.read.strays import install_strays
from functions.read.views import Views


def create_app(settings: Settings | None = None) -> FunctionApp:
    """The function as a WSGI app, which serves as soon as the database can be used. Raises SettingsError."""
    app = FunctionApp("read", settings or Settings.from_environment(), shared_limits=False)
    serve_when_open(app, lambda opened: _serve(app, opened))
    return app


def _serve(app: FunctionApp, opened: Opened) -> None:
    settings, (pool, first, on_restore) = app.settings, opened
    report = WorkerReport("read", settings.redis_url)

    def lookup_in(cache: Cache) -> Lookup:
        l1 = L1(settings.l1_max_bytes, guard=settings.cured("l1_guard"))
        subscription = Subscription(
            settings.redis_url, cache.channel, on_record=l1.heard, on_up=l1.clear, on_down=l1.clear
        )
        return Lookup(pool, cache, l1, subscription, report)

    views = Views(app, pool, lookup_in(first), Stats(pool, report))
    views.install()
    AdminViews(app, pool, report).install()
    install_pages(app)
    install_strays(app)
    app.take = Lane(app, lambda: views.lookup).take
    report.start()
    views.lookup.start()
    on_restore.append(lambda cache: views.renew(lookup_in(cache)))
