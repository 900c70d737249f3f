"""Histories of a store that keeps its promises are taken, whatever the order of things; one lie in them is not."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checker.records import Got
from tests.checker.stories import Story
from tests.checker.verdict import Verdict

KEYS = ("k", "l")
STEP = st.tuples(st.sampled_from(["add", "lost", "refuse", "compare", "delete", "read", "fresh", "cut", "hear"]),
                 st.sampled_from(KEYS), st.integers(0, 2))  # fmt: skip


class Store:
    """Commits at once; its viewers, one in mode latest and one in mode every, hear of it when they are told to."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self._rev = 0
        self._rows: dict[str, tuple[int, str | None]] = {}
        self._unheard: dict[str, list[tuple[str, int, str | None]]] = {"latest": [], "every": []}
        self._since: dict[str, dict[str, int]] = {"latest": {}, "every": {}}
        for who in self._unheard:
            story.watch(who, mode=who, keys=list(KEYS))

    def commit(self, key: str, value: str | None) -> int:
        self._rev += 1
        prev = self._rows.get(key, (0, None))[0]
        self._rows[key] = (self._rev, value)
        self.story.tick(self._rev, value, prev, key)
        for unheard in self._unheard.values():
            unheard.append((key, self._rev, value))
        return self._rev

    def do(self, number: int, kind: str, key: str, repeats: int) -> None:
        value, (rev, held) = f"w:{number}", self._rows.get(key, (0, None))
        if kind == "add":
            made = self.commit(key, value)
            for _ in range(repeats + 1):
                self.story.add(value, made, key, id=f"id-{number}")
        elif kind == "lost":
            if repeats:
                self.commit(key, value)
            self.story.add(value, key=key, status=0 if repeats == 1 else 502)
        elif kind == "refuse":
            self.story.add(value, key=key, status=503, code="storage_unavailable")
        elif kind == "compare":
            self.story.add(value, self.commit(key, value), key, if_rev=rev if held is not None else 0)
            self.story.add(f"rival:{number}", key=key, status=412, code="precondition_failed", if_rev=rev)
        elif kind == "delete" and held is not None:
            made = self.commit(key, None) if repeats else 0
            self.story.delete(made if repeats == 1 else 0, key, 200 if repeats == 1 else 503)
        elif kind in ("read", "fresh"):
            min_rev = rev if kind == "fresh" else 0
            self.story.get(rev if held else 0, held, key, 200 if held else 404, min_rev=min_rev)
        elif kind == "cut":
            self._come_back(("latest", "every")[repeats % 2])
        elif kind == "hear":
            self._hear(("latest", "every")[repeats % 2])

    def _come_back(self, who: str) -> None:
        self.story.leave(who, by="cut")
        self.story.watch(who, mode=who, keys=list(KEYS), since=dict(self._since[who]))
        self._hear(who)

    def _hear(self, who: str) -> None:
        news, self._unheard[who] = self._unheard[who], []
        if who == "latest":
            news = list({key: (key, rev, value) for key, rev, value in news}.values())
        for key, rev, value in news:
            self.story.show(rev, value, who, key)
            self._since[who][key] = rev

    def end(self) -> Verdict:
        for who in self._unheard:
            self._hear(who)
            self.story.leave(who)
        for key in KEYS:
            rev, held = self._rows.get(key, (0, None))
            self.story.get(rev if held else 0, held, key, 200 if held else 404, final=True)
        return self.story.verdict_with_ticks()


def lived(folder: Path, steps: list[tuple[str, str, int]]) -> Store:
    store = Store(Story(folder))
    for number, step in enumerate(steps):
        store.do(number, *step)
    return store


@given(st.lists(STEP, max_size=30))
@settings(max_examples=150, deadline=None)
def test_a_history_that_keeps_the_promises_is_taken(steps: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        verdict = lived(Path(folder), steps).end()
        assert verdict.ok, verdict.text()


LIES = ("lost", "phantom", "shown twice", "never shown", "stale", "applied twice")


@given(st.lists(STEP, max_size=30), st.sampled_from(LIES))
@settings(max_examples=150, deadline=None)
def test_a_lie_is_found_wherever_it_hides(steps: list[tuple[str, str, int]], lie: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = lived(Path(folder), [*steps, ("add", "k", 1), ("hear", "k", 0), ("hear", "k", 1)])
        story = store.story
        shown = [record for record in story._records if isinstance(record, Got) and record.who == "every"]
        if lie == "lost":
            story.add("w:lost", 10**6)
        elif lie == "phantom":
            story.get(10**6, "nobody:1")
        elif lie == "shown twice":
            story._records.append(shown[-1])
        elif lie == "never shown":
            story._records.remove(shown[-1])
        elif lie == "stale":
            story.get(1, None, status=304, min_rev=10**6)
        elif lie == "applied twice":
            store.commit("k", f"w:{len(steps)}")
        assert not store.end().ok
