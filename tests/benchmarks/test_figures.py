"""Ratios compare runs that were made next to one another."""

from __future__ import annotations

import math

from benchmarks.figures import Aim, Comparison, Figures, Spread, interleave, quantile, ratio, spread


def test_a_spread_names_least_median_and_most() -> None:
    assert spread([3.0, 1.0, 10.0]) == Spread(1.0, 3.0, 10.0)


def test_a_ratio_is_of_neighbouring_runs_and_not_of_medians() -> None:
    ours: list[Figures] = [{"rows": 100.0}, {"rows": 20.0}, {"rows": 60.0}]
    theirs: list[Figures] = [{"rows": 10.0}, {"rows": 10.0}, {"rows": 30.0}]
    comparison = Comparison("writes", {"kvcast": ours, "node": theirs}, [], "rows")
    assert comparison.standing(Aim("rows", ">=", 10, "node")) == Spread(2.0, 2.0, 10.0)


def test_an_aim_without_a_peer_is_the_figure_itself() -> None:
    comparison = Comparison("idle", {"kvcast": [{"kib": 25.0}, {"kib": 26.0}]}, [], "kib")
    aim = Aim("kib", "<=", 27)
    assert comparison.standing(aim) == Spread(25.0, 25.5, 26.0)
    assert aim.reached_by(25.5)
    assert not aim.reached_by(27.1)


def test_a_peer_that_was_left_out_gives_no_standing() -> None:
    comparison = Comparison("fan-out", {"kvcast": [{"rate": 1.0}]}, [], "rate")
    assert comparison.standing(Aim("rate", ">=", 1, "centrifuge")) is None


def test_a_ratio_to_nothing_is_no_error() -> None:
    assert ratio(0, 0) == 1
    assert math.isinf(ratio(1, 0))


def test_runs_take_turns() -> None:
    order: list[str] = []

    def side(name: str) -> Figures:
        order.append(name)
        return {"turn": float(len(order))}

    runs = interleave(2, {"a": lambda: side("a"), "b": lambda: side("b")})
    assert order == ["a", "b", "a", "b"]
    assert runs["a"] == [{"turn": 1.0}, {"turn": 3.0}]


def test_a_quantile_is_a_value_that_was_seen() -> None:
    assert quantile([1.0, 2.0, 3.0, 4.0, 100.0], 0.99) == 100.0
    assert quantile([1.0, 2.0, 3.0], 0.5) == 2.0
    assert quantile([], 0.5) == 0.0
