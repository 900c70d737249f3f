"""What the checks find, each with the few records that contradict one another."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.checker.history import Ref


@dataclass(frozen=True)
class Violation:
    """sentence: what is wrong; refs: the records that show it, in the order in which to read them."""

    sentence: str
    refs: tuple[Ref, ...]


@dataclass
class Finding:
    """One promise. checked: of what, for a reader to judge whether the load tried it at all."""

    promise: str
    about: str
    checked: int = 0
    violations: list[Violation] = field(default_factory=list)

    def broken(self, sentence: str, *refs: Ref) -> None:
        self.violations.append(Violation(sentence, refs))

    @property
    def shortest(self) -> Violation:
        """The one with the fewest records, and of those the earliest."""
        return min(self.violations, key=lambda one: (len(one.refs), max((at for _, at in one.refs), default=0)))
