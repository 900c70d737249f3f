"""What the checks find, each with the few records that contradict one another."""

from __future__ import annotations

from dataclasses import dataclass

from tests.checker.history import Ref


@dataclass(frozen=True)
class Violation:
    """sentence: what is wrong; refs: the records that show it, in the order in which to read them."""

    sentence: str
    refs: tuple[Ref, ...]

    @property
    def size(self) -> tuple[int, int]:
        """How many records, and when the last of them was made."""
        return len(self.refs), max((at for _, at in self.refs), default=0)


@dataclass
class Finding:
    """One promise. checked: of what, for a reader to judge whether the load tried it at all.

    Of any number of violations only the shortest is kept: of fewest records, and of those the earliest.
    """

    promise: str
    about: str
    checked: int = 0
    violations: int = 0
    _shortest: Violation | None = None

    def broken(self, sentence: str, *refs: Ref) -> None:
        self.violations += 1
        violation = Violation(sentence, refs)
        if self._shortest is None or violation.size < self._shortest.size:
            self._shortest = violation

    @property
    def shortest(self) -> Violation:
        """Where there are any."""
        assert self._shortest is not None
        return self._shortest
