"""Checks of what viewers were shown: monotonic, converged, resumed, complete or told, seen off."""

from __future__ import annotations

from bisect import bisect_right

from tests.checker.findings import Finding
from tests.checker.history import Connection, History, Shown
from tests.checker.reading import Reading
from tests.checker.staleness import NEVER, Staleness
from tests.checker.truth import DATABASE, Truth

_NOTHING = Shown()


def monotonic(history: History) -> Finding:
    """Within a connection revs of a key rise, and start above what the viewer said it has."""
    finding = Finding("monotonic", "changes shown", history.shown_count)
    for connection in history.connections:
        for key, shown in connection.shown.items():
            last, last_at = connection.since.get(key, 0), connection.asked.at
            for at, rev in zip(shown.ats, shown.revs, strict=True):
                if rev <= last:
                    finding.broken(
                        f"{connection.who} was shown rev {rev} of {key} after rev {last}",
                        (connection.who, last_at), (connection.who, at),
                    )
                last, last_at = max(last, rev), at
    return finding


class Viewing:
    """Of all connections: how stale what they showed was, while they were live."""

    def __init__(self, history: History, truth: Truth, staleness: Staleness, converged: Finding) -> None:
        self.converged = converged
        self.resumed = Finding("resumable", "subscribes of a viewer that had been away or came anew")
        self._history = history
        self._truth = truth
        self._staleness = staleness
        left_at: dict[str, int] = {}  # by viewers that did not leave by themselves, and are not back
        for connection in history.connections:
            self.resumed.checked += 1
            self._answered(connection)
            if connection.subbed_at and connection.who in left_at:
                staleness.away(left_at.pop(connection.who), connection.subbed_at)
            if connection.closed is not None and connection.closed.by != "client":
                left_at.setdefault(connection.who, connection.closed.at)
            if connection.subbed_at:
                for key in history.covered(connection, truth.acknowledged):
                    self._key(connection, key)

    def _answered(self, connection: Connection) -> None:
        who, asked_at = connection.who, connection.asked.at
        until = connection.subbed_at or self._end(connection)
        self._staleness.add(
            self.resumed, asked_at, until, who, "waited for what it had asked for", (who, asked_at), (who, until)
        )

    def _end(self, connection: Connection) -> int:
        return connection.closed.at if connection.closed else self._history.last_at

    def _key(self, connection: Connection, key: str) -> None:
        shown = connection.shown.get(key, _NOTHING)
        live_at = connection.subbed_at
        place = bisect_right(shown.ats, live_at)
        rev: int | None = shown.revs[place - 1] if place else connection.since.get(key, 0)
        if not place and not rev:
            rev = self._truth.absent_rev(key, live_at)
        for at, next_rev in zip(shown.ats[place:], shown.revs[place:], strict=True):
            if rev is not None:
                self._piece(connection, key, rev, at)
            rev = max(rev or 0, next_rev)
        if rev is not None:
            self._piece(connection, key, rev, self._end(connection))

    def _piece(self, connection: Connection, key: str, rev: int, until: int) -> None:
        at, who, newer = self._truth.acknowledged[key].first_after(rev)
        if at >= until:
            return
        before = at < connection.asked.at
        begin = max(at, connection.subbed_at)
        self._staleness.add(
            self.resumed if before else self.converged, begin, until, connection.who,
            f"showed rev {rev} of {key} in place of {newer}", (who, at), (connection.who, until),
        )


def in_the_end(history: History, truth: Truth, reading: Reading, finding: Finding) -> None:
    """When all had settled every reader, every viewer and the database hold the same."""
    final = _final_revs(truth, reading)
    for (key, url), get in reading.finals.items():
        held = truth.known[key].get(final.get(key, 0))
        finding.checked += 1
        awaited = 404 if held is None or held.value is None else 200
        if get.status != awaited or (awaited == 200 and get.rev != final[key]):
            finding.broken(
                f"in the end {url} answers {get.status} rev {get.rev} for {key}, whose last rev is {final.get(key, 0)}",
                (get.who, get.at),
            )
    last = {connection.who: connection for connection in history.connections}
    for connection in last.values():
        closed = connection.closed
        if not connection.subbed_at or (closed is not None and closed.by != "client"):
            finding.broken(f"{connection.who} was not connected in the end", (connection.who, connection.asked.at))
            continue
        for key in history.covered(connection, truth.known):
            finding.checked += 1
            shown = connection.shown.get(key)
            rev = shown.revs[-1] if shown else connection.since.get(key, 0)
            held = truth.known[key].get(final.get(key, 0))
            if rev != final.get(key, 0) and not (rev == 0 and (held is None or held.value is None)):
                at = shown.ats[-1] if shown else connection.subbed_at
                refs = [held.ref] if held is not None and held.ref[0] != DATABASE else []
                finding.broken(
                    f"in the end {connection.who} shows rev {rev} of {key}, and its last rev is {final.get(key, 0)}",
                    *refs, (connection.who, at),
                )


def _final_revs(truth: Truth, reading: Reading) -> dict[str, int]:
    if truth.rows is not None:
        return {key: row.rev for key, row in truth.rows.items()}
    final = {key: max(revs, default=0) for key, revs in truth.known.items()}
    for get in reading.finals.values():
        final[get.key] = max(final.get(get.key, 0), get.rev)
    return final


def every(history: History, truth: Truth) -> Finding:
    """In mode every no known change of a key lies between two that follow one another, unless the viewer was told."""
    finding = Finding("every", "changes shown in mode every")
    for connection in history.connections:
        if connection.asked.mode == "every":
            for key, shown in connection.shown.items():
                _chain(finding, truth, connection, key, shown)
    return finding


def _chain(finding: Finding, truth: Truth, connection: Connection, key: str, shown: Shown) -> None:
    finding.checked += len(shown.revs)
    last, last_at = connection.since.get(key, 0), connection.asked.at
    for at, rev in zip(shown.ats, shown.revs, strict=True):
        if last:
            missing = truth.between(key, last, rev)
            if missing and rev not in shown.told and not _told(connection, key, last_at, at):
                finding.broken(
                    f"{connection.who} watches every change of {key} and was shown rev {rev} after {last}, "
                    f"without rev {missing[0]} and untold",
                    (connection.who, last_at), truth.known[key][missing[0]].ref, (connection.who, at),
                )
        last, last_at = rev, at


def _told(connection: Connection, key: str, after: int, until: int) -> bool:
    """Whether a `subbed` said that ticks are missing: the first one of what it came with, a later one of its keys.

    A connection that broke before it has said nothing, and a viewer resumes behind what it was shown.
    """
    for number, subbed in enumerate(connection.told):
        if not subbed.recovered and (
            (number == 0 and after <= subbed.at) or (key in subbed.keys and after <= subbed.at <= until)
        ):
            return True
    return False


def seen_off(history: History) -> Finding:
    """A push function that is told to stop says goodbye to each viewer of it: with a close frame, or an orderly end."""
    finding = Finding("seen off", "connections to a push function that was told to stop")
    for fault in history.faults:
        if fault.phase != "begin" or not fault.drains:
            continue
        end = next(
            (one.at for one in history.faults if one.at > fault.at and one.name == fault.name and one.phase == "end"),
            NEVER,
        )
        for connection in history.connections:
            closed = connection.closed
            if connection.asked.url == fault.drains and closed is not None and fault.at <= closed.at <= end:
                finding.checked += 1
                if closed.by in ("cut", "silent"):
                    finding.broken(
                        f"{connection.who} was cut off by {fault.drains}, which was told to stop",
                        (fault.who, fault.at), (connection.who, closed.at),
                    )
    return finding
