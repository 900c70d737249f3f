"""The progress of a feed on standard error: one line that changes on a terminal, a line every 5 s elsewhere."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from threading import Event, Thread
from types import TracebackType
from typing import Self

from kvcast.cli.output import note
from kvcast.feeding import Counts

TERMINAL_SECONDS = 0.5
PLAIN_SECONDS = 5.0
_LONG_PAUSE_SECONDS = 10.0
_CLEAR_LINE = "\r\x1b[K"


def text(counts: Counts, per_second: float, now: float) -> str:
    parts = [
        f"{counts.due:,} ticks",
        f"{per_second:,.0f} ticks/s",
        f"{counts.acknowledged:,} acknowledged",
        f"{counts.retries:,} retries",
    ]
    parts += [f"{counts.refused:,} refused"] if counts.refused else []
    parts += [f"{counts.skipped:,} lines skipped"] if counts.skipped else []
    pause = counts.due_at - now
    if counts.away is not None:
        parts.append(f"waiting: {counts.away}")
    elif pause > _LONG_PAUSE_SECONDS:
        parts.append(f"next tick in {pause:,.0f} s by its own time; --speed or --rate go faster")
    return ", ".join(parts)


def summary(counts: Counts, now: float) -> str:
    took = max(now - counts.started, 1e-6)
    ended = replace(counts, away=None, due_at=0.0)
    return f"{text(ended, counts.acknowledged / took, now)}, {took:.1f} s"


class Progress:
    """Shows `counts` from a thread of its own while it is open."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._terminal = sys.stderr.isatty()
        self._ended = Event()
        self._thread = Thread(target=self._show, daemon=True)

    def _show(self) -> None:
        before, acknowledged = time.monotonic(), 0
        while not self._ended.wait(TERMINAL_SECONDS if self._terminal else PLAIN_SECONDS):
            now = time.monotonic()
            line = text(self._counts, (self._counts.acknowledged - acknowledged) / (now - before), now)
            before, acknowledged = now, self._counts.acknowledged
            if self._terminal:
                print(f"{_CLEAR_LINE}{line}", end="", file=sys.stderr, flush=True)
            else:
                note(line)

    def say(self, message: str) -> None:
        """A line that stays, above the one that changes."""
        if self._terminal:
            print(_CLEAR_LINE, end="", file=sys.stderr)
        note(message)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self.say(summary(self._counts, time.monotonic()))
