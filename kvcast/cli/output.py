"""Text for people: colours only on a terminal, columns that line up, and no control characters from values."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Literal, TextIO

Colour = Literal["red", "green", "yellow", "dim", "bold"]
_CODES: dict[Colour, str] = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}


def coloured(text: str, colour: Colour, stream: TextIO) -> str:
    """`text` in a colour when `stream` is a terminal and NO_COLOR is not set."""
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"


def shown(raw: bytes, stream: TextIO) -> str:
    """JSON text for `stream`; on a terminal what would steer it is written as JSON escapes."""
    text = raw.decode()
    if not stream.isatty() or text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def can_show(text: str, stream: TextIO) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def line(text: str = "") -> None:
    """One line of the result, at once."""
    print(text, flush=True)


def json_line(text: bytes) -> None:
    """One JSON object; as bytes, so that the terminal's encoding cannot change it."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text + b"\n")
    sys.stdout.buffer.flush()


def note(text: str) -> None:
    """Something aside, which pipes do not get."""
    print(coloured(text, "dim", sys.stderr), file=sys.stderr, flush=True)


def error_line(text: str) -> None:
    print(coloured("error: ", "red", sys.stderr) + text, file=sys.stderr, flush=True)


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines with the columns of `rows` aligned to the left."""
    cells = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)] if cells else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
