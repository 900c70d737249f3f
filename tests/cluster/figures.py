"""What a run has measured: a table at its end, and two files where KVCAST_FIGURES names one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple


class Figure(NamedTuple):
    theme: str
    what: str
    value: str


class Figures:
    def __init__(self) -> None:
        self.rows: list[Figure] = []

    def add(self, theme: str, what: str, *values: object) -> None:
        """values: a float is seconds."""
        shown = (f"{value:.1f} s" if isinstance(value, float) else str(value) for value in values)
        self.rows.append(Figure(theme, what, ", ".join(shown)))

    def markdown(self) -> str:
        lines = ["| theme | what | figure |", "|---|---|---|"]
        theme = ""
        for row in self.rows:
            lines.append(f"| {row.theme if row.theme != theme else ''} | {row.what} | {row.value} |")
            theme = row.theme
        return "\n".join(lines) + "\n"

    def write(self, path: Path) -> None:
        """`path` with the endings .json and .md."""
        rows = [row._asdict() for row in self.rows]
        path.with_suffix(".json").write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        path.with_suffix(".md").write_text(self.markdown(), encoding="utf-8")
