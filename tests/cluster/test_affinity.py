"""Session affinity: a cookie keeps a client on its pod, and nothing depends on it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cluster.conftest import Figure
from tests.cluster.loads import RunningLoad
from tests.cluster.release import POLL_SECONDS, Release
from tests.cluster.site import Greeting, Site
from tests.polling import eventually

CALLS = 20
ROAMING_WRITES = 1000


@pytest.mark.parametrize("greet", [Site.greet, Site.greet_events], ids=["ws", "sse"])
def test_a_cookie_keeps_a_client_on_its_pod(
    whole: Release, figure: Figure, greet: Callable[..., Greeting], request: pytest.FixtureRequest
) -> None:
    site = whole.site()
    first = greet(site)
    assert first.cookie is not None
    assert first.cookie.startswith("kvcast=")
    kept = {greet(site, first.cookie).server for _ in range(CALLS)}
    assert kept == {first.server}
    eventually(lambda: {greet(site).server for _ in range(CALLS)} == set(whole.serving("push")), 30, POLL_SECONDS)
    free = whole.serving("push")
    name = request.node.callspec.id
    figure(f"/{name}: pods that answered {CALLS} calls with the cookie, without it", len(kept), len(free))


def test_nothing_is_lost_where_cookies_are_thrown_away(
    whole: Release, figure: Figure, load: Callable[..., RunningLoad]
) -> None:
    running = load(whole, keeps_cookie=False, stays_seconds=1.0, gets=20)
    running.goes_on(writes=ROAMING_WRITES)
    verdict = running.finish()
    verdict.assert_promises_kept()
    assert not verdict.records.failures
    assert not verdict.refused
    viewers = verdict.records.viewers
    pods = [{event.text for event in viewer.events if event.op == "hello"} for viewer in viewers]
    roamed = sum(len(those) > 1 for those in pods)
    assert roamed == len(viewers)
    figure("viewers that came to another pod at least once, of 50", roamed)
    left = sum(event.op == "left" for viewer in viewers for event in viewer.events)
    figure("reconnects without a cookie, each resumed by rev", left)
    figure("updates that any viewer lost", len(verdict.lost_updates))
