"""Who changed what on purpose: a row a request or command, in the transaction of the change itself."""

from __future__ import annotations

import os
import platform
import pwd
from typing import Literal

import msgspec
from pg8000.native import literal

from kvcast.storage.pool import Pool, Session

KEPT_DAYS = 30
NOTE_MOST_CHARACTERS = 200
Action = Literal["add", "batch", "create", "replace", "delete"]
Command = Literal["migrate", "restore"]
_RECORD = """
    INSERT INTO audit (token, action, key, count, rev, note, client)
    VALUES (:token, :action, :key, :count, :rev, :note, :client)"""
_COMMAND = """
INSERT INTO kvcast.audit (token, action, count, rev, note, client)
SELECT 'postgresql:' || current_user, {action}, 0, last_value, {note}, {client} FROM kvcast.rev;
"""
_PAGE = """
    SELECT id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           token, action, key, count, rev, note, client
    FROM audit
    WHERE id < :before AND (:since::timestamptz IS NULL OR at >= :since)
      AND (:key::text IS NULL OR key = :key) AND (:who::text IS NULL OR token = :who)
    ORDER BY id DESC LIMIT :most"""


class Entry(msgspec.Struct, frozen=True):
    """token: its name; key: None for a batch or a command; count: changes; rev: the last one; client: an address.

    Of a command: token is `postgresql:` and the role, count 0, client the account and the machine.
    """

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


def of_command(command: Command, note: str) -> str:
    """SQL that adds the row of a command for the whole store, for the transaction of what it did."""
    said = "".join(character if character.isprintable() else "?" for character in note)[:NOTE_MOST_CHARACTERS]
    return _COMMAND.format(action=literal(command), note=literal(said), client=literal(_here()))


def _here() -> str:
    try:
        account = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container
        account = str(os.getuid())
    return f"{account}@{platform.node()}"


def page(
    pool: Pool, *, before: int, most: int, since: str | None = None, key: str | None = None, who: str | None = None
) -> list[Entry]:
    """At most `most` rows with an id below `before`, newest first. since: RFC 3339; who: a token's name."""
    rows = pool.run(_PAGE, before=before, most=most, since=since, key=key, who=who)
    return [Entry(*row) for row in rows]


def reap(pool: Pool) -> None:
    """Remove what is older than KEPT_DAYS; the days stand in the schema, out of reach of the functions' role."""
    pool.run("SELECT reap_audit()")
