"""Finding what was committed but not heard of, and clearing away what is over.

A cursor on rev or updated_at loses a row that commits late. `tx >= xmin` of the snapshot before does not:
every transaction that had not ended then has a tx at or above it.
"""

from __future__ import annotations

from typing import NamedTuple

from kvcast.storage.pool import Pool

IDEMPOTENCY_SECONDS = 86_400
TOMBSTONE_SECONDS = 86_400
_XMIN = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text, (SELECT value FROM meta WHERE name = 'epoch')"
_CHANGED = "SELECT key, rev FROM kv WHERE tx >= :since::xid8"


class Position(NamedTuple):
    """xmin: oldest transaction not known to have ended; epoch: as read at the same time."""

    xmin: str
    epoch: str


def position(pool: Pool) -> Position:
    """Where a sweep that starts now has to begin."""
    return Position(*pool.run(_XMIN)[0])


def earlier(position: Position, transactions: int) -> Position:
    """The position so many transactions before."""
    return position._replace(xmin=str(max(3, int(position.xmin) - transactions)))  # 3 is PostgreSQL's first


def changed(pool: Pool, since: Position) -> tuple[Position, list[tuple[str, int]]]:
    """(position for the next call, (key, rev) of every row that may have changed since)."""
    now = position(pool)
    return now, [(key, rev) for key, rev in pool.run(_CHANGED, since=since.xmin)]


def roll_partitions(pool: Pool, history_days: int) -> None:
    """Make the coming days' tick partitions and drop those that are too old."""
    pool.run("SELECT roll_partitions(:days)", days=history_days)


def reap(pool: Pool) -> None:
    """Remove tombstones and idempotency keys after a day, a bounded number at a time."""
    for table, condition in (
        ("kv", f"deleted AND updated_at < now() - interval '{TOMBSTONE_SECONDS} seconds'"),
        ("idempotency", f"at < now() - interval '{IDEMPOTENCY_SECONDS} seconds'"),
    ):
        pool.run(
            f"DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} "
            f"WHERE {condition} LIMIT 5000 FOR UPDATE SKIP LOCKED))"
        )
