"""What counts as growth: a slope, not a spike, nor the warm-up."""

from __future__ import annotations

import random

from tests.soak.flatness import Limit, judged

LIMIT = Limit(4.0, 0.05)


def noisy(growth_per_sample: float, samples: int = 120) -> list[tuple[float, float]]:
    chance = random.Random(1)
    return [(5.0 * number, 90 + growth_per_sample * number + chance.uniform(-1, 1)) for number in range(samples)]


def test_noise_is_flat() -> None:
    assert judged(noisy(0.0), LIMIT).ok


def test_a_slow_leak_grows() -> None:
    found = judged(noisy(0.1), LIMIT)
    assert not found.ok
    assert 7 < found.gained < 9


def test_a_spike_is_no_leak() -> None:
    samples = noisy(0.0)
    samples[100] = (samples[100][0], 500.0)
    found = judged(samples, LIMIT)
    assert found.ok
    assert found.most == 500.0


def test_what_the_warm_up_takes_does_not_count() -> None:
    warming = [(at, value - (30 - number if number < 30 else 0)) for number, (at, value) in enumerate(noisy(0.0))]
    assert judged(warming, LIMIT).ok


def test_what_shrinks_is_flat() -> None:
    assert judged(noisy(-0.1), LIMIT).ok
