"""Which requests are recorded for the audit, and the note that a person may send with one."""

from __future__ import annotations

from urllib.parse import unquote

from kvcast.errors import InvalidRequest
from kvcast.messages import Change
from kvcast.storage import audit
from kvcast.storage.audit import NOTE_MOST_CHARACTERS, Action
from kvcast.storage.pool import Session
from kvcast.tokens import Token
from kvcast.web import Environ

NOTE_HEADER = "HTTP_KVCAST_NOTE"
_ALWAYS = ("create", "replace", "delete")  # others only with a note, so that a fast feed costs nothing


def note_of(environ: Environ) -> str | None:
    """The Kvcast-Note of a request; None where there is none. Raises InvalidRequest."""
    raw: str | None = environ.get(NOTE_HEADER)
    if raw is None:
        return None
    try:
        note = unquote(raw.encode("ascii").decode(), errors="strict").strip()
    except UnicodeError:
        raise InvalidRequest("Kvcast-Note is not percent-encoded UTF-8; use encodeURIComponent or its like.") from None
    if not note.isprintable():
        raise InvalidRequest("Kvcast-Note holds a control character or a line break; write it in one plain line.")
    if len(note) > NOTE_MOST_CHARACTERS:
        raise InvalidRequest(f"Kvcast-Note has {len(note)} characters; at most {NOTE_MOST_CHARACTERS} are kept.")
    return note or None


def record(
    session: Session, environ: Environ, token: Token, action: Action, note: str | None, changes: list[Change]
) -> None:
    """Add a row, where one is due, to the transaction that made `changes`."""
    if changes and (note is not None or action in _ALWAYS):
        audit.record(
            session, action, token=token.name, key=changes[0].key if action != "batch" else None,
            count=len(changes), rev=changes[-1].rev, note=note, client=environ.get("REMOTE_ADDR") or None,
        )
