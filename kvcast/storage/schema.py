"""Making the schema: once, under a lock, by the role that owns it."""

from __future__ import annotations

from importlib import resources

from pg8000.exceptions import DatabaseError
from pg8000.native import Connection, identifier

from kvcast.errors import InternalError, SettingsError, StorageUnavailable
from kvcast.storage.pool import Pool, connect, sqlstate, translated

VERSION = 1
_MISSING_TABLE, _MISSING_RIGHT = "42P01", "42501"
_LOCK = 0x6B766361  # "kvca"; any number that nobody else uses


def migrate(url: str, functions_role: str | None = None) -> None:
    """Bring the database at `url` to the schema of this release; nothing to do is fine.

    functions_role: the role of the functions, which gets DML and no more; None when the owner serves.
    Raises StorageUnavailable, or SettingsError when the schema is newer than this release.
    """
    connection = connect(url, statement_timeout_seconds=60)
    try:
        connection.run("SET timezone TO 'UTC'")
        connection.run(f"SELECT pg_advisory_lock({_LOCK})")
        held = _held_version(connection)
        if held > VERSION:
            raise SettingsError(
                f"The database has schema version {held}, this kvcast knows {VERSION}; run a newer kvcast."
            )
        connection.run("BEGIN")  # one transaction, so that no function sees tables that it may not read yet
        if held < VERSION:
            _create(connection)
        if functions_role:
            _grant(connection, functions_role)
        connection.run("COMMIT")
    except DatabaseError as error:
        raise translated(error) from error
    finally:
        connection.close()


def usable_epoch(pool: Pool) -> str:
    """What revs are comparable within; changes when a backup is restored.

    Raises StorageUnavailable, with a sentence for the operator, also when this release cannot use the schema.
    """
    try:
        held = dict(pool.run("SELECT name, value FROM kvcast.meta WHERE name IN ('schema', 'epoch')"))
    except InternalError as error:
        state = sqlstate(error.__cause__)
        if state == _MISSING_TABLE:
            raise StorageUnavailable("The schema is missing; run kvcast migrate.") from error
        if state == _MISSING_RIGHT:
            raise StorageUnavailable(
                "The role of DATABASE_URL may not read the schema; run kvcast migrate with it and KVCAST_MIGRATION_URL."
            ) from error
        raise
    version = int(held["schema"])
    if version != VERSION:
        mend = "run kvcast migrate" if version < VERSION else "run a newer kvcast"
        raise StorageUnavailable(f"The schema has version {version}, this kvcast needs {VERSION}; {mend}.")
    return str(held["epoch"])


def _held_version(connection: Connection) -> int:
    if connection.run("SELECT to_regclass('kvcast.meta')")[0][0] is None:
        return 0
    rows = connection.run("SELECT value FROM kvcast.meta WHERE name = 'schema'")
    return int(rows[0][0]) if rows else 0


def _create(connection: Connection) -> None:
    script = resources.files("kvcast.storage").joinpath("schema.sql").read_text(encoding="utf-8")
    connection.run(script)
    connection.run(f"INSERT INTO kvcast.meta VALUES ('schema', '{VERSION}')")


def _grant(connection: Connection, role: str) -> None:
    role = identifier(role)
    for statement in (
        f"GRANT USAGE ON SCHEMA kvcast TO {role}",
        f"GRANT SELECT ON kvcast.meta TO {role}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON kvcast.kv, kvcast.tick, kvcast.idempotency TO {role}",
        f"GRANT SELECT, INSERT ON kvcast.audit TO {role}",
        f"GRANT USAGE, SELECT ON SEQUENCE kvcast.rev TO {role}",
        "REVOKE ALL ON FUNCTION kvcast.roll_partitions(integer), kvcast.reap_audit() FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION kvcast.roll_partitions(integer), kvcast.reap_audit() TO {role}",
    ):
        connection.run(statement)
