"""Scaling: each function by its own load alone, and back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster.conftest import Figure
from tests.cluster.loads import RunningLoad
from tests.cluster.release import POLL_SECONDS, Release
from tests.cluster.values import FUNCTIONS
from tests.polling import eventually

LOADS: dict[str, dict[str, Any]] = {
    "write": {"adds": 120, "batches": 0, "gets": 0, "callers": 8, "viewers": 0},
    "read": {"adds": 0, "batches": 0, "gets": 600, "callers": 8, "viewers": 0, "min_rev": False},
    # a connection costs more than what it is sent
    "push": {"adds": 1, "batches": 0, "gets": 0, "callers": 1, "viewers": 60, "stays_seconds": 0.2},
}
GROWS_SECONDS = SHRINKS_SECONDS = 150
HOLDS_SECONDS = 10


@pytest.fixture(scope="module")
def least(release: Release) -> Iterator[Release]:
    """The shared release, with one to three pods of each function."""
    before = release.values
    release.upgrade(**{name: {"autoscaling": {"minReplicas": 1}} for name in FUNCTIONS})
    eventually(lambda: set(release.desired().values()) == {1}, SHRINKS_SECONDS, POLL_SECONDS)
    yield release
    release.values = before
    release.upgrade()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_grows_by_its_own_load_alone(
    least: Release, figure: Figure, load: Callable[..., RunningLoad], function: str
) -> None:
    eventually(lambda: set(least.desired().values()) == {1}, SHRINKS_SECONDS, POLL_SECONDS)
    least.await_whole()
    running = load(least, **LOADS[function])
    began = time.monotonic()
    most = dict.fromkeys(FUNCTIONS, 1)

    def look() -> dict[str, int]:
        for name, desired in least.desired().items():
            most[name] = max(most[name], desired)
        return most

    eventually(lambda: look()[function] > 1 and len(least.serving(function)) > 1, GROWS_SECONDS, POLL_SECONDS)
    grown = time.monotonic() - began
    eventually(lambda: look() and time.monotonic() - began > grown + HOLDS_SECONDS, HOLDS_SECONDS + 5, POLL_SECONDS)
    running.finish()
    ended = time.monotonic()
    eventually(lambda: least.desired()[function] == 1, SHRINKS_SECONDS, POLL_SECONDS)
    shrunk = time.monotonic() - ended
    others = {name: most[name] for name in FUNCTIONS if name != function}
    figure(
        f"load for {function} alone: a second pod serves after, most pods, back to one after",
        grown, most[function], shrunk,
    )
    figure("most pods of the others meanwhile", *(f"{name} {count}" for name, count in others.items()))
    assert set(others.values()) == {1}
