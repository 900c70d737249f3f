from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kvcast.messages import Change
from tests.functions.push.changing import change, collected, drained, objects, revs, viewer

from functions.push.hub import Hub, chained
from functions.push.viewer import Viewer, Watch

LATEST = Watch()
EVERY = Watch(every=True)


def watching(hub: Hub, watch: Watch, *keys: str, prefixes: tuple[str, ...] = ()) -> Viewer:
    one = viewer()
    hub.add(one)
    hub.watch(one, watch, keys, prefixes, ())
    return one


def test_what_is_not_newer_is_handed_to_nobody() -> None:
    hub = Hub("e")
    one = watching(hub, LATEST, "gold")
    assert hub.offer(change("gold", 5))
    assert not hub.offer(change("gold", 5))
    assert not hub.offer(change("gold", 4))
    assert revs(drained(hub, one)) == [5]


def test_only_watchers_get_a_change() -> None:
    hub = Hub("e")
    by_key, by_prefix, by_category, other = (viewer() for _ in range(4))
    hub.watch(by_key, LATEST, ["p.gold"], [], [])
    hub.watch(by_prefix, LATEST, [], ["p."], [])
    hub.watch(by_category, LATEST, [], [], ["metal"])
    hub.watch(other, LATEST, ["p.gol", "p.gold2"], ["p.gold2", "q"], ["meta"])
    hub.offer(change("p.gold", 1, category="metal"))
    assert [revs(drained(hub, one)) for one in (by_key, by_prefix, by_category, other)] == [[1], [1], [1], []]


def test_who_watches_a_category_learns_what_left_it() -> None:
    hub = Hub("e")
    one = viewer()
    hub.watch(one, LATEST, [], [], ["metal"])
    hub.offer(change("gold", 1, category="metal"))
    hub.offer(change("gold", 2, category="money"))
    hub.offer(change("gold", 3, category="money"))
    assert revs(drained(hub, one)) == [2]


def test_the_key_counts_before_the_longest_prefix_before_the_category() -> None:
    hub = Hub("e")
    one = viewer()
    hub.watch(one, Watch(interval_seconds=1), [], [], ["c"])
    hub.watch(one, Watch(interval_seconds=2), [], ["", "p.g"], [])
    hub.watch(one, Watch(interval_seconds=3), [], ["p.go"], [])
    assert hub.watchers("x", "c")[one].interval_seconds == 2
    assert hub.watchers("p.gold", "c")[one].interval_seconds == 3
    hub.watch(one, Watch(interval_seconds=4), ["p.gold"], [], [])
    assert hub.watchers("p.gold", "c")[one].interval_seconds == 4


def test_a_gap_is_filled_in_order_and_what_came_meanwhile_waits() -> None:
    hub = Hub("e")
    gaps: list[tuple[str, int, int]] = []
    hub.on_gap = lambda *gap: gaps.append(gap)
    every, latest = watching(hub, EVERY, "gold"), watching(hub, LATEST, "gold")
    hub.offer(change("gold", 1))
    hub.offer(change("gold", 4, 3))
    hub.offer(change("gold", 5, 4))
    assert gaps == [("gold", 1, 4)]
    assert revs(drained(hub, every)) == [1]
    assert revs(drained(hub, latest)) == [5], "mode latest need not wait"
    assert hub.filled("gold", [change("gold", 2, 1), change("gold", 3, 2)])
    assert revs(drained(hub, every)) == [2, 3, 4, 5]
    hub.offer(change("gold", 6, 5))
    assert revs(drained(hub, every)) == [6]
    assert revs(drained(hub, latest)) == [6]


def test_a_gap_that_stays_is_told_before_what_follows() -> None:
    hub = Hub("e")
    every = watching(hub, EVERY, "gold")
    hub.offer(change("gold", 1))
    hub.offer(change("gold", 4, 3))
    assert not hub.filled("gold", [change("gold", 3, 2)])
    told = objects(drained(hub, every))
    assert [one["op"] for one in told] == ["upd", "subbed", "upd", "upd"]
    assert told[1] == {"op": "subbed", "keys": ["gold"], "absent": [], "recovered": False}


def test_a_gap_before_the_first_tick_that_was_heard_is_a_gap_too() -> None:
    hub = Hub("e")
    gaps: list[tuple[str, int, int]] = []
    hub.on_gap = lambda *gap: gaps.append(gap)
    every = watching(hub, Watch(every=True, base=10), prefixes=("p.",))
    hub.offer(change("p.old", 11, 9))
    assert gaps == [], "rev 9 was there before the watch"
    hub.offer(change("p.new", 13, 12))
    assert gaps == [("p.new", 10, 13)]
    hub.filled("p.new", [change("p.new", 12, 0)])
    assert revs(drained(hub, every)) == [11, 12, 13]


