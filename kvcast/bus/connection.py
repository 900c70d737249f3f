"""A Redis client with short limits, and a breaker so that a dead Redis costs a request nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.retry import Retry

from kvcast.certificates import check_authority, refused_certificate
from kvcast.errors import BusUnavailable

TIMEOUT_SECONDS = 0.25
OPEN_SECONDS = 1.0
# Without it redis-py reads a file for each connection, and where no descriptor is left its pool loses a place for ever.
_DRIVER = DriverInfo()


class Breaker:
    """After a failure, refuse at once for `open_seconds`; then let one call try."""

    def __init__(self, open_seconds: float = OPEN_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._open_seconds = open_seconds
        self._clock = clock
        self._closed_again_at = 0.0
        self._failing = False

    @property
    def closed(self) -> bool:
        return self._clock() >= self._closed_again_at

    @property
    def open_for_seconds(self) -> float:
        """Until it lets a call try; 0 where it is closed."""
        return max(0.0, self._closed_again_at - self._clock())

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Raises BusUnavailable, at once while open, or in place of a redis error."""
        now = self._clock()
        if now < self._closed_again_at:
            raise BusUnavailable("Redis did not answer a moment ago; it is asked again in a second.")
        if self._failing:  # this caller is the one that tries; the others are refused until it knows
            self._closed_again_at = now + self._open_seconds
        try:
            yield
        except (redis.RedisError, OSError) as error:
            self._failing = True
            self._closed_again_at = self._clock() + self._open_seconds
            raise BusUnavailable(no_answer(error)) from error
        self._failing = False
        self._closed_again_at = 0.0


def not_trusted(error: BaseException) -> str | None:
    """What mends it, in a sentence, where `error` comes of a certificate that was refused."""
    refused = refused_certificate(error, "REDIS_URL", "ssl_ca_certs")
    return f"Redis is not trusted: {refused}" if refused else None


def no_answer(error: BaseException) -> str:
    """Why Redis did not answer, in a sentence."""
    return not_trusted(error) or f"Redis did not answer ({type(error).__name__}: {error})."


def open_redis(
    url: str, *, timeout_seconds: float = TIMEOUT_SECONDS, connections: int = 32, repeats: int = 1
) -> redis.Redis:
    """A client on a bounded pool; connects when first used. One repeat covers a stale connection.

    url: `rediss://` checks the server's certificate and name, with ssl_ca_certs=FILE against that authority.
    Raises SettingsError where that file cannot be read.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), repeats),
        "protocol": 2,
        "max_connections": connections,
        "timeout": timeout_seconds,
        "driver_info": _DRIVER,
    }
    if url.startswith("unix:"):
        del options["socket_connect_timeout"]
    pool = redis.BlockingConnectionPool.from_url(url, **options)
    authority = pool.connection_kwargs.get("ssl_ca_certs")
    if authority:
        check_authority(authority, "REDIS_URL", "ssl_ca_certs")
    return redis.Redis(connection_pool=pool)
