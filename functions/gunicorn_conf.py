"""gunicorn's settings for every function: `gunicorn -c functions/gunicorn_conf.py 'functions.read:create_app()'`."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import gevent

from kvcast.config import Settings
from kvcast.errors import SettingsError

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
METRICS_PREFIX = "kvcast-metrics-"
SILENT_TIMES = 4  # a client may be away for so many times as long as a viewer may block: 20 s bridge most gaps


def read_settings() -> Settings:
    try:
        return Settings.from_environment()
    except SettingsError as error:
        sys.exit(f"kvcast: {error.message}")


def raise_open_files() -> None:
    """A socket is a file: take as many as we may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):  # macOS calls the hard limit endless and takes no more than OPEN_MAX
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 10_240)), hard))


settings = read_settings()
raise_open_files()
if settings.workers > 1:  # before the first worker imports prometheus_client, which looks once
    os.environ.setdefault(METRICS_FOLDER, tempfile.mkdtemp(prefix=METRICS_PREFIX))

bind = f"[{settings.host}]:{settings.port}" if ":" in settings.host else f"{settings.host}:{settings.port}"
workers = settings.workers
worker_class = "functions.gunicorn_worker.Worker"
worker_connections = settings.sockets_max + 1000  # full, it must still answer health checks and refusals
preload_app = False  # gevent must patch before anything of ours is imported
http_parser = "auto"
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a heartbeat on disk can block
loglevel = settings.log_level
logger_class = "functions.gunicorn_logger.Logger"
timeout = 60  # the event loop was blocked; no limit on a request
keepalive = 75  # above the 60 s of common proxies; functions/gunicorn_worker.py shortens the first wait
graceful_timeout = int(settings.drain_seconds) + 10
limit_request_line = 8190
limit_request_fields = 64
limit_request_field_size = 8190


def end_silent(listeners: list[Any]) -> None:
    """Whoever takes nothing of what is sent is let go: nobody else would end the wait of whoever sends it.

    Connections have it from the socket that they came in by.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        milliseconds = int(settings.send_timeout_seconds * SILENT_TIMES * 1000)
        for listener in listeners:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def count_greenlets() -> None:
    """Keep kvcast_greenlets: asking the garbage collector for them would stop the worker for milliseconds."""
    from kvcast.metrics import GREENLETS  # not above: see METRICS_FOLDER and preload_app

    def started(greenlet: gevent.Greenlet[..., object]) -> None:
        GREENLETS.inc()
        greenlet.rawlink(lambda _: GREENLETS.dec())

    gevent.Greenlet.add_spawn_callback(started)


def post_fork(server: Any, worker: Any) -> None:
    """Told to stop before it listens to signals, a worker ends; the handler that it inherits would do nothing."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def post_worker_init(worker: Any) -> None:
    worker.body_seconds = settings.body_timeout_seconds
    end_silent(worker.sockets)
    count_greenlets()
    gevent.spawn(worker.drain_when_told, settings.drain_seconds)
    gevent.spawn(worker.end_idle)


def worker_exit(server: Any, worker: Any) -> None:
    from kvcast import draining  # not above: see preload_app

    draining.end()


def child_exit(server: Any, worker: Any) -> None:
    if METRICS_FOLDER in os.environ:
        from prometheus_client import multiprocess  # not above: see METRICS_FOLDER

        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    folder = Path(os.environ.get(METRICS_FOLDER, ""))
    if folder.name.startswith(METRICS_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)