def test_a_tick_that_was_drawn_before_the_watch_and_committed_after_it_is_delivered() -> None:
    """The base is the last rev that was drawn; one below it may still be under way to its commit."""
    hub = Hub("e")
    every = watching(hub, Watch(every=True, base=10), prefixes=("p.",))
    hub.offer(change("p.gold", 9, 5))
    assert revs(drained(hub, every)) == [9]


def test_a_gap_of_which_another_thread_tells_at_once_sends_nobody_back() -> None:
    """Starting the fetch lets others run, and they may bring newer changes."""
    hub = Hub("e")
    hub.on_gap = lambda key, after, until: hub.offer(change(key, 5, 4))
    every, latest = watching(hub, EVERY, "gold"), watching(hub, LATEST, "gold")
    hub.offer(change("gold", 1))
    drained(hub, latest)
    hub.offer(change("gold", 4, 3))
    assert revs(drained(hub, latest)) == [5]
    hub.filled("gold", [change("gold", 2, 1), change("gold", 3, 2)])
    assert revs(drained(hub, every)) == [1, 2, 3, 4, 5]


def test_unwatching_a_key_keeps_what_a_prefix_still_covers() -> None:
    hub = Hub("e")
    one = watching(hub, LATEST, "gold", prefixes=("",))
    hub.offer(change("gold", 1))
    hub.unwatch(one, ["gold"], [], [])
    assert revs(drained(hub, one)) == [1]


def test_a_viewer_that_leaves_is_forgotten() -> None:
    hub = Hub("e")
    one = watching(hub, LATEST, "gold", prefixes=("p.",))
    hub.offer(change("gold", 1))
    hub.remove(one)
    assert not hub.watchers("gold", "c")
    assert not hub.watchers("p.x", "c")
    assert not hub.watched_keys()
    hub.purge()
    assert hub.newest("gold") is None
    hub.watch(one, LATEST, ["gold"], ["p."], [])  # its subscribe was still under way
    assert not hub.watched_keys()
    assert not hub.watchers("p.x", "c")


def test_after_a_restore_nothing_from_before_is_known_or_told() -> None:
    hub = Hub("before")
    viewer = watching(hub, Watch(), "gold")
    hub.offer(change("gold", 105))
    hub.renew("restored")
    assert (hub.epoch, hub.viewers, hub.newest("gold"), viewer.gone) == ("restored", {}, None, True)
    later = watching(hub, Watch(), "gold")
    assert hub.offer(change("gold", 90)), "its revs are those of the backup"
    assert [frame.change.rev for frame in later.collect(0, lambda _frame: 0)[0] if frame.change] == [90]


def test_absence_is_known_and_told_to_nobody() -> None:
    hub = Hub("e")
    one = watching(hub, EVERY, "gold")
    hub.offer(Change("gold", None, "default", 0, 0, "-"))
    newest = hub.newest("gold")
    assert newest is not None
    assert newest.rev == 0
    hub.offer(change("gold", 1))
    assert revs(drained(hub, one)) == [1]


def gathering() -> Hub:
    hub = Hub("e")
    hub.later = lambda: None
    return hub


def test_gathered_changes_are_handed_on_once_the_newest_of_each_key() -> None:
    hub = gathering()
    one = watching(hub, LATEST, "gold", "btc")
    for rev in (1, 2, 3):
        assert hub.offer(change("gold", rev))
    hub.offer(change("btc", 4))
    assert not drained(hub, one)
    hub.spread()
    assert revs(drained(hub, one)) == [3, 4]
    hub.spread()
    assert not drained(hub, one)


def test_nothing_gathered_follows_what_could_not_wait() -> None:
    hub = gathering()
    one = watching(hub, LATEST, "gold")
    hub.offer(change("gold", 1, 0))
    tick = watching(hub, EVERY, "gold")
    hub.offer(change("gold", 2, 1))
    hub.spread()
    assert revs(drained(hub, one)) == [2]
    assert revs(drained(hub, tick)) == [2]


def test_who_left_before_the_spread_gets_nothing() -> None:
    hub = gathering()
    one = watching(hub, LATEST, "gold")
    hub.offer(change("gold", 1))
    hub.unwatch(one, ["gold"], [], [])
    hub.spread()
    assert not drained(hub, one)


def test_a_chain_names_the_rev_before_each_tick() -> None:
    assert chained(1, [change("k", 2, 1), change("k", 3, 2)])
    assert chained(2, [change("k", 3, 1)]), "an older start proves nothing missing"
    assert not chained(1, [change("k", 3, 2)])
    assert not chained(1, [change("k", 2, 1), change("k", 4, 3)])
    assert chained(1, [])


