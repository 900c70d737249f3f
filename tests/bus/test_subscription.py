"""One subscription: what it hears, and that it notices when it may have missed something."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvcast.bus import subscription
from kvcast.bus.connection import open_redis
from kvcast.bus.subscription import Subscription
from kvcast.embedded import Valkey
from tests.polling import eventually


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    """A Redis that these tests stop and kill."""
    with tempfile.TemporaryDirectory(prefix="kvcast-test-") as folder:
        valkey = Valkey(Path(folder))
        valkey.start()
        yield valkey
        valkey.stop()


class Events:
    """A subscription, and what it said in order."""

    def __init__(self, valkey: Valkey) -> None:
        self.said: list[str] = []
        self.subscription = Subscription(
            valkey.redis_url, "changes", on_record=lambda record: self.said.append(record.decode()),
            on_up=lambda: self.said.append("up"), on_down=lambda: self.said.append("down"),
        )
        self.subscription.start()
        eventually(lambda: self.said == ["up"])
        self.client = open_redis(valkey.redis_url)

    def close(self) -> None:
        self.subscription.stop()
        self.client.close()


@pytest.fixture
def events(valkey: Valkey) -> Iterator[Events]:
    events = Events(valkey)
    yield events
    events.close()


def test_it_is_up_only_when_what_is_published_arrives(events: Events) -> None:
    events.client.publish("changes", "1")
    eventually(lambda: events.said == ["up", "1"])
    assert events.subscription.trusted


def test_a_killed_connection_is_told_and_subscribed_anew(events: Events) -> None:
    events.client.client_kill_filter(_type="pubsub")
    eventually(lambda: events.said == ["up", "down", "up"])
    events.client.publish("changes", "2")
    eventually(lambda: events.said[-1] == "2")


def test_the_end_of_redis_is_told_at_once_and_its_return_within_two_and_a_half_seconds(
    events: Events, valkey: Valkey
) -> None:
    valkey.kill()
    eventually(lambda: events.said == ["up", "down"], within=subscription.SILENCE_SECONDS - 1)
    assert not events.subscription.trusted
    valkey.start()
    eventually(lambda: events.said == ["up", "down", "up"], within=2.5)


def test_a_silence_is_distrusted_after_two_seconds_and_a_break_after_five(
    events: Events, valkey: Valkey
) -> None:
    began = time.monotonic()
    os.kill(valkey.pid, signal.SIGSTOP)
    try:
        eventually(lambda: not events.subscription.trusted)
        assert events.said == ["up"]
        eventually(lambda: events.said == ["up", "down"])
        assert time.monotonic() - began >= 2.0
    finally:
        os.kill(valkey.pid, signal.SIGCONT)
    eventually(lambda: events.said == ["up", "down", "up"])
    events.client.publish("changes", "3")
    eventually(lambda: events.said[-1] == "3")
