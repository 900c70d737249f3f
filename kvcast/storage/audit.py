"""Who changed what on purpose: a row a request, in the transaction of the change itself."""

from __future__ import annotations

from typing import Literal

import msgspec

from kvcast.storage.pool import Pool, Session

KEPT_DAYS = 30
Action = Literal["add", "batch", "create", "replace", "delete"]
_RECORD = """
    INSERT INTO audit (token, action, key, count, rev, note, client)
    VALUES (:token, :action, :key, :count, :rev, :note, :client)"""
_PAGE = """
    SELECT id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           token, action, key, count, rev, note, client
    FROM audit
    WHERE id < :before AND (:since::timestamptz IS NULL OR at >= :since)
      AND (:key::text IS NULL OR key = :key) AND (:who::text IS NULL OR token = :who)
    ORDER BY id DESC LIMIT :most"""


class Entry(msgspec.Struct, frozen=True):
    """token: its name; key: None for a batch; count: changes; rev: the last one; client: an address."""

    id: int
    at: str
    token: str
    action: str
    key: str | None
    count: int
    rev: int
    note: str | None
    client: str | None


def record(
    session: Session, action: Action, *, token: str, key: str | None, count: int, rev: int,
    note: str | None, client: str | None,
) -> None:
    """Add a row in the transaction that `session` is in."""
    session.run(_RECORD, token=token, action=action, key=key, count=count, rev=rev, note=note, client=client)


def page(
    pool: Pool, *, before: int, most: int, since: str | None = None, key: str | None = None, who: str | None = None
) -> list[Entry]:
    """At most `most` rows with an id below `before`, newest first. since: RFC 3339; who: a token's name."""
    rows = pool.run(_PAGE, before=before, most=most, since=since, key=key, who=who)
    return [Entry(*row) for row in rows]


def reap(pool: Pool) -> None:
    """Remove what is older than KEPT_DAYS; the days stand in the schema, out of reach of the functions' role."""
    pool.run("SELECT reap_audit()")
