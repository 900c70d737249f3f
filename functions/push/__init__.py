"""Pushes every change to every viewer that watches it. `gunicorn 'functions.push:create_app()'`, gevent worker."""

from __future__ import annotations

import os
import socket

import gevent
from gevent.event import Event

from kvcast.bus.cache import Cache
from kvcast.bus.connection import open_redis
from kvcast.bus.workers import WorkerReport
from kvcast.config import Settings
from kvcast.retries import may_repeat_reading, with_retries
from kvcast.storage import reads
from kvcast.storage.pool import Pool
from kvcast.web import FunctionApp

from functions.push.drain import Drain
from functions.push.flusher import Flusher
from functions.push.hub import Hub
from functions.push.joining import Joiner
from functions.push.parts import Parts
from functions.push.relay import Relay
from functions.push.views import install_routes


def create_app(settings: Settings | None = None) -> FunctionApp:
    """The function as a WSGI app. Opens its connections. Raises SettingsError, StorageUnavailable."""
    settings = settings or Settings.from_environment()
    app = FunctionApp("push", settings, shared_limits=False)
    pool = Pool(settings.database_url, settings.pool_size, discard=settings.cured("discard"))
    epoch = with_retries(reads.epoch, attempts=100, most_seconds=30, only_if=may_repeat_reading)(pool)
    cache = Cache(
        open_redis(settings.redis_url), epoch,
        ttl_seconds=settings.cache_ttl_seconds, window=settings.history_window, guard=settings.cured("guard"),
    )
    new_epoch = Event()
    hub = Hub(epoch, guard=settings.cured("guard"))
    relay = Relay(hub, pool, cache, settings, on_new_epoch=new_epoch.set)
    report = WorkerReport("push", settings.redis_url, lambda: len(hub.viewers))
    flusher = Flusher(hub, report)
    drain = Drain(settings)
    joiner = Joiner(
        hub, pool, cache, replay_most=settings.socket_queue_max, covered_most=settings.socket_max_covered
    )
    name = settings.server_name or f"{socket.gethostname()}-{os.getpid()}"
    app.health.probe("postgresql", lambda: pool.run("SELECT 1"))
    app.health.probe("redis", cache.ping)
    install_routes(app, Parts(settings, app.keyring, hub, joiner, flusher, name), drain, report)
    for part in (report, flusher, drain, relay):
        part.start()
    gevent.spawn(_restart_on_new_epoch, new_epoch, drain)
    return app


def _restart_on_new_epoch(new_epoch: Event, drain: Drain) -> None:
    """A restored backup changes what revs mean: let the clients go, and start afresh under gunicorn."""
    new_epoch.wait()
    drain.close_all("the store was restored")
    gevent.sleep(2.5)
    os.kill(os.getpid(), 15)
