"""Takes writes: commits them to PostgreSQL, then tells Redis. `gunicorn 'functions.write:create_app()'`."""

from __future__ import annotations

from kvcast.bus.workers import WorkerReport
from kvcast.config import Settings
from kvcast.storage.writes import Statements
from kvcast.web import FunctionApp
from kvcast.web.opening import Opened, open_pool, serve_when_open

from functions.write.aside import LOCK_SECONDS
from functions.write.committer import Committer
from functions.write.housekeeping import Housekeeping
from functions.write.lane import Lane
from functions.write.publisher import Publisher
from functions.write.views import Views


def create_app(settings: Settings | None = None) -> FunctionApp:
    """The function as a WSGI app, which serves as soon as the database can be used. Raises SettingsError."""
    app = FunctionApp("write", settings or Settings.from_environment(), shared_limits=True)
    serve_when_open(app, lambda opened: _serve(app, opened))
    return app


def _serve(app: FunctionApp, opened: Opened) -> None:
    settings, (pool, cache, on_restore) = app.settings, opened
    statements = Statements(history=settings.history_days > 0, rev_under_lock=settings.cured("row_lock_rev"))
    report = WorkerReport("write", settings.redis_url)
    publisher = Publisher(cache, report, enabled=settings.cured("publish"))
    housekeeping = Housekeeping(pool, statements, publisher, settings)
    # connections of its own, so that callers with transactions of theirs cannot hold up the group commit
    own_pool = open_pool(settings, 2, lock_timeout_seconds=LOCK_SECONDS)
    committer = Committer(own_pool, statements, publisher, queue_max=settings.queue_max_items, room=housekeeping)
    Views(app, pool, statements, committer, publisher).install()
    lane = Lane(app, committer)
    app.take = lane.take
    on_restore.append(publisher.renew)
    for part in (report, publisher, committer, housekeeping, lane):
        part.start()
