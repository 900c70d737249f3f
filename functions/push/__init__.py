"""Pushes every change to every viewer that watches it. `gunicorn 'functions.push:create_app()'`, gevent worker."""

from __future__ import annotations

import os
import socket

from kvcast.bus.cache import Cache
from kvcast.bus.workers import WorkerReport
from kvcast.config import Settings
from kvcast.web import FunctionApp
from kvcast.web.opening import Opened, serve_when_open

from functions.push.deletion_cost import DeletionCost
from functions.push.drain import Drain
from functions.push.flusher import Flusher
from functions.push.hub import Hub
from functions.push.joining import Joiner
from functions.push.parts import Parts
from functions.push.relay import Relay
from functions.push.views import install_routes


def create_app(settings: Settings | None = None) -> FunctionApp:
    """The function as a WSGI app, which serves as soon as the database can be used. Raises SettingsError."""
    app = FunctionApp("push", settings or Settings.from_environment(), shared_limits=False)
    serve_when_open(app, lambda opened: _serve(app, opened))
    return app


def _serve(app: FunctionApp, opened: Opened) -> None:
    settings, (pool, cache, on_restore) = app.settings, opened
    hub = Hub(cache.epoch, guard=settings.cured("guard"))
    relay = Relay(hub, pool, cache, settings)
    report = WorkerReport("push", settings.redis_url, lambda: len(hub.viewers))
    flusher = Flusher(hub, report)
    drain = Drain(settings)
    joiner = Joiner(
        hub, pool, cache, replay_most=settings.socket_queue_max, covered_most=settings.socket_max_covered
    )
    name = settings.server_name or f"{socket.gethostname()}-{os.getpid()}"
    install_routes(app, Parts(settings, app.keyring, hub, joiner, flusher, name, report), drain, report)
    if settings.deletion_cost:
        DeletionCost(report, settings.server_name or socket.gethostname()).start()
    for part in (report, flusher, drain, relay):
        part.start()

    def renew(cache: Cache) -> None:
        nonlocal relay
        after = Relay(hub, pool, cache, settings)
        relay.stop()
        joiner.cache = cache
        hub.renew(cache.epoch)
        drain.close_all("the store was restored")
        relay = after
        relay.start()

    on_restore.append(renew)
