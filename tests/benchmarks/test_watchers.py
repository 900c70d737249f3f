"""Those who are pushed to and those who ask see the same values, and count what went over their wires."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

import pytest

from tests.calls import Caller
from tests.conftest import Server
from tests.polling import eventually

from benchmarks import protocols
from benchmarks.watchers import Poller, Viewer, Watcher, Watchers

KEY = "bench.watched"
POLL_SECONDS = 0.05


def address(server: Server) -> tuple[str, int]:
    parts = urlsplit(server.url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def have_seen(watchers: Watchers, count: int) -> bool:
    return all(len(watcher.delays) == count for watcher in watchers.all)


def test_each_value_is_seen_once_by_either_way(app: Server, call: Caller) -> None:
    def write() -> None:
        call.add(KEY, f'"T{time.time():.6f}"')

    write()
    at = address(app)
    makers: list[Callable[[], Watcher]] = [
        partial(Viewer, at, protocols.kvcast(KEY)),
        partial(Poller, at, f"/get/{KEY}", POLL_SECONDS, 0.0, conditional=False),
        partial(Poller, at, f"/get/{KEY}", POLL_SECONDS, 0.0, conditional=True),
    ]
    with Watchers(makers) as watchers:
        for count in (1, 2, 3):
            write()
            eventually(partial(have_seen, watchers, count))
        viewer, poller, conditional = watchers.all
        asked = conditional.requests
        eventually(lambda: conditional.requests > asked + 3)
    assert [watcher.failure for watcher in watchers.all] == ["", "", ""]
    assert all(0 < delay < 30 for watcher in watchers.all for delay in watcher.delays)
    assert viewer.requests == 1
    assert poller.requests >= 4
    assert viewer.wire.bytes < poller.wire.bytes


def test_a_refusal_ends_the_measurement(app: Server) -> None:
    refused = partial(Poller, address(app), "/get/never.written", POLL_SECONDS, 0.0, conditional=False)
    with pytest.raises(ConnectionError, match="404"), Watchers([refused]):
        pass
