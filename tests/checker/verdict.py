"""All checks on one history, and how a person reads what they say."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from kvcast.messages import Change
from tests.checker import recording, records
from tests.checker.availability import Availability, available
from tests.checker.findings import Finding, Violation
from tests.checker.history import History
from tests.checker.reading import Reading
from tests.checker.staleness import Staleness
from tests.checker.truth import DATABASE, Truth
from tests.checker.viewing import Viewing, every, in_the_end, monotonic, seen_off
from tests.checker.writing import compare_and_set, durable, exactly_once, no_phantom, refused

PROMISED_SECONDS = 2.5
_LINE_MOST = 220


@dataclass
class Verdict:
    """converged: figures after each fault's end; unavailable_seconds: of each kind of call, as the load counts it;
    longest_stale_seconds: that anybody saw something older, faults apart.
    """

    findings: list[Finding]
    folder: Path
    first_at: int
    longest_stale_seconds: float
    converged: list[dict[str, object]]
    unavailable_seconds: dict[str, float]
    records_read: int
    judged_seconds: float
    incomplete: str = ""

    @property
    def ok(self) -> bool:
        return not self.incomplete and not any(finding.violations for finding in self.findings)

    def __getitem__(self, promise: str) -> Finding:
        return next(finding for finding in self.findings if finding.promise == promise)

    @property
    def broken(self) -> list[str]:
        """The promises that were."""
        return [finding.promise for finding in self.findings if finding.violations]

    def evidence(self, violation: Violation) -> list[str]:
        """The records of it as readable lines."""
        wanted = {ref for ref in violation.refs if ref[0] != DATABASE}
        found: dict[tuple[str, int], list[str]] = {}
        marks = [f'"at":{at},'.encode() for _, at in wanted]
        for line in recording.lines(self.folder) if wanted else ():
            if any(mark in line for mark in marks):
                record = records.decoder.decode(line)
                if (record.who, record.at) in wanted:
                    text = self._readable(record, violation.sentence)
                    found.setdefault((record.who, record.at), []).append(text)
        lines = []
        for ref in violation.refs:
            lines += found.get(ref, ["            the database holds it"] if ref[0] == DATABASE else [])
        return lines

    def _readable(self, record: records.Any, sentence: str) -> str:
        """Of many changes those of a key that `sentence` names."""
        if isinstance(record, records.Got):
            record.changes = [change for change in record.changes if change.key in sentence]
        elif isinstance(record, records.Batch):
            record.items = [item for item in record.items if item.key in sentence or item.value in sentence]
        parts = msgspec.to_builtins(record)
        seconds = (parts.pop("at") - self.first_at) / 1e9
        who, what = parts.pop("who"), parts.pop("what")
        if "took" in parts:
            parts["took"] = f"{parts['took'] / 1e6:.1f} ms"
        rest = " ".join(f"{name}={part}" for name, part in parts.items())
        return f"{seconds:12.6f} s  {who}  {what}  {rest}"[:_LINE_MOST]

    def text(self) -> str:
        lines = [self.incomplete] if self.incomplete else []
        for finding in self.findings:
            broken = finding.violations
            outcome = f"BROKEN {broken} times" if broken else "held" if finding.checked else "not tried"
            lines.append(
                f"{finding.promise:16} {outcome:16} "
                f"{finding.checked:>10,} {finding.about}"
            )
            if broken:
                shortest = finding.shortest
                lines += [f"    {shortest.sentence}:", *(f"    {line}" for line in self.evidence(shortest))]
        lines += [f"unavailable for {kind}s: {seconds:.3f} s" for kind, seconds in self.unavailable_seconds.items()]
        lines.append(f"longest stale without a fault: {self.longest_stale_seconds:.3f} s")
        lines += [
            f"after {one['fault']}: converged in {one['converged_seconds']} s, "
            f"viewers back in {one['viewers_back_seconds']} s"
            for one in self.converged
        ]
        lines.append(f"{self.records_read:,} records judged in {self.judged_seconds:.1f} s")
        return "\n".join(lines)

    def figures(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "ok": self.ok,
            "incomplete": self.incomplete,
            "promises": {
                finding.promise: {"checked": finding.checked, "broken": finding.violations}
                | (
                    {"shortest": [finding.shortest.sentence, *self.evidence(finding.shortest)]}
                    if finding.violations
                    else {}
                )
                for finding in self.findings
            },
            "longest_stale_seconds": self.longest_stale_seconds,
            "converged": self.converged,
            "unavailable_seconds": self.unavailable_seconds,
        }


def check(
    folder: Path, database: Mapping[str, Change] | None = None, ticks: Iterable[Change] | None = None,
    *, within_seconds: float = PROMISED_SECONDS,
) -> Verdict:
    """Judge the history in `folder`.

    database: the rows of PostgreSQL when all had ended, tombstones included; ticks: all that it committed, which makes
    the verdict exact about what nobody saw. within_seconds: how long anybody may be stale, faults apart.
    Raises FileNotFoundError, msgspec.DecodeError.
    """
    begun = time.monotonic()
    history = History(folder)
    truth = Truth(history, database, ticks)
    staleness = Staleness(history.clear, history.faults, int(within_seconds * 1e9))
    converged = Finding("converged", "last values of readers and viewers")
    reading = Reading(history, truth, staleness, converged)
    viewing = Viewing(history, truth, staleness, converged)
    in_the_end(history, truth, reading, converged)
    findings = [
        durable(truth), no_phantom(truth), monotonic(history), converged, viewing.resumed, reading.fresh,
        exactly_once(history, truth), refused(truth), compare_and_set(history, truth), every(history, truth),
        seen_off(history),
    ]
    writes = Availability("write")
    for call in history.writes:
        writes.take(call)
    findings.append(available(staleness, writes, reading.available))
    kinds = (writes, reading.available)
    unavailable: dict[str, float] = {kind.kind: round(kind.unavailable_seconds(), 3) for kind in kinds}
    return Verdict(
        findings, folder, history.first_at, round(staleness.longest / 1e9, 3), staleness.figures(), unavailable,
        history.records + reading.count, time.monotonic() - begun, _incomplete(history),
    )


def _incomplete(history: History) -> str:
    """Why the history proves nothing; empty where it is whole."""
    ended = {end.who for end in history.ends}
    files = {path.stem for path in recording.files(history.folder)} - {"faults"}
    if missing := sorted(files - ended):
        names = ", ".join(missing)
        return f"{names}: no end was recorded, so calls and messages are missing; let the load end by itself."
    return ""
