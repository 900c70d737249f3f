"""Checks of what writers were told: durable, no phantom, exactly once, refused, compare-and-set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.checker.findings import Finding
from tests.checker.history import History
from tests.checker.records import Add, Call, Delete
from tests.checker.truth import Attempt, Truth


def durable(truth: Truth) -> Finding:
    """Each acknowledged write is in the database, or a newer one of its key is."""
    finding = Finding("durable", "acknowledged writes")
    for value, attempt in _acknowledged(truth):
        finding.checked += 1
        key, rev = attempt.key, attempt.rev
        if truth.exact:
            held = truth.known[key].get(rev)
            if held is None or not held.stored or held.value != value:
                finding.broken(f"{key} rev {rev} was acknowledged, and the database has no such change", attempt.ref)
        if truth.rows is not None:
            row = truth.rows.get(key)
            if row is None or row.rev < rev:
                has = f"has rev {row.rev}" if row else "has no such key"
                finding.broken(f"{key} rev {rev} was acknowledged, and in the end the database {has}", attempt.ref)
    return finding


def _acknowledged(truth: Truth) -> Iterator[tuple[str | None, Attempt]]:
    for value, attempts in truth.attempts.items():
        for attempt in attempts:
            if attempt.rev:
                yield value, attempt
    for attempts in truth.deletions.values():
        for attempt in attempts:
            if attempt.rev:
                yield None, attempt


def no_phantom(truth: Truth) -> Finding:
    """What is seen was sent, to that key; and a rev means one value."""
    finding = Finding("no phantom", "changes seen or committed")
    for key, revs in truth.known.items():
        unsaid = 0
        for rev, known in revs.items():
            finding.checked += 1
            if known.value is None:
                unsaid += not any(attempt.rev == rev for attempt in truth.deletions.get(key, ()))
                if unsaid > sum(attempt.unknown for attempt in truth.deletions.get(key, ())):
                    finding.broken(f"{key} rev {rev} is a deletion that nobody asked for", known.ref)
                continue
            attempts = truth.attempts.get(known.value, ())
            if not any(attempt.key == key for attempt in attempts):
                sent = "was sent to another key" if attempts else "was never sent"
                refs = [attempt.ref for attempt in attempts[:1]]
                finding.broken(f"{key} rev {rev} has the value {known.value}, which {sent}", *refs, known.ref)
    for key, rev, first, second in truth.contradictions:
        finding.broken(f"{key} rev {rev} stands for two values", first, second)
    return finding


def refused(truth: Truth) -> Finding:
    """What was refused in every attempt was not applied."""
    finding = Finding("refused", "writes refused for certain")
    applied: dict[str, tuple[str, int]] = {}
    for revs in truth.known.values():
        for known in revs.values():
            if known.value is not None:
                applied[known.value] = known.ref
    for value, attempts in truth.attempts.items():
        if not any(attempt.rev or attempt.unknown for attempt in attempts):
            finding.checked += 1
            if value in applied:
                last = attempts[-1]
                finding.broken(
                    f"{value} was refused ({last.call.status} {last.call.code}), and yet it was applied",
                    last.ref, applied[value],
                )
    return finding


def exactly_once(history: History, truth: Truth) -> Finding:
    """One write has one rev, and its Idempotency-Key brings the first answer for ever."""
    finding = Finding("exactly once", "writes with an Idempotency-Key")
    revs_of: dict[str, list[tuple[int, tuple[str, int]]]] = defaultdict(list)
    for revs in truth.known.values():
        for rev, known in revs.items():
            if known.value is not None:
                revs_of[known.value].append((rev, known.ref))
    for value, found in revs_of.items():
        if len(found) > 1:
            (one, first), (other, second) = sorted(found)[:2]
            finding.broken(f"{value} was applied twice, as rev {one} and as rev {other}", first, second)
    named: dict[str, list[Call]] = defaultdict(list)
    for call in history.writes:
        if call.id:
            named[call.id].append(call)
    finding.checked = len(named)
    for identity, calls in named.items():
        for earlier, later in _answers_that_differ(calls):
            finding.broken(
                f"the Idempotency-Key {identity} was answered {_answer(earlier)}, and later {_answer(later)}",
                (earlier.who, earlier.at), (later.who, later.at),
            )
    return finding


def _answers_that_differ(calls: list[Call]) -> Iterator[tuple[Call, Call]]:
    first = next((call for call in calls if call.status == 200), None)
    if first is not None:
        for call in calls:
            differs = call.status == 200 and _answer(call) != _answer(first)
            if differs or (call.status in (404, 409, 412) and call.sent_at > first.at):
                yield first, call


def _answer(call: Call) -> str:
    items = getattr(call, "items", None)
    revs = [item.rev for item in items] if items is not None else call.rev
    return f"{call.status} rev {revs}" if call.status == 200 else f"{call.status} {call.code}"


def compare_and_set(history: History, truth: Truth) -> Finding:
    """A write over a certain rev is the next change after it, so of two over the same rev one wins at most."""
    finding = Finding("compare and set", "conditional writes that won")
    done: set[tuple[str, int]] = set()
    for call in history.writes:
        if not isinstance(call, Add | Delete) or call.if_rev is None or not call.rev or (call.key, call.rev) in done:
            continue
        done.add((call.key, call.rev))
        finding.checked += 1
        if call.if_rev:
            _over_a_rev(finding, truth, call)
        else:
            _over_nothing(finding, truth, call)
    return finding


def _over_a_rev(finding: Finding, truth: Truth, call: Add | Delete) -> None:
    assert call.if_rev is not None
    between = truth.between(call.key, call.if_rev, call.rev)
    if between:
        finding.broken(
            f"{call.key} rev {call.rev} was to follow on rev {call.if_rev}, and rev {between[0]} came between",
            truth.known[call.key][between[0]].ref, (call.who, call.at),
        )
    elif call.rev <= call.if_rev:
        finding.broken(f"{call.key}: rev {call.rev} was written over rev {call.if_rev}", (call.who, call.at))


def _over_nothing(finding: Finding, truth: Truth, call: Add | Delete) -> None:
    before = truth.between(call.key, 0, call.rev)
    if before and (truth.exact or not any(attempt.unknown for attempt in truth.deletions.get(call.key, ()))):
        known = truth.known[call.key][before[-1]]
        if known.value is not None:
            finding.broken(
                f"{call.key} rev {call.rev} was to be made only where there is none, and rev {before[-1]} was there",
                known.ref, (call.who, call.at),
            )
