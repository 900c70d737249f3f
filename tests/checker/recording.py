"""The files of a history: who records into them, and reading them again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from tests.checker.records import Record

_FLUSH_BYTES = 1 << 16


class Recorder:
    """Appends records to a file, in `with`. Several of one folder make one history."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        self._encoder = msgspec.json.Encoder()
        self._buffer = bytearray()

    def __call__(self, record: Record) -> None:
        self._buffer += self._encoder.encode(record)
        self._buffer += b"\n"
        if len(self._buffer) > _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        self._file.write(self._buffer)
        self._file.flush()
        self._buffer.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.flush()
        self._file.close()


def files(folder: Path) -> list[Path]:
    """Of one history. Raises FileNotFoundError."""
    found = sorted(folder.glob("*.jsonl"))
    if not found:
        raise FileNotFoundError(f"{folder} holds no *.jsonl; give the folder that a load was told as --history.")
    return found


def lines(folder: Path) -> Iterator[bytes]:
    for path in files(folder):
        with path.open("rb") as file:
            yield from file
