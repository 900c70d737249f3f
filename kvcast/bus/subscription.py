"""One subscription to every change, which knows when it may have missed some.

Pub/sub forgets what is published while nobody listens, and a dead connection is silent. So each process
also publishes a heartbeat to itself once a second: hearing it proves the whole way, through the Redis that
writers reach, and everything published before it has then arrived.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import Any

import redis

from kvcast.bus.connection import no_answer, open_redis
from kvcast.loops import start_loop
from kvcast.retries import full_jitter_seconds

HEARTBEAT_SECONDS = 1.0
SILENCE_SECONDS = 5.0
TRUST_SECONDS = 2.0
TURN_SECONDS = 0.005  # after which others may run, however much waits
TURN_OVER_SECONDS = 1e-6  # not 0: gevent then looks for input after 50 such turns only
_log = logging.getLogger(__name__)


class Subscription:
    """Calls `on_record(bytes)` for each change; `on_up()` after each (re)subscribe; `on_down()` at each break."""

    def __init__(
        self, url: str, channel: str, *, on_record: Callable[[bytes], None], on_up: Callable[[], None],
        on_down: Callable[[], None],
    ) -> None:
        self._client = open_redis(url, timeout_seconds=SILENCE_SECONDS, connections=4, repeats=0)
        self._channel = channel
        self._own = f"{channel}:hb:{uuid.uuid4().hex}"
        self._on_record = on_record
        self._on_up = on_up
        self._on_down = on_down
        self._ended = Event()
        self._heard = 0.0
        self.up = False

    def start(self) -> None:
        start_loop("subscription", self._listen_for_ever)
        start_loop("subscription-heartbeat", self._beat_for_ever)

    def stop(self) -> None:
        self._ended.set()

    @property
    def trusted(self) -> bool:
        """Whether everything published until two seconds ago has surely arrived."""
        return self.up and time.monotonic() - self._heard < TRUST_SECONDS

    def _listen_for_ever(self) -> None:
        attempt = 0
        while not self._ended.is_set():
            pubsub: Any = self._client.pubsub()  # type: ignore[no-untyped-call]
            try:
                pubsub.subscribe(self._channel, self._own)
                for _ in range(2):  # both confirmations: from here on nothing is missed
                    if pubsub.parse_response(block=False, timeout=SILENCE_SECONDS) is None:
                        raise redis.TimeoutError("no answer to SUBSCRIBE")
                attempt = 0
                self._heard = time.monotonic()
                self.up = True
                self._on_up()
                self._listen(pubsub)
            except (redis.RedisError, OSError) as error:
                attempt += 1
                if attempt == 1:
                    _log.warning("The subscription to Redis broke; subscribing again. %s", no_answer(error))
            finally:
                if self.up:
                    self.up = False
                    self._on_down()
                _close(pubsub)
            self._ended.wait(full_jitter_seconds(attempt, 0.1, 1.0))
        self._client.close()

    def _listen(self, pubsub: Any) -> None:
        own = self._own.encode()
        turn_ends = 0.0
        while not self._ended.is_set():
            message = pubsub.parse_response(block=False, timeout=HEARTBEAT_SECONDS)
            now = time.monotonic()
            if now > turn_ends:  # reading what is there already lets nobody else run, under gevent
                time.sleep(TURN_OVER_SECONDS)
                turn_ends = time.monotonic() + TURN_SECONDS
            if message is None:
                if now - self._heard > SILENCE_SECONDS:
                    raise redis.TimeoutError(f"nothing heard for {SILENCE_SECONDS:g} s")
                continue
            kind, channel, data = message
            if kind != b"message":
                continue
            self._heard = now
            if channel != own:
                self._on_record(data)

    def _beat_for_ever(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            if self.up:
                with suppress(redis.RedisError):  # the silence says it
                    self._client.publish(self._own, b"")


def _close(pubsub: Any) -> None:
    with suppress(redis.RedisError, OSError):
        pubsub.close()
