"""Windows of the rate limiter, counted in this process."""

from __future__ import annotations

import time

import pytest

from kvcast.bus.counters import SharedCounters


@pytest.mark.parametrize("step_seconds", [-3600, 3600])
def test_a_step_of_the_wall_clock_neither_lengthens_nor_ends_a_window(
    monkeypatch: pytest.MonkeyPatch, step_seconds: int
) -> None:
    counters = SharedCounters()
    passed, wall = [100.0], [1e9]
    monkeypatch.setattr(time, "monotonic", lambda: passed[0])
    monkeypatch.setattr(time, "time", lambda: wall[0])
    counters.incr("ann", 2)
    wall[0] += step_seconds
    passed[0] += 0.5
    assert counters.incr("ann", 2) == 2
    assert counters.get_expiry("ann") - wall[0] == pytest.approx(1.5)
    passed[0] += 1.4
    assert counters.get("ann") == 2
    passed[0] += 0.2
    assert counters.get("ann") == 0
