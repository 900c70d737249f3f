"""The figures of faults as lines and as a table of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.faults.running import Result

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
HEAD = (
    "fault", "lost", "went back", "converged in", "no write for", "no read for", "errors by code", "memory, MB",
    "writes/s, reads/s",
)  # fmt: skip


def line(result: Result) -> str:
    outcome = "BROKEN" if result.broken else "held"
    return f"{outcome:6} " + "  ".join(
        f"{name} {cell}" if number else f"{cell:32}"
        for number, (name, cell) in enumerate(zip(HEAD, cells(result), strict=True))
    )


def cells(result: Result) -> list[str]:
    before, after = result.memory_mb
    return [
        result.fault, str(result.lost), str(result.regressions), f"{result.converged_seconds:.2f} s",
        *(f"{result.unavailable_seconds[kind]:.1f} s" for kind in ("write", "read")), errors(result.errors),
        f"{before:.0f} to {after:.0f}", f"{result.writes_per_second:.0f}, {result.reads_per_second:.0f}",
    ]  # fmt: skip


def errors(counts: Mapping[str, int]) -> str:
    """Such as `503 storage_unavailable 12`; of all kinds of calls together."""
    together: dict[str, int] = {}
    for call, count in counts.items():
        _, _, code = call.partition(" ")
        shown = code.removeprefix("0 ")
        together[shown] = together.get(shown, 0) + count
    return ", ".join(f"{code} {count}" for code, count in sorted(together.items(), key=lambda item: -item[1])) or "none"


def table(results: Sequence[Result], skipped: Mapping[str, str]) -> str:
    rows = [HEAD, ["---"] * len(HEAD), *(cells(result) for result in results)]
    rows += [[name, f"left out: {reason}", *[""] * (len(HEAD) - 2)] for name, reason in skipped.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def meaning(abouts: Mapping[str, str]) -> str:
    """What each fault does to users. abouts: by name."""
    rows = [("fault", "what a user notices"), ("---", "---"), *abouts.items()]
    return "\n".join(f"| {name} | {about} |" for name, about in rows)


def put_into_docs(path: Path, text: str) -> None:
    """Between the markers, in place of what stands there."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
