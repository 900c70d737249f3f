"""What polling misses is what was replaced between two polls, and nothing that the measurement adds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.calls import Caller
from tests.conftest import Server as App

from benchmarks import __main__ as bench
from benchmarks import protocols
from benchmarks.http_load import WRITE_HEADERS
from benchmarks.parts import Plan, polling
from benchmarks.watchers import Poller, Viewer, Watcher
from benchmarks.worlds import Server

SECONDS = 2.0


@pytest.fixture
def serving(
    app: App, call: Caller, unique_key: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> Server:
    """All functions of the tests' own run, and a key of our own in place of the part's."""
    monkeypatch.setattr(polling, "KEY", unique_key())
    monkeypatch.setitem(WRITE_HEADERS, "Authorization", f"Bearer {app.token}")
    call.add(polling.KEY, '"T1.0"')
    return Server(app.url, app.pid, lambda: None)


def test_a_poll_in_a_second_sees_half_of_two_updates(serving: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def poller(number: int) -> Watcher:
        after = polling.POLL_SECONDS * (number + 0.5) / polling.CLIENTS
        return Poller(serving.address, f"/get/{polling.KEY}", polling.POLL_SECONDS, after, conditional=False)

    def viewer(number: int) -> Watcher:
        return Viewer(serving.address, protocols.kvcast(polling.KEY))

    with monkeypatch.context() as unhurried:
        unhurried.setattr(polling, "LAST_ONE_SECONDS", 2.0)
        pushed = polling.measure(serving, serving, viewer, SECONDS)
    polled = polling.measure(serving, serving, poller, SECONDS)
    assert pushed["updates_seen_percent"] == 100
    seen = polled["kib_on_the_wire"] * 1024 / polled["bytes_per_update_seen"]
    polls = polled["requests"] - polling.CLIENTS  # each is up to date before the clock runs
    assert 0.7 * polls <= round(seen) <= polls, "of the two in a second, one with each poll"
    assert polled["updates_seen_percent"] < 80
    assert pushed["requests"] == polling.CLIENTS
    assert (pushed["errors"], polled["errors"]) == (0, 0)


@pytest.mark.parametrize(
    ("what", "plan", "text"),
    [
        ([], Plan(), "make bench"),
        (["reads"], Plan(), "make bench WHAT=reads"),
        (["reads", "idle"], Plan(), 'make bench WHAT="reads idle"'),
        ([], Plan(rounds=1, seconds=2), 'make bench WHAT="--rounds 1 --seconds 2"'),
    ],
)
def test_a_run_names_the_command_that_repeats_it(what: list[str], plan: Plan, text: str) -> None:
    assert bench.command(what, plan) == text
