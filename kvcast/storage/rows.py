"""One form of a row for every query: the columns, and the Change that they make."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kvcast.messages import Change


def columns(alias: str = "", at: str = "updated_at", expires: str = "expires_at") -> str:
    """The select list that `change` reads, of a table or CTE with `alias`."""
    dot = f"{alias}." if alias else ""
    # not ::text of a timestamptz, which follows the session's time zone and drops trailing zeros
    return (
        f"{dot}key, {dot}value, coalesce({dot}category, 'default'), {dot}rev, {dot}prev, "
        f"to_char({dot}{at} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), "
        f"{epoch_ms(dot + expires) if expires else '0'}"
    )


def packed_rows(at: str = "updated_at", order: str = "") -> str:
    """All rows but their values as one text with a line for each, which `unpack` reads.

    pg8000 takes its time for each column and each row, not for each byte. The grammar of keys and categories has
    neither a blank nor a line break.
    """
    key, _value, rest = columns(at=at).split(", ", 2)
    return f"string_agg(concat_ws(' ', {key}, {rest}), E'\\n'{order and f' ORDER BY {order}'})"


def unpack(packed: str, value: str, request_id: str = "") -> Change:
    """The change of one of the lines of `packed_rows`, whose value is known."""
    key, category, rev, prev, updated_at, expires_ms = packed.split(" ")
    return Change(key, value.encode(), category, int(rev), int(prev), updated_at, int(expires_ms), request_id)


def epoch_ms(column: str) -> str:
    return f"coalesce((extract(epoch FROM {column}) * 1000)::bigint, 0)"


def change(row: list[Any]) -> Change:
    key, value, category, rev, prev, updated_at, expires_ms = row
    return Change(
        key=key,
        value=value.encode() if value is not None else None,
        category=category,
        rev=rev,
        prev=prev,
        updated_at=updated_at,
        expires_ms=expires_ms,
    )


def text_array(items: Iterable[str | None]) -> str:
    """A text[] literal with every element quoted.

    pg8000 quotes only where it sees a need, and leaves `null` bare, which PostgreSQL reads as NULL in any case.
    """
    quoted = (
        "NULL" if item is None else '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"' for item in items
    )
    return "{" + ",".join(quoted) + "}"
