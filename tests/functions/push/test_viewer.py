from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.functions.push.changing import change, revs, viewer

from functions.push.frames import Frame, change_frame, control_frame
from functions.push.viewer import Viewer, Watch

LATEST = Watch()
EVERY = Watch(every=True)


def frame(key: str, rev: int) -> Frame:
    return change_frame(change(key, rev), "e")


def collect(one: Viewer, now: float = 0.0, interval: float = 0.0, most: int = 500) -> tuple[list[int], float | None]:
    one.paced |= interval > 0  # as the hub says where it watches with one
    frames, again = one.collect(now, lambda _: interval, most)
    return revs(frames), again


def test_latest_keeps_the_last_of_each_key() -> None:
    one = viewer()
    for rev in (1, 3, 5):
        one.take(frame("a", rev), LATEST)
        one.take(frame("b", rev + 1), LATEST)
    assert collect(one) == ([5, 6], None)
    assert collect(one) == ([], None)


def test_every_keeps_all_in_order_up_to_its_limit() -> None:
    one = viewer(queue_max=16)
    for rev in range(1, 17):
        one.take(frame("a", rev), EVERY)
    assert not one.overflowed
    one.take(frame("a", 17), EVERY)
    assert one.overflowed


def test_a_snapshot_of_any_size_leaves_room_for_what_follows() -> None:
    one = viewer(queue_max=16)
    for number in range(100):
        one.snapshot(frame(f"k{number}", number + 1))
    for rev in range(101, 117):
        one.take(frame("k0", rev), EVERY)
    assert not one.overflowed
    assert len(collect(one)[0]) == 116
    for rev in range(201, 218):
        one.take(frame("k0", rev), EVERY)
    assert one.overflowed, "what was sent gives no more room"


def test_what_is_too_much_for_one_write_goes_with_the_next() -> None:
    one = viewer()
    for rev in range(1, 6):
        one.take(frame("a", rev), EVERY)
        one.take(frame(f"k{rev}", rev + 10), LATEST)
    assert collect(one, now=7.0, most=3) == ([1, 2, 3], 7.0)
    assert collect(one, now=7.0, most=3) == ([4, 5, 11], 7.0)
    assert collect(one, now=7.0, most=9) == ([12, 13, 14, 15], None)


def test_a_rate_is_of_each_key_and_the_last_one_waits_for_its_time() -> None:
    one = viewer()
    one.take(frame("a", 1), LATEST)
    assert collect(one, 10.0, 2.0) == ([1], None)
    one.take(frame("a", 2), LATEST)
    one.take(frame("b", 3), LATEST)
    assert collect(one, 11.0, 2.0) == ([3], 12.0)
    one.take(frame("a", 4), LATEST)
    assert collect(one, 11.5, 2.0) == ([], 12.0)
    assert collect(one, 12.0, 2.0) == ([4], None)


def test_a_snapshot_replaces_what_waits_and_nothing_older_follows() -> None:
    one = viewer()
    one.take(frame("a", 5), LATEST)
    one.snapshot(frame("a", 6))
    one.take(frame("a", 6), LATEST)
    one.take(frame("a", 4), LATEST)
    assert collect(one) == ([6], None)
    one.take(frame("a", 7), LATEST)
    assert collect(one) == ([7], None)


def test_what_is_forgotten_is_not_sent() -> None:
    one = viewer()
    one.take(frame("a", 5), LATEST)
    one.forget("a")
    assert collect(one) == ([], None)


def test_only_the_keys_of_the_subscribe_are_held() -> None:
    one = viewer()
    one.hold(frozenset(["a"]))
    one.take(frame("a", 1), EVERY)
    one.take(frame("b", 2), EVERY)
    assert collect(one) == ([2], None)
    assert revs(one.take_held("a")) == [1]
    one.take(frame("a", 3), EVERY)
    assert collect(one) == ([], None), "held until the subscribe is done"
    one.release(lambda _: EVERY)
    assert collect(one) == ([3], None)


def test_what_is_held_of_a_key_that_is_watched_no_more_is_dropped() -> None:
    one = viewer()
    one.hold(None)
    one.take(frame("a", 1), LATEST)
    one.release(lambda _: None)
    assert collect(one) == ([], None)


@given(
    snapshot_at=st.integers(0, 20), read_at=st.integers(0, 20), released_at=st.integers(0, 20), every=st.booleans()
)
def test_a_snapshot_between_changes_loses_and_repeats_nothing(
    snapshot_at: int, read_at: int, released_at: int, every: bool
) -> None:
    """Changes 1..20 fly; the subscribe begins at one, reads the state at a later one, ends at a still later one."""
    begins, reads, ends = sorted((snapshot_at, read_at, released_at))
    one = viewer()
    watch = Watch(every=every)
    got: list[int] = []
    for rev in range(begins + 1, 21):
        if rev == begins + 1:
            one.hold(frozenset(["a"]))
        one.take(frame("a", rev), watch)
        if rev == max(reads, begins + 1):
            later = [held for held in one.take_held("a") if revs([held])[0] > reads]
            if reads:
                one.snapshot(frame("a", reads))
            for held in later:
                one.snapshot(held)
        if rev == max(ends, begins + 1):
            one.send(control_frame("subbed"))
            one.release(lambda _: watch)
        got += collect(one)[0]
    if begins < 20:
        assert got == sorted(set(got))
        assert got[-1] == 20
        if every:
            assert got == list(range(got[0], 21))


def test_a_new_wish_ends_the_wait_of_an_earlier_rate() -> None:
    one = viewer()
    one.take(frame("a", 1), LATEST)
    assert collect(one, now=0.0, interval=1.0) == ([1], None)
    one.take(frame("a", 2), LATEST)
    assert collect(one, now=0.1, interval=1.0) == ([], 1.0)
    one.restart_pace()
    assert collect(one, now=0.2) == ([2], None)
