"""A part's run on disk: one JSON file for each, the newest run of each kept."""

from __future__ import annotations

import math
import time
from pathlib import Path

import msgspec

from benchmarks.figures import Comparison


class PartRun(msgspec.Struct):
    """at: when it ended, RFC 3339; command: what repeats it; on: name -> text, of the machine and versions."""

    part: str
    at: str
    command: str
    seconds: float
    on: dict[str, str]
    comparisons: list[Comparison]


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def save(folder: Path, run: PartRun) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(run), indent=1)
    (folder / f"{run.part}.json").write_bytes(text + b"\n")


def load(folder: Path, parts: list[str]) -> list[PartRun]:
    """The runs that are there, in the order of `parts`."""
    found = [folder / f"{part}.json" for part in parts]
    return [msgspec.json.decode(path.read_bytes(), type=PartRun) for path in found if path.exists()]


def number(value: float) -> str:
    """Three digits that matter: 12,345, 123, 12.3, 0.123."""
    if math.isinf(value):
        return "endless"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"
