"""The part of doctor that looks at the settings, and at PostgreSQL and Redis from this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from kvcast.cli.connection import data_folder, local_run
from kvcast.cli.doctor import Finding
from kvcast.errors import KvcastError

if TYPE_CHECKING:
    from kvcast.config import Settings

CONNECT_SECONDS = 3.0


def examine_stores(clocks: dict[str, float]) -> Iterator[Finding]:
    """clocks: gets how far ahead of this machine the database's clock is, in seconds."""
    from kvcast.config import Settings

    try:
        settings = Settings.from_environment()
    except KvcastError as error:
        yield Finding("fail", "settings", error.message)
        return
    yield Finding("ok", "settings", "The environment's settings are accepted.")
    settings = _with_local_run(settings)
    if settings.database_url:
        yield _postgres(settings.database_url, clocks)
    if settings.redis_url:
        yield _redis(settings.redis_url)
    if not (settings.database_url or settings.redis_url):
        reason = "DATABASE_URL and REDIS_URL are not set, and no local run is here."
        yield Finding("ok", "stores", f"Not looked at: {reason}")


def _with_local_run(settings: Settings) -> Settings:
    """The settings with the stores that the local run in this folder started by itself."""
    if local_run() is None:
        return settings
    from kvcast.embedded import Postgres, Valkey

    folder = data_folder().absolute()
    return replace(
        settings,
        database_url=settings.database_url or Postgres(folder).database_url,
        redis_url=settings.redis_url or Valkey(folder).redis_url,
    )


def _postgres(url: str, clocks: dict[str, float]) -> Finding:
    from pg8000.exceptions import DatabaseError

    from kvcast.storage.pool import connect

    try:
        began = time.monotonic()
        with closing(connect(url)) as connection:
            asked = time.time()
            version, now, table = connection.run(
                "SELECT current_setting('server_version'), extract(epoch FROM clock_timestamp())::float8,"
                " to_regclass('kvcast.kv')::text"
            )[0]
            clocks["database"] = float(now) - (asked + time.time()) / 2
            took = (time.monotonic() - began) * 1000
    except KvcastError as error:
        return Finding("fail", "database", error.message)
    except DatabaseError as error:
        return Finding("fail", "database", f"PostgreSQL refused a statement: {error}. Check the rights of the role.")
    if table is None:
        return Finding("fail", "database", "The schema is missing; run `kvcast migrate`.")
    return Finding("ok", "database", f"PostgreSQL {version} answered in {took:.0f} ms; the schema is there.")


def _redis(url: str) -> Finding:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    from kvcast.bus.connection import not_trusted

    try:
        began = time.monotonic()
        with redis.Redis.from_url(
            url, socket_timeout=CONNECT_SECONDS, socket_connect_timeout=CONNECT_SECONDS, retry=Retry(NoBackoff(), 0)
        ) as connection:
            connection.ping()
            took = (time.monotonic() - began) * 1000
    except (redis.RedisError, ValueError, OSError) as error:
        reason = not_trusted(error) or f"Redis cannot be reached ({error}); check REDIS_URL and that it runs."
        return Finding("fail", "redis", reason)
    return Finding("ok", "redis", f"Redis answered in {took:.0f} ms.")
