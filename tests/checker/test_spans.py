"""How long something lasted without a fault."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.checker.records import Fault
from tests.checker.spans import Clear, under_fault, united

SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda one: (one[0], sum(one))), max_size=6)


def fault(at: int, phase: str, name: str = "one") -> Fault:
    return Fault(at=at, who="faults", name=name, phase=phase)  # type: ignore[arg-type]


def test_faults_that_overlap_are_one_and_one_without_an_end_lasts() -> None:
    faults = [fault(1, "begin"), fault(3, "begin", "other"), fault(4, "end"), fault(6, "end", "other")]
    faults.append(fault(9, "begin"))
    assert under_fault(reversed(faults)) == [(1, 6), (9, 2**63)]


@pytest.mark.parametrize(
    ("begin", "end", "longest"),
    [(0, 10, (0, 10)), (0, 25, (0, 20)), (15, 60, (30, 30)), (22, 28, (22, 0)), (25, 40, (30, 10)), (5, 5, (5, 0))],
)
def test_the_longest_piece_without_a_fault(begin: int, end: int, longest: tuple[int, int]) -> None:
    assert Clear([(20, 30)]).longest(begin, end) == longest


@given(SPANS, st.integers(0, 60), st.integers(0, 60))
def test_it_is_as_long_as_counting_says(spans: list[tuple[int, int]], begin: int, length: int) -> None:
    run = longest = 0
    for moment in range(begin, begin + length):
        run = 0 if any(start <= moment < end for start, end in spans) else run + 1
        longest = max(longest, run)
    assert Clear(united(spans)).longest(begin, begin + length)[1] == longest
