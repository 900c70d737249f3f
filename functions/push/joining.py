"""A subscribe: watch first, read second, drop what is not newer; then nothing can fall in between."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from gevent.event import Event

from kvcast.bus.cache import Cache, absent
from kvcast.errors import BusUnavailable, InvalidRequest, KvcastError, Overloaded, Unavailable
from kvcast.messages import Change, Subscribe
from kvcast.retries import may_repeat_reading, with_retries
from kvcast.storage import reads
from kvcast.storage.pool import Pool

from functions.push.frames import change_frame, control_frame
from functions.push.hub import Hub, chained
from functions.push.viewer import Viewer, Watch

ROOM_SECONDS = 10.0
_PAGE = 250
_READ_AT_ONCE = 100


class Joiner:
    """replay_most: ticks that one key's resume replays at most; more are said to be missing.

    covered_most: keys that the prefixes and categories of one subscribe may cover, each.
    """

    def __init__(self, hub: Hub, pool: Pool, cache: Cache, *, replay_most: int, covered_most: int) -> None:
        self._hub = hub
        self._pool = pool
        self.cache = cache
        self._replay_most = replay_most
        self._covered_most = covered_most
        self._page = with_retries(reads.page, attempts=3, most_seconds=2, only_if=may_repeat_reading)
        self._latest = with_retries(reads.latest, attempts=3, most_seconds=2, only_if=may_repeat_reading)
        self._last_rev = with_retries(reads.last_rev, attempts=3, most_seconds=2, only_if=may_repeat_reading)

    def join(self, viewer: Viewer, wanted: Subscribe) -> None:
        """Serve a parsed subscribe: snapshots or the missed ticks, `subbed`, then what came meanwhile.

        Raises KvcastError when the stores do not answer; the viewer then watches nothing new.
        """
        every = wanted.mode == "every"
        broad = bool(wanted.prefixes or wanted.categories)
        base = self._last_rev(self._pool) if every and broad else 0
        interval = 1 / wanted.max_rate if wanted.max_rate else 0.0
        viewer.restart_pace()
        viewer.hold(None if broad else frozenset(wanted.keys))
        known = viewer.keys.keys() | viewer.prefixes.keys() | viewer.categories.keys()
        try:
            self._hub.watch(viewer, Watch(every, interval), wanted.keys, (), wanted.categories)
            self._hub.watch(viewer, Watch(every, interval, base), (), wanted.prefixes, ())
            self._subscribe(viewer, wanted)
        except BaseException:
            fresh = ([name for name in names if name not in known] for names in _names(wanted))
            self._hub.unwatch(viewer, *fresh)
            raise
        finally:
            viewer.release(lambda frame: self._hub.watch_of(viewer, frame))

    def _subscribe(self, viewer: Viewer, wanted: Subscribe) -> None:
        same_epoch = wanted.epoch in (None, self._hub.epoch)
        since = wanted.since if same_epoch else {}
        every = wanted.mode == "every"
        recovered = same_epoch
        resumed_at = max(since.values(), default=0)
        missing: list[str] = []
        done: set[str] = set()
        for change in self._current(viewer, wanted):
            if change.key in done:
                continue
            done.add(change.key)
            self._wait_for_room(viewer)
            if change.value is None and change.key in wanted.keys:
                missing.append(change.key)
            seen = since.get(change.key)
            if seen is None and every and change.key not in wanted.keys and 0 < resumed_at < change.rev:
                seen = resumed_at  # under a pattern, and made while the client was away: it lacks every tick
            recovered &= self._bring(viewer, change, seen, every)
        viewer.send(control_frame("subbed", keys=wanted.keys, absent=missing, recovered=recovered))

    def _current(self, viewer: Viewer, wanted: Subscribe) -> Iterator[Change]:
        """The state of every key that the subscribe covers, and of those that it names in `since`."""
        yield from self._states(viewer, wanted.keys)
        for prefix in wanted.prefixes:
            yield from self._pages(viewer, prefix, None)
        for category in wanted.categories:
            yield from self._pages(viewer, "", category)
        # what was deleted while the client was away is in no page, and it still shows it
        covered = [key for key in wanted.since if any(key.startswith(prefix) for prefix in wanted.prefixes)]
        yield from self._states(viewer, covered if not wanted.categories else list(wanted.since))

    def _pages(self, viewer: Viewer, prefix: str, category: str | None) -> Iterator[Change]:
        after = ""
        for start in itertools.count(0, _PAGE):
            if start >= self._covered_most:
                raise InvalidRequest(
                    f"A subscribe may cover at most {self._covered_most} keys; narrow the prefix.", code="too_many_keys"
                )
            page = self._page(self._pool, after=after, prefix=prefix, category=category, most=_PAGE, values=True)
            _check_still_here(viewer)
            keys = self._learn(viewer, page)
            del page  # the hub has it, and the viewer may be long in reading
            for key in keys:
                yield self._hub.newest(key) or absent(key)
            if len(keys) < _PAGE:
                return
            after = keys[-1]

    def _learn(self, viewer: Viewer, read: Sequence[object]) -> list[str]:
        """The keys of what was read for `viewer`, which the hub knows now."""
        changes = [change for change in read if isinstance(change, Change)]
        for change in changes:
            self._hub.offer(change, but=viewer)
        return [change.key for change in changes]

    def _wait_for_room(self, viewer: Viewer) -> None:
        """Let the viewer read what it has been sent before more is fetched."""
        if viewer.has_room:
            return
        freed = Event()
        viewer.when_room(freed.set)
        if not freed.wait(ROOM_SECONDS) or viewer.gone:
            raise Overloaded("The snapshot is read too slowly; subscribe again, to less at a time.")

    def _states(self, viewer: Viewer, keys: list[str]) -> Iterator[Change]:
        for start in range(0, len(keys), _READ_AT_ONCE):
            some = keys[start : start + _READ_AT_ONCE]
            read = self._read([key for key in some if self._hub.newest(key) is None])
            _check_still_here(viewer)
            self._learn(viewer, read)
            del read
            for key in some:
                yield self._hub.newest(key) or absent(key)

    def _read(self, keys: list[str]) -> list[Change]:
        if not keys:
            return []
        try:
            found = {change.key: change for change in self.cache.get(keys) if change is not None}
        except BusUnavailable:
            found = {}
        left = [key for key in keys if key not in found]
        if left:
            found |= self._latest(self._pool, left)
        return [found.get(key) or absent(key) for key in keys]

    def _bring(self, viewer: Viewer, change: Change, since: int | None, every: bool) -> bool:
        """Send what the viewer lacks of one key; False when ticks are missing."""
        held = [frame.change for frame in viewer.take_held(change.key) if frame.change is not None]
        later = [tick for tick in held if tick.rev > change.rev]
        if not every:
            newest = later[-1] if later else change
            if since is None or newest.rev > since:
                self._show(viewer, newest, since)
            else:
                viewer.seen(change.key, since)
            return True
        if since is None:
            self._show(viewer, change, None)
            self._replay(viewer, later, change.rev)
            return chained(change.rev, later)
        ticks = self._missed(change, since)
        complete = ticks is not None
        if ticks is None:
            viewer.snapshot(change_frame(change, self._hub.epoch, "snap", recovered=False))
        else:
            self._replay(viewer, ticks, since)
            viewer.seen(change.key, max(since, change.rev))
        after = max(since, change.rev)
        self._replay(viewer, [tick for tick in later if tick.rev > since], after)
        return complete and chained(after, later)

    def _show(self, viewer: Viewer, change: Change, since: int | None) -> None:
        if change.value is not None or (since is not None and change.rev):
            viewer.snapshot(self._hub.snapshot(change))
        else:
            viewer.seen(change.key, change.rev)

    def _replay(self, viewer: Viewer, ticks: list[Change], after: int) -> None:
        """after: the rev that the viewer has before them."""
        for tick in ticks:
            self._wait_for_room(viewer)
            viewer.snapshot(change_frame(tick, self._hub.epoch, recovered=tick.prev <= after))
            after = tick.rev

    def _missed(self, newest: Change, since: int) -> list[Change] | None:
        """The ticks in (since, newest], or None when they are not all to be had."""
        if newest.rev <= since:
            return []
        for source in (self._from_window, self._from_history):
            try:
                ticks = source(newest.key, since, newest.rev)
            except KvcastError:
                continue
            if ticks and ticks[-1].rev == newest.rev and chained(since, ticks):
                return ticks
        return None

    def _from_window(self, key: str, since: int, until: int) -> list[Change]:
        return [tick for tick in self.cache.ticks_after(key, since) if tick.rev <= until][: self._replay_most + 1]

    def _from_history(self, key: str, since: int, until: int) -> list[Change]:
        return reads.ticks_after(self._pool, key, since, self._replay_most, until)


def _check_still_here(viewer: Viewer) -> None:
    """What was read for a viewer that left meanwhile may be from before a restore; the hub must not get it."""
    if viewer.gone:
        raise Unavailable("The viewer was let go while its snapshot was read; it subscribes again.")


def _names(wanted: Subscribe) -> tuple[list[str], list[str], list[str]]:
    return wanted.keys, wanted.prefixes, wanted.categories
