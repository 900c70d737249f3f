"""The functions' role, which the migration makes and lets in, so that a rotated password needs nobody's hand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import unicodedata

from pg8000.exceptions import DatabaseError
from pg8000.native import Connection, identifier, literal

from kvcast.errors import SettingsError, StorageUnavailable
from kvcast.storage.pool import MISSING_RIGHT, REFUSED_LOGIN, connect, connect_arguments, sqlstate

_ITERATIONS = 4096


def role_of(url: str) -> str:
    return str(connect_arguments(url)["user"])


def admit(connection: Connection, url: str) -> str | None:
    """See that the role of `url` is there with the password of `url`. Returns what it did. Raises SettingsError."""
    arguments = connect_arguments(url)
    role, password = arguments["user"], arguments["password"]
    known = connection.run("SELECT 1 FROM pg_roles WHERE rolname = :role", role=role)
    if known and not (password and _is_refused(url)):
        return None
    own = connection.run("SELECT current_user")[0][0]
    secret = f" PASSWORD {literal(_verifier(password))}" if password else ""
    try:
        connection.run(f"{'ALTER' if known else 'CREATE'} ROLE {identifier(role)} LOGIN{secret}")
    except DatabaseError as error:
        if sqlstate(error) != MISSING_RIGHT:
            raise
        raise SettingsError(
            f"Role {own} may not {'change the password of' if known else 'make'} role {role}, the one of DATABASE_URL; "
            f"run ALTER ROLE {identifier(own)} CREATEROLE as a superuser, or "
            f"{'set that password' if known else 'make that role'} yourself."
        ) from error
    return f"the password of role {role} changed" if known else f"role {role} made"


def _is_refused(url: str) -> bool:
    try:
        connect(url).close()
    except StorageUnavailable as error:
        return sqlstate(error.__cause__) == REFUSED_LOGIN
    return False


def _verifier(password: str) -> str:
    """What PostgreSQL keeps of a password: given that, no log of the server ever holds the password itself.

    https://www.postgresql.org/docs/current/catalog-pg-authid.html
    """
    salt = os.urandom(16)
    normal = unicodedata.normalize("NFKC", password).encode()
    salted = hashlib.pbkdf2_hmac("sha256", normal, salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    shown = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return "SCRAM-SHA-256${}:{}${}:{}".format(_ITERATIONS, *shown)
