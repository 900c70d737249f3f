"""The figures of faults as lines and as a table of Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.faults.running import PROMISED, Result

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
LOAD = f"writes/s, reads/s, viewers (of {PROMISED.writes_per_second}, {PROMISED.reads_per_second}, {PROMISED.viewers})"
HEAD = (
    "fault", "outcome", "lost", "went back", "converged in", "no write for", "no read for", "errors by code",
    "memory, MB", LOAD,
)  # fmt: skip


class Report:
    """A row for each fault. abouts: what each means to users, by name, in the order of the table.

    docs: a document whose table follows each row; rows of faults that are not run stay as they stand there.
    """

    def __init__(self, abouts: Mapping[str, str], docs: Path | None = None) -> None:
        self._abouts = abouts
        self._docs = docs
        self._rows: dict[str, list[str]] = {}
        if docs is not None:
            self._rows = {row[0]: row for row in _rows_in(docs.read_text()) if len(row) == len(HEAD)}

    def ran(self, result: Result) -> None:
        self._add(cells(result))
        for sentence in result.broken:
            print(f"    {sentence}", flush=True)

    def left_out(self, name: str, reason: str) -> None:
        self._add(_only(name, f"left out: {reason}"))

    def failed(self, name: str, error: Exception) -> None:
        self._add(_only(name, f"broken: {type(error).__name__}: {error}"))

    def table(self) -> str:
        rows = [HEAD, ["---"] * len(HEAD), *(self._rows[name] for name in self._abouts if name in self._rows)]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def missed(self) -> str:
        """Where the load that is promised was not reached, and what has not been run."""
        absent = [name for name in self._abouts if name not in self._rows]
        if len(absent) == len(self._abouts):
            return "Not yet measured: `make test-faults FAULTS_ARGS=--docs` fills the table."
        below = [name for name in self._abouts if name in self._rows and "below" in self._rows[name][-1]]
        reached = f"not reached under: {', '.join(below)}." if below else "reached under every fault."
        return f"The load that was to be was {reached}" + (f" Not yet run: {', '.join(absent)}." if absent else "")

    def text(self) -> str:
        """What stands in the document."""
        return f"{self.table()}\n\n{self.missed()}\n\n{meaning(self._abouts)}"

    def _add(self, row: list[str]) -> None:
        self._rows[row[0]] = row = [_cell(text) for text in row]
        pairs = list(zip(HEAD, row, strict=True))
        print("  ".join([f"{row[0]:42}", row[1], *(f"{name} {text}" for name, text in pairs[2:] if text)]), flush=True)
        if self._docs is not None:
            put_into_docs(self._docs, self.text())


def _only(name: str, outcome: str) -> list[str]:
    return [name, outcome, *[""] * (len(HEAD) - 2)]


def _cell(text: str) -> str:
    """Of one line, and without what would end it."""
    return " ".join(text.replace("|", "/").split())


def cells(result: Result) -> list[str]:
    before, after = result.memory_mb
    return [
        result.fault, "broken: " + "; ".join(result.broken) if result.broken else "held",
        str(result.lost), str(result.regressions), f"{result.converged_seconds:.2f} s",
        *(f"{result.unavailable_seconds[kind]:.1f} s" for kind in ("write", "read")), errors(result.errors),
        f"{before:.0f} to {after:.0f}", load(result),
    ]  # fmt: skip


def load(result: Result) -> str:
    """What was reached, over all of the load's time, and what of it is less than promised."""
    reached = {
        "writes": (result.writes_per_second, PROMISED.writes_per_second),
        "reads": (result.reads_per_second, PROMISED.reads_per_second),
        "viewers": (result.viewers, PROMISED.viewers),
    }
    below = " and ".join(name for name, (had, promised) in reached.items() if had < promised)
    return ", ".join(f"{had:.0f}" for had, _ in reached.values()) + (f"; {below} below" if below else "")


def errors(counts: Mapping[str, int]) -> str:
    """Such as `503 storage_unavailable 12`; of all kinds of calls together."""
    together: dict[str, int] = {}
    for call, count in counts.items():
        _, _, code = call.partition(" ")
        shown = code.removeprefix("0 ")
        together[shown] = together.get(shown, 0) + count
    return ", ".join(f"{code} {count}" for code, count in sorted(together.items(), key=lambda item: -item[1])) or "none"


def meaning(abouts: Mapping[str, str]) -> str:
    """What each fault does to users. abouts: by name."""
    rows = [("fault", "what a user notices"), ("---", "---"), *abouts.items()]
    return "\n".join(f"| {name} | {about} |" for name, about in rows)


def put_into_docs(path: Path, text: str) -> None:
    """Between the markers, in place of what stands there."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def _rows_in(document: str) -> list[list[str]]:
    """The rows of the tables between the markers."""
    lines = document.partition(BEGIN)[2].partition(END)[0].splitlines()
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines if line.startswith("|")]
