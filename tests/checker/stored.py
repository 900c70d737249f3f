"""What PostgreSQL holds, for the checks."""

from __future__ import annotations

from contextlib import closing

from kvcast.messages import Change
from kvcast.storage.pool import connect
from kvcast.storage.rows import change, columns

_PATIENCE_SECONDS = 300


def rows(url: str) -> dict[str, Change]:
    """The row of each key, tombstones included. Raises StorageUnavailable."""
    return {row.key: row for row in _changes(url, f"SELECT {columns()} FROM kv")}


def ticks(url: str) -> list[Change] | None:
    """Every change that was committed, in order; None where no history is kept."""
    found = _changes(url, f"SELECT {columns(at='at', expires='')} FROM tick ORDER BY rev")
    return found or None


def _changes(url: str, sql: str) -> list[Change]:
    with closing(connect(url, statement_timeout_seconds=_PATIENCE_SECONDS)) as connection:
        return [change(row) for row in connection.run(sql) or []]
