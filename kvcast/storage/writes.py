"""The statements that change a key.

`rev` is drawn inside SET, so under the row lock: `rev = EXCLUDED.rev` would be drawn before it, and a row was
seen going from 14 back to 13. Rows are taken in key order, so that two commits cannot deadlock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypeVar

import msgspec

from kvcast.errors import KeyNotFound, PreconditionFailed
from kvcast.messages import Change, Write
from kvcast.storage.pool import Pool, Session
from kvcast.storage.reads import LATEST
from kvcast.storage.rows import change, columns, packed_rows, text_array, unpack

Traceable = TypeVar("Traceable", Change, Write)
TOGETHER_MOST_KEYS = 100  # the first statement's answer must fit into the sockets' buffers while the second is sent
_EXPIRES = "clock_timestamp() + ttl * interval '1 second'"
_LIVE = "NOT held.deleted AND (held.expires_at IS NULL OR held.expires_at > clock_timestamp())"
_INPUT = (
    "unnest(:keys::text[], :values::text[], :categories::text[], :ttls::float8[]) "
    "WITH ORDINALITY AS i(key, value, category, ttl, n)"
)
_INSERT = f"""
    INSERT INTO kv AS held (key, value, category, rev, prev, tx, deleted, updated_at, expires_at)
    SELECT key, value, category, nextval('rev'), 0, pg_current_xact_id(), false, clock_timestamp(), {_EXPIRES}
    FROM (SELECT * FROM {_INPUT} ORDER BY key COLLATE "C") AS ordered
    ON CONFLICT (key) DO UPDATE"""

_LOCKED = """
    WITH free AS MATERIALIZED (
        SELECT key FROM kv WHERE key = ANY(:keys::text[]) FOR NO KEY UPDATE SKIP LOCKED
    ) SELECT key FROM kv WHERE key = ANY(:keys::text[]) EXCEPT SELECT key FROM free"""


class Statements:
    """The SQL of one setting of history.

    history: whether ticks are kept. rev_under_lock=False draws the rev too early, which a test uses to show
    why that is wrong.
    """

    def __init__(self, *, history: bool, rev_under_lock: bool = True) -> None:
        tick = (
            ", ticks AS (INSERT INTO tick (key, rev, prev, at, value, category) "
            "SELECT key, rev, prev, updated_at, value, category FROM written)"
            if history
            else ""
        )
        rev = "nextval('rev')" if rev_under_lock else "EXCLUDED.rev"
        assign = (
            "SET value = EXCLUDED.value, category = coalesce(EXCLUDED.category, held.category), "
            f"rev = {rev}, prev = held.rev, tx = pg_current_xact_id(), deleted = false, "
            "updated_at = clock_timestamp(), expires_at = EXCLUDED.expires_at"
        )
        answer = f"{tick} SELECT {columns()} FROM written"
        self.upsert = f"WITH written AS ({_INSERT} {assign} RETURNING *){tick} SELECT {packed_rows()} FROM written"
        self.create = f"WITH written AS ({_INSERT} {assign} WHERE NOT ({_LIVE}) RETURNING *){answer}"
        self.replace = f"""
            WITH written AS (
                UPDATE kv AS held SET value = :value, category = coalesce(:category::text, held.category),
                    rev = nextval('rev'), prev = held.rev, tx = pg_current_xact_id(),
                    updated_at = clock_timestamp(),
                    expires_at = clock_timestamp() + :ttl::float8 * interval '1 second'
                WHERE key = :key AND {_LIVE} AND (:revs::bigint[] IS NULL OR rev = ANY(:revs::bigint[]))
                RETURNING *){answer}"""
        self.delete = f"""
            WITH written AS (
                UPDATE kv AS held SET value = NULL, deleted = true, expires_at = NULL,
                    rev = nextval('rev'), prev = held.rev, tx = pg_current_xact_id(),
                    updated_at = clock_timestamp()
                WHERE key = :key AND {_LIVE} AND (:revs::bigint[] IS NULL OR rev = ANY(:revs::bigint[]))
                RETURNING *){answer}"""
        self.expire = f"""
            WITH written AS (
                UPDATE kv AS held SET value = NULL, deleted = true, expires_at = NULL,
                    rev = nextval('rev'), prev = held.rev, tx = pg_current_xact_id(),
                    updated_at = clock_timestamp()
                WHERE key IN (SELECT key FROM kv WHERE expires_at <= clock_timestamp()
                              ORDER BY key LIMIT :most FOR UPDATE SKIP LOCKED)
                RETURNING *){answer}"""
        self.repeat = _repeat(history)


def _repeat(history: bool) -> str:
    """For further writes of keys that this transaction has already written, so holds locked.

    Each draws a rev of its own and keeps its tick; the last of a key becomes its row.
    """
    tick = (
        ", ticks AS (INSERT INTO tick (key, rev, prev, at, value, category) "
        "SELECT key, rev, prev, at, value, category FROM chained)"
        if history
        else ""
    )
    return f"""
        WITH drawn AS MATERIALIZED (
            SELECT key, value, category, {_EXPIRES} AS expires_at, n, nextval('rev') AS rev,
                   clock_timestamp() AS at
            FROM {_INPUT}
        ), chained AS MATERIALIZED (
            SELECT drawn.key, drawn.value, coalesce(drawn.category, kv.category) AS category, n, drawn.rev, at,
                   drawn.expires_at,
                   coalesce(lag(drawn.rev) OVER (PARTITION BY drawn.key ORDER BY n), kv.rev) AS prev
            FROM drawn JOIN kv USING (key)
        ), last AS (
            SELECT DISTINCT ON (key) * FROM chained ORDER BY key, n DESC
        ), written AS (
            UPDATE kv SET value = last.value, category = last.category, rev = last.rev, prev = last.prev,
                tx = pg_current_xact_id(), updated_at = last.at, expires_at = last.expires_at
            FROM last WHERE kv.key = last.key
        ){tick} SELECT {packed_rows(at="at", order="n")} FROM chained"""


def _arrays(writes: Sequence[Write]) -> dict[str, Any]:
    return {
        "keys": text_array(write.key for write in writes),
        "values": text_array(write.value for write in writes),
        "categories": text_array(write.category for write in writes),
        "ttls": [write.ttl for write in writes],
    }


def split_repeats(writes: Sequence[Write]) -> tuple[list[int], list[int]]:
    """Indices of the first write of each key, and of all later ones, both in order."""
    seen: set[str] = set()
    first: list[int] = []
    later: list[int] = []
    for index, write in enumerate(writes):
        (later if write.key in seen else first).append(index)
        seen.add(write.key)
    return first, later


def carry_categories(writes: Sequence[Write]) -> list[Write]:
    """Each write without a category takes the last one that an earlier write of its key named."""
    given: dict[str, str] = {}
    carried = []
    for write in writes:
        if write.category is not None:
            given[write.key] = write.category
        elif write.key in given:
            write = msgspec.structs.replace(write, category=given[write.key])  # noqa: PLW2901
        carried.append(write)
    return carried


def write_all(session: Session, statements: Statements, writes: Sequence[Write]) -> list[Change]:
    """Apply `writes` in order; one upsert cannot touch a row twice, so repeats follow in a second statement.

    Returns one change a write, in the same order. Unless `is_one_trip(writes)`, the session must be in a transaction.
    """
    first, later = split_repeats(writes)
    carried = carry_categories(writes) if later else writes
    calls = [(statements.upsert, _arrays([writes[i] for i in first]))]
    if later:
        calls.append((statements.repeat, _arrays([carried[i] for i in later])))
    if len(first) <= TOGETHER_MOST_KEYS:
        rows = session.run_together(calls)
    else:
        rows = [row for sql, arrays in calls for row in session.run(sql, **arrays)]
    by_key = {line.partition(" ")[0]: line for line in rows[0][0].split("\n")}
    lines = dict(zip(later, rows[1][0].split("\n"), strict=True)) if later else {}
    return [
        unpack(lines[index] if index in lines else by_key[write.key], write.value, write.request_id)
        for index, write in enumerate(writes)
    ]


def is_one_trip(writes: Sequence[Write]) -> bool:
    """Whether `write_all` takes one trip to PostgreSQL, and so one transaction of its own where it is in none."""
    first, later = split_repeats(writes)
    return not later or len(first) <= TOGETHER_MOST_KEYS


def traced(one: Traceable, request_id: str) -> Traceable:
    """`one` as a part of the request of this id; empty: as it is."""
    return msgspec.structs.replace(one, request_id=request_id) if request_id else one


def commit_all(
    pool: Pool, statements: Statements, writes: Sequence[Write], *, patiently: bool = False
) -> list[Change]:
    """`write_all` with one commit for all of `writes`. patiently: whatever limit the pool has for locks."""
    with pool.session() if is_one_trip(writes) and not patiently else pool.transaction() as session:
        if patiently:
            session.run("SET LOCAL lock_timeout = 0")
        return write_all(session, statements, writes)


def locked(pool: Pool, keys: Collection[str]) -> set[str]:
    """Those of `keys` whose rows another transaction holds at this moment."""
    return {key for (key,) in pool.run(_LOCKED, keys=text_array(keys))} if keys else set()


def create(session: Session, statements: Statements, write: Write) -> Change:
    """Write a key that must not exist. Raises PreconditionFailed."""
    rows = session.run(statements.create, **_arrays([write]))
    if not rows:
        raise _conflict(session, write.key, f"The key {write.key!r} exists already; drop If-None-Match to replace it.")
    return change(rows[0])


def replace(session: Session, statements: Statements, write: Write, revs: list[int] | None) -> Change:
    """Write a key whose rev is one of `revs` (None: any, but it exists). Raises PreconditionFailed."""
    rows = session.run(
        statements.replace, key=write.key, value=write.value, category=write.category, ttl=write.ttl, revs=revs
    )
    if not rows:
        raise _conflict(session, write.key, f"Another rev of {write.key!r} is current; read it and decide again.")
    return change(rows[0])


def delete(session: Session, statements: Statements, key: str, revs: list[int] | None) -> Change:
    """Make a tombstone. Raises KeyNotFound, or PreconditionFailed where `revs` names another."""
    rows = session.run(statements.delete, key=key, revs=revs)
    if rows:
        return change(rows[0])
    if revs is not None:
        error = _conflict(session, key, f"Another rev of {key!r} is current; read it and decide again.")
        if error.detail["current"] is not None:
            raise error
    raise KeyNotFound(f"There is no key {key!r}, so nothing was deleted.")


def expire(session: Session, statements: Statements, most: int) -> list[Change]:
    """Make tombstones of at most `most` keys whose ttl has passed."""
    return [change(row) for row in session.run(statements.expire, most=most)]


def _conflict(session: Session, key: str, message: str) -> PreconditionFailed:
    rows = session.run(LATEST, keys=text_array([key]))
    current = change(rows[0]) if rows else None
    if current is None or current.value is None:
        return PreconditionFailed(f"{message} (It does not exist now.)", detail={"current": None})
    known = {"rev": current.rev, "value": current.value.decode(), "updatedAt": current.updated_at}
    return PreconditionFailed(message, detail={"current": known})
