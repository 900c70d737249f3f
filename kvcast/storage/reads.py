"""The statements that read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kvcast.keys import after_prefix
from kvcast.messages import Change
from kvcast.storage.pool import Pool, Rows
from kvcast.storage.rows import change, columns, text_array

_LIVE = "NOT deleted AND (expires_at IS NULL OR expires_at > now())"
LATEST = f"SELECT {columns()} FROM kv WHERE key = ANY(:keys::text[])"
_PAGE = f"""
    SELECT {{what}} FROM kv
    WHERE key > :after AND key >= :prefix AND (:beyond::text IS NULL OR key < :beyond) AND {_LIVE}
    ORDER BY key LIMIT :most"""
_CATEGORY_PAGE = _PAGE.replace("WHERE", "WHERE coalesce(category, 'default') = :category AND")
_TICKS = f"SELECT {columns(at='at', expires='')} FROM tick"
_TICKS_AFTER = f"{_TICKS} WHERE key = :key AND rev > :after AND rev <= :until ORDER BY rev LIMIT :most"
_HISTORY = f"""
    {_TICKS} WHERE key = :key AND value IS NOT NULL
    AND (:since::timestamptz IS NULL OR at >= :since) AND (:until::timestamptz IS NULL OR at < :until)
    ORDER BY rev DESC LIMIT :most"""
# Only what a numeric takes without an error: an exponent of at most three digits, 64 characters in all.
_NUMBER = r"value ~ '^-?[0-9]+([.][0-9]+)?([eE][-+]?[0-9]{1,3})?$' AND length(value) <= 64"
_BUCKETS = f"""
    SELECT to_char(start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
           (array_agg(number ORDER BY rev))[1]::text, max(number)::text, min(number)::text,
           (array_agg(number ORDER BY rev DESC))[1]::text, count(*)
    FROM (
        SELECT rev, value::numeric AS number,
               date_bin(:seconds * interval '1 second', at, timestamptz '2000-01-01Z') AS start
        FROM (SELECT rev, at, value FROM tick WHERE key = :key
              AND (:since::timestamptz IS NULL OR at >= :since)
              AND (:until::timestamptz IS NULL OR at < :until) AND {_NUMBER} OFFSET 0) AS numbers
    ) AS binned
    GROUP BY start ORDER BY start DESC LIMIT :most"""


def latest(pool: Pool, keys: Sequence[str]) -> dict[str, Change]:
    """The row of each key that has one, tombstones included."""
    return {row[0]: change(row) for row in pool.run(LATEST, keys=text_array(keys))}


def page(
    pool: Pool, *, after: str, prefix: str, category: str | None, most: int, values: bool
) -> list[str] | list[Change]:
    """Live keys above `after` in code-point order: at most `most` names, or changes where `values`."""
    sql = (_PAGE if category is None else _CATEGORY_PAGE).format(what=columns() if values else "key")
    parameters: dict[str, Any] = {"after": after, "prefix": prefix, "beyond": after_prefix(prefix), "most": most}
    if category is not None:
        parameters["category"] = category
    rows = pool.run(sql, **parameters)
    return [change(row) for row in rows] if values else [row[0] for row in rows]


def ticks_after(pool: Pool, key: str, after: int, most: int, until: int = 2**63 - 1) -> list[Change]:
    """The oldest `most` ticks of `key` with after < rev <= until, in order; deletions included."""
    return [change(row) for row in pool.run(_TICKS_AFTER, key=key, after=after, until=until, most=most)]


def history(pool: Pool, key: str, since: str | None, until: str | None, most: int) -> list[Change]:
    """The newest `most` ticks with since <= time < until (RFC 3339), newest last, deletions left out."""
    rows = pool.run(_HISTORY, key=key, since=since, until=until, most=most)
    return [change(row) for row in reversed(rows)]


def buckets(pool: Pool, key: str, since: str | None, until: str | None, seconds: int, most: int) -> Rows:
    """[start, open, high, low, close, count] of the newest `most` buckets, newest last.

    Prices are decimal text, exactly as PostgreSQL's numeric keeps them. Values that are no number are left out.
    """
    return pool.run(_BUCKETS, key=key, since=since, until=until, seconds=seconds, most=most)[::-1]


def count_keys(pool: Pool) -> int:
    return int(pool.run("SELECT count(*) FROM kv WHERE NOT deleted")[0][0])


def last_rev(pool: Pool) -> int:
    """A rev that every change committed so far is at or below."""
    return int(pool.run("SELECT last_value FROM rev")[0][0])