KEYS_OF_ALL = ("a", "b", "ab")
KEYS = (*KEYS_OF_ALL, "latest")  # the last one nobody watches in mode every


class Pushing(RuleBasedStateMachine):
    """Any interleaving of a lossy, unordered bus, of joins, and of slow readers; changes gather for a while or not."""

    @initialize(gathering=st.booleans())
    def begin(self, gathering: bool) -> None:
        if gathering:
            self.hub.later = lambda: None

    @rule()
    def spread(self) -> None:
        self.hub.spread()

    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub("e")
        self.hub.on_gap = lambda key, after, until: self.gaps.append((key, after, until))
        self.gaps: list[tuple[str, int, int]] = []
        self.written: dict[str, list[Change]] = {key: [] for key in KEYS}
        self.rev = 0
        self.clock = 0.0
        self.latest: list[Viewer] = []
        self.every: list[Viewer] = []
        self.seen: dict[Viewer, dict[str, int]] = {}
        self.ticks: dict[tuple[Viewer, str], list[int]] = {}
        for watch, viewers in ((LATEST, self.latest), (Watch(interval_seconds=5), self.latest), (EVERY, self.every)):
            one = viewer()
            self.hub.add(one)
            viewers.append(one)
            self.seen[one] = {}
            for key in KEYS_OF_ALL if watch.every else KEYS:
                self.join(one, key, watch)

    def join(self, one: Viewer, key: str, watch: Watch) -> None:
        """What joining does, in the order in which it does it, without the reads."""
        self.hub.watch(one, watch, [key], [], [])
        newest = self.written[key][-1] if self.written[key] else change(key, 0, deleted=True)
        self.hub.offer(newest, but=one)
        known = self.hub.newest(key)
        assert known is not None
        one.seen(key, known.rev)
        self.seen[one][key] = max(self.seen[one].get(key, 0), known.rev)
        self.ticks[one, key] = [known.rev]

    @rule(key=st.sampled_from(KEYS), deleted=st.booleans(), heard=st.booleans())
    def write(self, key: str, deleted: bool, heard: bool) -> None:
        self.rev += 1
        before = self.written[key][-1].rev if self.written[key] else 0
        self.written[key].append(change(key, self.rev, before, deleted=deleted))
        if heard:
            self.hub.offer(self.written[key][-1])

    @rule(key=st.sampled_from(KEYS), back=st.integers(0, 3))
    def hear_late_or_again(self, key: str, back: int) -> None:
        if len(self.written[key]) > back:
            self.hub.offer(self.written[key][-1 - back])

    @rule()
    def fill(self) -> None:
        if self.gaps:
            key, after, until = self.gaps.pop(0)
            assert self.hub.filled(key, [tick for tick in self.written[key] if after < tick.rev <= until])

    @rule(which=st.integers(0, 2), most=st.integers(1, 3), seconds=st.floats(0, 3))
    def collect(self, which: int, most: int, seconds: float) -> None:
        self.clock += seconds
        one = [*self.latest, *self.every][which]
        self.got(one, collected(self.hub, one, self.clock, most))

    def got(self, one: Viewer, frames: list[Any]) -> None:
        for frame in frames:
            key, rev = frame.change.key, frame.change.rev
            assert rev > self.seen[one].get(key, 0), "never back, never twice"
            self.seen[one][key] = rev
            if (one, key) in self.ticks:
                self.ticks[one, key].append(rev)

    @rule(key=st.sampled_from(KEYS), which=st.integers(0, 1))
    def unsubscribe_and_join_again(self, key: str, which: int) -> None:
        one = self.latest[which]
        self.hub.unwatch(one, [key], [], [])
        self.join(one, key, Watch(interval_seconds=5.0 * which))

    @invariant()
    def a_slow_reader_costs_one_frame_a_key(self) -> None:
        for one in self.latest:
            assert len(one._newest) <= len(KEYS)
            assert one.waiting == 0

    def teardown(self) -> None:
        for key in KEYS:  # the sweep
            if self.written[key]:
                self.hub.offer(self.written[key][-1])
        while self.gaps:
            self.fill()
        self.hub.spread()
        self.clock += 100
        for one in [*self.latest, *self.every]:
            self.got(one, drained(self.hub, one))
            for key in KEYS:
                if self.written[key] and key in one.keys:
                    assert self.seen[one][key] == self.written[key][-1].rev, "the last one is never lost"
        for one in self.every:
            for key in KEYS_OF_ALL:
                start, *following = self.ticks[one, key]
                assert following == [tick.rev for tick in self.written[key] if tick.rev > start], "every tick, in order"


TestPushing = Pushing.TestCase
TestPushing.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
