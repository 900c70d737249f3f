"""Repeating a call with the same Idempotency-Key gives the first answer, and writes nothing again.

The key is recorded in the transaction of the write, so both are committed or neither. A second call that
arrives while the first is running waits for it at the primary key.
"""

from __future__ import annotations

from collections.abc import Callable

from kvcast.errors import Conflict
from kvcast.storage.pool import Pool, Session


def once(pool: Pool, name: str, fingerprint: str, call: Callable[[Session], str]) -> tuple[str, bool]:
    """Run `call` in a transaction unless `name` was recorded; return (answer, whether it was repeated).

    fingerprint: digest of the request. Raises Conflict when the id was used for another request.
    """
    with pool.transaction() as session:
        fresh = session.run(
            "INSERT INTO idempotency (id, fingerprint) VALUES (:id, :fingerprint) "
            "ON CONFLICT (id) DO NOTHING RETURNING id",
            id=name,
            fingerprint=fingerprint,
        )
        if not fresh:
            held, answer = session.run("SELECT fingerprint, answer FROM idempotency WHERE id = :id", id=name)[0]
            if held != fingerprint:
                raise Conflict(
                    "This Idempotency-Key was used for another request; use a new one for each request.",
                    code="idempotency_key_reused",
                )
            return str(answer), True
        answer = call(session)
        session.run("UPDATE idempotency SET answer = :answer WHERE id = :id", id=name, answer=answer)
        return answer, False
