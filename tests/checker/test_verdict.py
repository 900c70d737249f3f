"""The checker refuses what each promise forbids, and takes what it allows. Histories made by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checker.records import UNREACHABLE, Open, Refused
from tests.checker.stories import Story

ROOT = Path(__file__).parents[2]
Told = Callable[[Story], object]


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


# Durable ---------------------------------------------------------------------------------------------------------


def test_an_acknowledged_write_that_the_database_lacks_is_not_durable(story: Story) -> None:
    story.add("w:1", 4)
    story.add("w:2", 5)
    story.tick(4, "w:1")
    verdict = story.verdict_with_ticks()
    assert verdict.broken == ["durable"]
    assert verdict["durable"].violations == 2, "the tick is missing, and the row is older"


def test_a_row_older_than_what_was_acknowledged_is_not_durable(story: Story) -> None:
    story.add("w:1", 4)
    story.add("w:2", 5)
    story.tick(4, "w:1")
    rows = {tick.key: tick for tick in story.ticks}
    story.ticks.clear()
    assert story.verdict(rows).broken == ["durable"]


def test_a_newer_row_and_a_write_of_unknown_outcome_are_durable(story: Story) -> None:
    story.add("w:1", 4)
    story.add("w:2", status=0)
    story.add("w:3", status=503, code="outcome_unknown")
    story.tick(4, "w:1")
    story.tick(5, "w:3", prev=4)
    assert story.verdict_with_ticks().ok


# No phantom ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tell",
    [
        lambda story: story.get(5, "nobody:1"),
        lambda story: story.show(5, "nobody:1"),
        lambda story: story.show(5, None),
        lambda story: story.get(4, "w:2"),
        lambda story: story.get(5, "other:1"),
        lambda story: story.tick(5, "nobody:1"),
    ],
    ids=["read", "shown", "deletion", "another value of the rev", "value of another key", "committed"],
)
def test_what_was_never_sent_is_a_phantom(story: Story, tell: Told) -> None:
    story.watch()
    story.add("other:1", 2, key="l")
    story.add("w:1", 4)
    story.show(4, "w:1")
    story.add("w:2", status=412, code="precondition_failed", if_rev=1)
    tell(story)
    assert "no phantom" in story.verdict().broken


def test_a_rev_that_two_viewers_are_shown_with_two_values_is_a_phantom(story: Story) -> None:
    for number in (1, 2):
        story.add(f"w:{number}", status=0)
        story.watch(f"v{number}", shows=[("snap", 4, f"w:{number}")])
        story.leave(f"v{number}")
    assert story.verdict().broken == ["no phantom"]


def test_unknown_writes_and_deletions_may_be_seen(story: Story) -> None:
    story.watch()
    story.add("w:1", 4)
    story.show(4, "w:1")
    story.delete(status=0)
    story.show(5, None)
    story.add("w:2", status=502)
    story.show(6, "w:2")
    story.get(6, "w:2")
    story.leave()
    assert story.verdict().ok


# Monotonic -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rev", [4, 5])
def test_a_viewer_that_is_shown_the_same_or_an_older_rev_went_back(story: Story, rev: int) -> None:
    story.watch()
    story.add("w:1", 4)
    story.add("w:2", 5)
    story.show(5, "w:2")
    story.show(rev, f"w:{rev - 3}")
    story.show(5, "w:2")
    story.leave()
    verdict = story.verdict()
    assert verdict.broken == ["monotonic"]
    sentence, *evidence = verdict.figures()["promises"]["monotonic"]["shortest"]
    assert sentence == f"v was shown rev {rev} of k after rev 5"
    assert [line.split()[2:4] for line in evidence] == [["v", "got"], ["v", "got"]]


def test_a_viewer_that_resumed_must_not_be_shown_what_it_has(story: Story) -> None:
    story.add("w:1", 4)
    story.watch(since={"k": 4}, shows=[("snap", 4, "w:1")])
    story.leave()
    assert story.verdict().broken == ["monotonic"]


def test_a_viewer_that_comes_anew_may_be_shown_it_again(story: Story) -> None:
    story.add("w:1", 4)
    for _ in range(2):
        story.watch(shows=[("snap", 4, "w:1")])
        story.leave()
    assert story.verdict().ok


# Converged -------------------------------------------------------------------------------------------------------


def test_a_viewer_that_does_not_get_the_last_value_has_not_converged(story: Story) -> None:
    story.watch()
    story.add("w:1", 4)
    story.leave()
    verdict = story.verdict()
    assert verdict.broken == ["converged"]
    assert verdict["converged"].shortest.sentence == "in the end v shows rev 0 of k, and its last rev is 4"


def test_a_committed_write_that_nobody_acknowledged_must_reach_viewers_too(story: Story) -> None:
    story.watch()
    story.add("w:1", status=0)
    story.tick(4, "w:1")
    story.leave()
    assert story.verdict_with_ticks().broken == ["converged"]


def test_a_reader_that_answers_an_older_value_in_the_end_has_not_converged(story: Story) -> None:
    story.add("w:1", 4)
    story.add("w:2", 5)
    story.get(4, "w:1", final=True, url="one")
    story.get(5, "w:2", final=True, url="other")
    assert story.verdict().broken == ["converged"]


def test_a_reader_that_answers_what_was_deleted_has_not_converged(story: Story) -> None:
    story.add("w:1", 4)
    story.delete(5)
    story.get(4, "w:1", final=True)
    assert story.verdict().broken == ["converged"]


def test_a_reader_that_does_not_answer_in_the_end_has_not_converged(story: Story) -> None:
    story.add("w:1", 4)
    story.get(status=503, code="storage_unavailable", final=True)
    assert story.verdict().broken == ["converged"]


def test_a_viewer_that_is_not_back_in_the_end_has_not_converged(story: Story) -> None:
    story.watch()
    story.leave(by="cut")
    assert story.verdict().broken == ["converged"]


def show_late(story: Story, seconds: float) -> None:
    story.watch()
    story.add("w:1", 4)
    story.later(seconds)
    story.show(4, "w:1")
    story.leave()


def test_what_is_shown_too_late_has_not_converged_in_time(story: Story) -> None:
    show_late(story, 2.6)
    verdict = story.verdict()
    assert verdict.broken == ["converged"]
    assert verdict.longest_stale_seconds == pytest.approx(2.61)


def test_a_read_that_is_stale_for_too_long_has_not_converged_in_time(story: Story) -> None:
    story.add("w:1", 4)
    story.add("w:2", 5)
    story.later(2.6)
    story.get(4, "w:1")
    assert story.verdict().broken == ["converged"]


@pytest.mark.parametrize(("after", "ok"), [(2.4, True), (2.6, False)])
def test_time_under_a_fault_does_not_count_and_time_after_it_does(story: Story, after: float, ok: bool) -> None:
    story.watch()
    story.fault("begin")
    story.add("w:1", 4)
    story.later(10)
    story.fault("end")
    story.later(after)
    story.show(4, "w:1")
    story.leave()
    verdict = story.verdict()
    assert verdict.ok is ok
    [figures] = verdict.converged
    assert figures["converged_seconds"] == pytest.approx(after + 0.01)


def test_a_figure_says_when_the_viewers_of_a_fault_were_back(story: Story) -> None:
    story.watch()
    story.fault("begin")
    story.leave(by="cut")
    story.fault("end")
    story.later(1)
    story.watch()
    story.leave()
    verdict = story.verdict()
    assert verdict.ok
    assert verdict.converged[0]["viewers_back_seconds"] == pytest.approx(1.03)


def test_a_connection_that_was_refused_is_not_one_that_waits(story: Story) -> None:
    story._note(Open, "v", via="sse", keys=["k"])
    story._note(Refused, "v", status=503)
    story.later(5)
    story.watch()
    story.leave()
    assert story.verdict().ok


def test_a_deleted_key_is_absent_for_viewers_and_readers(story: Story) -> None:
    story.add("w:1", 4)
    story.delete(5)
    story.watch(absent=["k"])
    story.get(status=404, code="key_not_found", final=True)
    story.later(10)
    story.get(status=404, code="key_not_found", min_rev=5)
    story.leave()
    assert story.verdict().ok


# Resumable -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("since", [{"k": 4}, {}])
def test_a_change_made_while_a_viewer_was_away_must_be_shown_when_it_is_back(
    story: Story, since: dict[str, int]
) -> None:
    story.add("w:1", 4)
    story.watch(shows=[("snap", 4, "w:1")])
    story.leave(by="cut")
    story.add("w:2", 5)
    story.watch(since=since)
    story.later(3)
    story.add("w:3", 6)
    story.show(6, "w:3")
    story.leave()
    assert story.verdict().broken == ["resumable"]


def test_a_subscribe_must_be_answered(story: Story) -> None:
    story.watch()
    story.leave(by="cut")
    story.later(1)
    story.watch()
    opened, subbed = story._records[-2:]
    subbed.at += 3_000_000_000
    story.at = subbed.at
    story.leave()
    assert opened.at < subbed.at
    assert story.verdict().broken == ["resumable"]


def test_a_viewer_that_resumed_and_was_shown_what_it_missed_is_well(story: Story) -> None:
    story.add("w:1", 4)
    story.watch(shows=[("snap", 4, "w:1")])
    story.leave(by="cut")
    story.add("w:2", 5)
    story.later(60)
    story.watch(since={"k": 4}, shows=[("snap", 5, "w:2")])
    story.later(60)
    story.leave()
    assert story.verdict().ok


def test_what_a_viewer_is_shown_right_after_it_came_is_in_time_however_old_it_is(story: Story) -> None:
    story.add("w:1", 4)
    story.later(60)
    story.watch()
    story.show(4, "w:1")
    story.leave()
    assert story.verdict().ok


# Fresh -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 304, 404])
def test_a_read_must_not_be_older_than_it_asked_for(story: Story, status: int) -> None:
    story.add("w:1", 4)
    story.add("w:2", 5)
    known = {"rev": 4, "value": "w:1" if status == 200 else None} if status != 404 else {}
    story.get(min_rev=5, status=status, **known)  # type: ignore[arg-type]
    assert story.verdict().broken == ["fresh"]


def test_a_read_may_be_refused_or_newer(story: Story) -> None:
    story.add("w:1", 4)
    story.get(min_rev=9, status=503, code="rev_not_reached")
    story.get(4, "w:1", min_rev=3)
    story.delete(status=0)
    story.get(min_rev=4, status=404, code="key_not_found")
    assert story.verdict().ok


# Exactly once, refused -------------------------------------------------------------------------------------------


def test_a_repeated_write_that_gets_another_rev_was_applied_twice(story: Story) -> None:
    story.add("w:1", 4, id="one")
    story.add("w:1", 5, id="one")
    assert story.verdict().broken == ["exactly once"]


def test_a_repeated_write_that_is_seen_twice_was_applied_twice(story: Story) -> None:
    story.watch()
    story.add("w:1", status=0, id="one")
    story.show(4, "w:1")
    story.add("w:1", 5, id="one")
    story.show(5, "w:1")
    story.leave()
    assert story.verdict().broken == ["exactly once"]


def test_an_answer_under_an_idempotency_key_may_not_turn_into_a_refusal(story: Story) -> None:
    story.add("w:1", 4)
    story.delete(5, id="one")
    story.delete(status=404, code="key_not_found", id="one")
    assert story.verdict().broken == ["exactly once"]


def test_a_deletion_that_is_repeated_brings_the_same_rev(story: Story) -> None:
    story.add("w:1", 4)
    story.delete(5, id="one")
    story.delete(6, id="one")
    assert story.verdict().broken == ["exactly once"]


def test_a_batch_that_is_repeated_brings_the_same_revs(story: Story) -> None:
    items = [("k", "w:1", 4), ("l", "w:2", 5), ("k", "w:3", 6)]
    story.batch(*((key, value, 0) for key, value, _ in items), status=0, id="one")
    story.batch(*items, id="one")
    story.batch(*items, id="one")
    assert story.verdict().ok


@pytest.mark.parametrize(("status", "code"), [(503, "storage_unavailable"), (0, UNREACHABLE), (429, "")])
def test_a_write_that_was_refused_for_certain_must_not_be_applied(story: Story, status: int, code: str) -> None:
    story.watch()
    story.add("w:1", status=status, code=code)
    story.show(4, "w:1")
    story.leave()
    assert story.verdict().broken == ["refused"]


# Compare and set -------------------------------------------------------------------------------------------------


def test_of_two_writes_over_the_same_rev_only_one_may_win(story: Story) -> None:
    story.add("w:1", 4)
    story.add("one:1", 5, if_rev=4)
    story.add("other:1", 6, if_rev=4)
    verdict = story.verdict()
    assert verdict.broken == ["compare and set"]
    assert verdict["compare and set"].shortest.sentence == "k rev 6 was to follow on rev 4, and rev 5 came between"
    assert len(verdict.evidence(verdict["compare and set"].shortest)) == 2


def test_of_two_creations_only_one_may_win(story: Story) -> None:
    story.add("one:1", 4, if_rev=0)
    story.add("other:1", 5, if_rev=0)
    assert story.verdict().broken == ["compare and set"]


def test_one_winner_of_each_rev_is_well(story: Story) -> None:
    story.add("one:1", 4, if_rev=0)
    story.add("one:2", 5, if_rev=4)
    story.add("other:1", status=412, code="precondition_failed", if_rev=4)
    story.delete(6, if_rev=5)
    story.add("other:2", 7, if_rev=0)
    assert story.verdict().ok


# Every -----------------------------------------------------------------------------------------------------------


def miss_one(story: Story, mode: str = "every") -> None:
    story.watch(mode=mode)
    for number in (4, 5, 6):
        story.add(f"w:{number}", number)
    story.show(4, "w:4")


def test_a_change_that_is_left_out_in_silence_breaks_mode_every(story: Story) -> None:
    miss_one(story)
    story.show(6, "w:6")
    story.leave()
    verdict = story.verdict()
    assert verdict.broken == ["every"]
    assert len(verdict.evidence(verdict["every"].shortest)) == 3


def test_a_change_that_only_the_database_knows_counts_as_well(story: Story) -> None:
    story.watch(mode="every")
    story.add("w:1", 4)
    story.show(4, "w:1")
    story.add("w:2", status=0)
    story.add("w:3", 6)
    story.show(6, "w:3")
    story.leave()
    for rev in (4, 5, 6):
        story.tick(rev, f"w:{rev - 3}", prev=rev - 1 if rev > 4 else 0)
    assert story.verdict_with_ticks().broken == ["every"]


def test_a_change_that_is_said_to_be_missing_is_honest(story: Story) -> None:
    miss_one(story)
    story.told()
    story.show(6, "w:6")
    story.leave()
    assert story.verdict().ok


def test_what_a_resume_skips_must_be_said(story: Story) -> None:
    story.watch(mode="every")
    story.add("w:1", 4)
    story.show(4, "w:1")
    story.leave(by="cut")
    story.add("w:2", 5)
    story.add("w:3", 6)
    story.watch(mode="every", since={"k": 4}, shows=[("upd", 6, "w:3")])
    story.leave()
    assert story.verdict().broken == ["every"]


@pytest.mark.parametrize("op", ["snap", "upd"])
def test_a_resume_that_says_what_it_skips_is_honest(story: Story, op: str) -> None:
    story.watch(mode="every")
    story.add("w:1", 4)
    story.show(4, "w:1")
    story.leave(by="cut")
    story.add("w:2", 5)
    story.add("w:3", 6)
    story.watch(mode="every", since={"k": 4}, shows=[(op, 6, "w:3")], told=True)
    story.leave()
    assert story.verdict().ok


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize(("says", "broken"), [((), ["every"]), ((False,), [])])
def test_a_snapshot_in_place_of_ticks_says_itself_that_it_skips_them(
    story: Story, ended: bool, says: tuple[bool, ...], broken: list[str]
) -> None:
    """What follows may never come: the viewer is cut off before `subbed`, and resumes behind the snapshot."""
    story.watch(mode="every")
    story.add("w:1", 4)
    story.show(4, "w:1")
    story.leave(by="cut")
    story.add("w:2", 5)
    story.add("w:3", 6)
    story.watch(mode="every", since={"k": 4}, shows=[("snap", 6, "w:3", *says)])
    if ended:
        del story._records[-1]
        story.leave(by="cut")
        story.watch(mode="every", since={"k": 6})
    story.leave()
    assert story.verdict().broken == broken


def test_mode_latest_may_skip(story: Story) -> None:
    miss_one(story, "latest")
    story.show(6, "w:6")
    story.leave()
    assert story.verdict().ok


# Seen off --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("by", "ok"), [("cut", False), ("silent", False), ("server", True)])
def test_viewers_of_a_function_that_stops_are_told_goodbye(story: Story, by: str, ok: bool) -> None:
    story.watch(url="http://push")
    story.fault("begin", drains="http://push")
    story.leave(by=by, code=1012 if ok else 0)
    story.fault("end")
    story.watch(url="http://other")
    story.leave()
    assert story.verdict().broken == ([] if ok else ["seen off"])


# Available -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("during", "after", "ok"), [("fault", 0, True), ("fault", 3, False), ("nothing", 3, False)])
def test_without_a_fault_calls_are_answered(story: Story, during: str, after: float, ok: bool) -> None:
    story.add("w:1", 4)
    if during == "fault":
        story.fault("begin")
    for number in (2, 3):
        story.add(f"w:{number}", status=503, code="storage_unavailable")
    if during == "fault":
        story.later(5)
        story.fault("end")
    story.later(after)
    story.add("w:4", 5)
    assert story.verdict().broken == ([] if ok else ["available"])


def test_a_function_that_never_comes_back_is_not_available(story: Story) -> None:
    story.get(status=404, code="key_not_found")
    for _ in range(4):
        story.later(1)
        story.get(status=0, code="TimeoutError")
    assert story.verdict().broken == ["available"]


# A restored backup -----------------------------------------------------------------------------------------------


def restore(story: Story) -> None:
    """rev 4 is in the backup, rev 5 was made after it, and rev 5 of the new epoch is another one."""
    story.add("w:1", 4)
    story.watch(shows=[("snap", 4, "w:1")])
    backup_at = story.at + 1
    story.add("w:2", 5, id="one")
    story.show(5, "w:2")
    story.get(5, "w:2")
    story.fault("begin")
    story.leave(by="server", code=1012)
    story.fault("end", voids_from=backup_at)
    story.tick(4, "w:1")


def test_what_came_after_a_backup_may_be_gone_when_it_was_restored(story: Story) -> None:
    restore(story)
    story.watch(since={"k": 5}, epoch="new", shows=[("snap", 4, "w:1")])
    story.add("w:3", 5)
    story.show(5, "w:3")
    story.add("w:2", 6, id="one")
    story.show(6, "w:2")
    story.get(6, "w:2", final=True)
    story.leave()
    story.tick(5, "w:3", prev=4)
    story.tick(6, "w:2", prev=5)
    assert story.verdict_with_ticks().ok


def test_what_was_acknowledged_before_the_backup_must_be_there_still(story: Story) -> None:
    restore(story)
    story.ticks.clear()
    story.watch(epoch="new")
    story.leave()
    assert "durable" in story.verdict({}).broken


# All -------------------------------------------------------------------------------------------------------------


def test_a_history_without_its_end_proves_nothing(story: Story, tmp_path: Path) -> None:
    story.add("w:1", 4)
    verdict = story.verdict()
    path = tmp_path / "story.jsonl"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if '"end"' not in line))
    assert verdict.ok
    from tests.checker import check

    assert not check(tmp_path).ok
    assert check(tmp_path).incomplete.startswith("story: no end")


@pytest.mark.parametrize("ok", [True, False])
def test_the_command_prints_a_verdict_and_leaves_with_it(story: Story, tmp_path: Path, ok: bool) -> None:
    story.add("w:1", 4)
    story.get(4 if ok else 3, "w:1" if ok else None, min_rev=4, status=200 if ok else 304)
    assert story.verdict().ok is ok
    command = [sys.executable, "-m", "tests.checker", str(tmp_path)]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    figures = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True)
    assert (text.returncode, figures.returncode) == (int(not ok), int(not ok)), text.stderr
    assert json.loads(figures.stdout)["ok"] is ok
    assert ("r asked for k no older than rev 4 and was answered rev 3" in text.stdout) is not ok
