"""Windows of the rate limiter, counted in this process."""

from __future__ import annotations

import time

import pytest

from kvcast.bus.counters import SharedCounters
from tests.polling import eventually


@pytest.mark.parametrize("step_seconds", [-3600, 3600])
def test_a_step_of_the_wall_clock_neither_lengthens_nor_ends_a_window(
    monkeypatch: pytest.MonkeyPatch, step_seconds: int
) -> None:
    counters = SharedCounters()
    true_time = time.time
    counters.incr("ann", 2)
    monkeypatch.setattr(time, "time", lambda: true_time() + step_seconds)
    assert counters.incr("ann", 2) == 2
    assert 0 < counters.get_expiry("ann") - time.time() <= 2
    assert eventually(lambda: counters.get("ann") == 0, within=4)
