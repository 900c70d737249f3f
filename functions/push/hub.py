"""Who watches what. Pure: changes come in, frames wait at viewers, nothing is sent from here."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kvcast.messages import Change

from functions.push.frames import Frame, change_frame, control_frame
from functions.push.viewer import Viewer, Watch

Watchers = dict[Viewer, Watch]


class Hub:
    """Keeps the newest change of each watched key and hands what is newer to its viewers.

    on_gap(key, after, until): in mode every, ticks between these revs are missing; `filled` must follow.
    later(): changes were gathered, so `spread` must follow. None: nothing is gathered.
    guard=False hands on whatever comes; for tests.
    """

    def __init__(self, epoch: str, *, guard: bool = True) -> None:
        self.epoch = epoch
        self.on_gap: Callable[[str, int, int], object] = lambda key, after, until: None
        self.later: Callable[[], object] | None = None
        self._gathered: dict[str, Frame] = {}
        self._guard = guard
        self.viewers: dict[Viewer, None] = {}
        self._keys: dict[str, Watchers] = {}
        self._prefixes: dict[str, Watchers] = {}
        self._prefix_lengths: list[int] = []
        self._categories: dict[str, Watchers] = {}
        self._latest: dict[str, Frame] = {}
        self._filling: dict[str, tuple[int, list[Frame]]] = {}  # key -> (rev before the gap, frames after it)

    def renew(self, epoch: str) -> None:
        """A backup was restored, so revs no longer compare: forget all, and serve those who come from now on."""
        for viewer in list(self.viewers):
            self.remove(viewer)
        for known in (self._latest, self._gathered, self._filling):
            known.clear()
        self.epoch = epoch

    def add(self, viewer: Viewer) -> None:
        self.viewers[viewer] = None

    def remove(self, viewer: Viewer) -> None:
        self.viewers.pop(viewer, None)
        viewer.leave()
        self.unwatch(viewer, list(viewer.keys), list(viewer.prefixes), list(viewer.categories))

    def watch(
        self, viewer: Viewer, watch: Watch, keys: Iterable[str], prefixes: Iterable[str], categories: Iterable[str]
    ) -> None:
        """Does nothing for a viewer that was removed meanwhile."""
        if viewer.gone:
            return
        viewer.paced |= watch.interval_seconds > 0
        for names, own, index in self._indices(viewer, keys, prefixes, categories):
            for name in names:
                own[name] = watch
                index.setdefault(name, {})[viewer] = watch
        self._prefix_lengths = sorted({len(prefix) for prefix in self._prefixes}, reverse=True)

    def unwatch(self, viewer: Viewer, keys: Iterable[str], prefixes: Iterable[str], categories: Iterable[str]) -> None:
        for names, own, index in self._indices(viewer, keys, prefixes, categories):
            for name in names:
                own.pop(name, None)
                watchers = index.get(name)
                if watchers is not None:
                    watchers.pop(viewer, None)
                    if not watchers:
                        del index[name]
        for key in keys:
            frame = self._latest.get(key)
            if frame is None or self.watch_of(viewer, frame) is None:  # no prefix or category covers it
                viewer.forget(key)
        self._prefix_lengths = sorted({len(prefix) for prefix in self._prefixes}, reverse=True)

    def _indices(
        self, viewer: Viewer, keys: Iterable[str], prefixes: Iterable[str], categories: Iterable[str]
    ) -> tuple[tuple[Iterable[str], dict[str, Watch], dict[str, Watchers]], ...]:
        return (
            (keys, viewer.keys, self._keys),
            (prefixes, viewer.prefixes, self._prefixes),
            (categories, viewer.categories, self._categories),
        )

    def watchers(self, key: str, category: str) -> Watchers:
        """Who watches; where one watches in several ways, the key counts, then the longest prefix."""
        found = self._categories.get(category)
        others = [found] if found else []
        for length in reversed(self._prefix_lengths):
            found = self._prefixes.get(key[:length]) if len(key) >= length else None
            if found:
                others.append(found)
        own = self._keys.get(key)
        if not others:
            return own or {}
        merged: Watchers = {}
        for watchers in others:
            merged.update(watchers)
        merged.update(own or {})
        return merged

    def watch_of(self, viewer: Viewer, frame: Frame) -> Watch | None:
        change = frame.change
        return self.watchers(change.key, change.category).get(viewer) if change is not None else None

    def newest(self, key: str) -> Change | None:
        """The newest known change of a watched key: rev 0 when it is known to be absent."""
        frame = self._latest.get(key)
        return frame.change if frame is not None else None

    def snapshot(self, change: Change) -> Frame:
        """What shows `change` as the state of its key."""
        frame = self._latest.get(change.key)
        return (frame if frame is not None and frame.change is change else change_frame(change, self.epoch)).snapshot()

    def watched_keys(self) -> list[str]:
        return list(self._keys)

    def offer(self, change: Change, *, but: Viewer | None = None) -> bool:
        """Hand on `change` if it is newer than what is known. `but` gets it another way."""
        held = self._latest.get(change.key)
        last = held.change.rev if held is not None and held.change is not None else None
        if self._guard and last is not None and change.rev <= last:
            return False
        watchers = self.watchers(change.key, change.category)
        moved = held is not None and held.change is not None and held.change.category != change.category
        if held is not None and held.change is not None and moved:
            watchers = {**self._categories.get(held.change.category, {}), **watchers}  # they learn that it left
        if not watchers:
            self._latest.pop(change.key, None)
            return False
        frame = change_frame(change, self.epoch)
        self._latest[change.key] = frame
        if not change.rev:
            return False  # known to be absent: nothing to tell
        every = [watch for viewer, watch in watchers.items() if watch.every and viewer is not but]
        after = last if last is not None else min((watch.base for watch in every if watch.base), default=change.prev)
        filling = self._filling.get(change.key)
        if self.later is not None and not (every or filling or moved or but):
            self._gathered[change.key] = frame
            self.later()
            return True
        self._gathered.pop(change.key, None)  # nothing older may follow
        gap = filling is None and bool(every) and change.prev > after
        if filling is not None:
            filling[1].append(frame)
        elif gap:
            self._filling[change.key] = (after, [frame])
        for viewer, watch in watchers.items():
            if viewer is not but and not (watch.every and (gap or filling is not None)):
                viewer.take(frame, watch)
        if gap:
            self.on_gap(change.key, after, change.rev)  # last: others may run meanwhile, and offer what is newer
        return True

    def spread(self) -> None:
        """Hand on what was gathered: of each key the newest, to those who watch it now, in mode latest.

        Between two flushes a key may change ten times; going through its viewers each time was 40 % of the work.
        """
        gathered, self._gathered = self._gathered, {}
        for key, frame in gathered.items():
            if frame.change is not None:
                for viewer, watch in self.watchers(key, frame.change.category).items():
                    if not watch.every:
                        viewer.take(frame, watch)

    def filled(self, key: str, ticks: list[Change]) -> bool:
        """Deliver the ticks of a gap, then what waited behind it. False, and said to viewers, if some are missing."""
        after, waiting = self._filling.pop(key, (0, []))
        if not waiting or waiting[0].change is None:
            return True
        first = waiting[0].change
        ticks = [tick for tick in ticks if after < tick.rev < first.rev]
        complete = chained(after, [*ticks, first])
        waiting, behind = _up_to_gap(waiting)
        frames = [change_frame(tick, self.epoch) for tick in ticks] + waiting
        for viewer, watch in self.watchers(key, first.category).items():
            if watch.every:
                if not complete:
                    viewer.send(control_frame("subbed", keys=[key], absent=[], recovered=False))
                for frame in frames:
                    viewer.take(frame, watch)
        if behind and behind[0].change is not None and waiting[-1].change is not None:
            last = waiting[-1].change.rev
            self._filling[key] = (last, behind)
            self.on_gap(key, last, behind[0].change.rev)
        return complete

    def purge(self) -> None:
        """Forget keys that nobody watches any more."""
        for key, frame in list(self._latest.items()):
            if frame.change is None or not self.watchers(key, frame.change.category):
                del self._latest[key]


def _up_to_gap(frames: list[Frame]) -> tuple[list[Frame], list[Frame]]:
    """`frames` cut before the first one, but for the very first, that does not follow on the one before it."""
    for index in range(1, len(frames)):
        before, here = frames[index - 1].change, frames[index].change
        if before is not None and here is not None and here.prev > before.rev:
            return frames[:index], frames[index:]
    return frames, []


def chained(after: int, ticks: list[Change]) -> bool:
    """Whether `ticks` follow on rev `after` with none missing: each names the rev before it."""
    for tick in ticks:
        if tick.prev > after:
            return False
        after = tick.rev
    return True
