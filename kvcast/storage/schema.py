"""Making the schema and bringing it forward: under a lock, in one transaction, by the role that owns it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import resources

from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection, identifier

from kvcast.errors import InternalError, OutcomeUnknown, SettingsError, StorageUnavailable
from kvcast.storage import audit
from kvcast.storage.pool import MISSING_RIGHT, Pool, connect, sqlstate, translated
from kvcast.storage.roles import admit, role_of

VERSION = 2
_MISSING_TABLE = "42P01"
LOCK_POLL_SECONDS = 0.1
LOCK_SECONDS = 2.0  # for a table's lock: whoever comes behind waits as long
_LOCK = 0x6B766361  # "kvca"; any number that nobody else uses


def migrate(
    url: str, functions_role: str | None = None, *, functions_url: str = "", setting: str = "KVCAST_MIGRATION_URL",
    say: Callable[[str], object] = lambda _text: None,
) -> None:
    """Bring the database at `url` to the schema of this release; nothing to do is fine, and so are several at once.

    functions_role: a role that gets DML and no more. functions_url: as the functions connect; where that is another
    role than ours it is made, or gets its password, and DML. setting: where `url` is from. say: gets a sentence about
    what is waited for. Raises StorageUnavailable or OutcomeUnknown, or SettingsError when the schema is newer or a
    right is missing.
    """
    roles = {functions_role} if functions_role else set()
    with owning(url, say, setting=setting) as connection:
        held = held_version(connection)
        connection.run("BEGIN")  # one transaction, so that no function sees tables that it may not read yet
        if held:
            connection.run(f"SET LOCAL lock_timeout = {int(LOCK_SECONDS * 1000)}")
        done = [f"schema {held} to {VERSION}"] if held < VERSION else []
        if functions_url and role_of(functions_url) != role_of(url):
            done += filter(None, [admit(connection, functions_url)])
            roles.add(role_of(functions_url))
        for script in scripts_after(held):
            connection.run(script)
        done += [f"rights for role {role}" for role in sorted(roles) if not _may_write(connection, role)]
        for grant in (grant for role in roles for grant in grants(role)):
            connection.run(grant)
        if done:
            connection.run(audit.of_command("migrate", "; ".join(done)))
        connection.run("COMMIT")


def _may_write(connection: Connection, role: str) -> bool:
    return bool(connection.run("SELECT has_table_privilege(:role, 'kvcast.kv', 'INSERT')", role=role)[0][0])


@contextmanager
def owning(url: str, say: Callable[[str], object], *, setting: str) -> Iterator[Connection]:
    """A connection as the schema's owner that holds the lock of all who change the schema.

    say: gets a sentence when another one holds it. Raises StorageUnavailable or OutcomeUnknown, also for what fails
    inside.
    """
    connection = connect(url, statement_timeout_seconds=60, setting=setting)
    try:
        connection.run("SET timezone TO 'UTC'")
        _lock(connection, say)
        yield connection
    except DatabaseError as error:
        raise translated(error) from error
    except (InterfaceError, OSError) as error:
        raise OutcomeUnknown("The connection to PostgreSQL broke in mid migration; run it again.") from error
    finally:
        with suppress(InterfaceError, OSError):
            connection.close()


def _lock(connection: Connection, say: Callable[[str], object]) -> None:
    """Until `connection` is closed. Asked for again and again: a single wait would end at the time limit."""
    said = False
    while not connection.run(f"SELECT pg_try_advisory_lock({_LOCK})")[0][0]:
        if not said:
            said = True
            say("Another migration is running; waiting for its end.")
        time.sleep(LOCK_POLL_SECONDS)


def usable_epoch(pool: Pool) -> str:
    """What revs are comparable within; changes when a backup is restored.

    Raises StorageUnavailable, with a sentence for the operator, also when this release cannot use the schema.
    """
    try:
        held = dict(pool.run("SELECT name, value FROM kvcast.meta"))
    except InternalError as error:
        state = sqlstate(error.__cause__)
        if state == _MISSING_TABLE:
            raise StorageUnavailable("The schema is missing; run kvcast migrate.") from error
        if state == MISSING_RIGHT:
            raise StorageUnavailable(
                "The role of DATABASE_URL may not read the schema; run kvcast migrate with it and KVCAST_MIGRATION_URL."
            ) from error
        raise
    version = int(held["schema"])
    if version < VERSION:
        raise StorageUnavailable(f"The schema has version {version}, this kvcast needs {VERSION}; run kvcast migrate.")
    if not _fits(held):
        raise StorageUnavailable(f"The schema has version {version}, this kvcast knows {VERSION}; run a newer kvcast.")
    return str(held["epoch"])


def _fits(held: dict[str, str]) -> bool:
    """Whether the functions of this release can use a schema at least as new, which `least` tells them."""
    return int(held.get("least", held["schema"])) <= VERSION


def held_version(connection: Connection) -> int:
    """The version of the schema that is there; 0: none. Raises SettingsError where it is too new for this release."""
    if connection.run("SELECT to_regclass('kvcast.meta')")[0][0] is None:
        return 0
    held = dict(connection.run("SELECT name, value FROM kvcast.meta"))
    if not _fits(held):
        raise SettingsError(
            f"The database has schema version {held['schema']}, this kvcast knows {VERSION}; run a newer kvcast."
        )
    return int(held["schema"])


def scripts_after(held: int) -> Iterator[str]:
    """The SQL that brings version `held` to VERSION; each notes its version itself."""
    folder = resources.files("kvcast.storage").joinpath("migrations")
    for version in range(held + 1, VERSION + 1):
        script = folder.joinpath(f"{version:04}.sql").read_text(encoding="utf-8")
        yield (
            f"SET search_path TO kvcast;\n{script}\n"
            f"INSERT INTO kvcast.meta VALUES ('schema', '{version}')"
            " ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value;\n"
        )


def grants(role: str) -> list[str]:
    """Statements that give `role` what a function needs, and no more."""
    role = identifier(role)
    return [
        f"GRANT USAGE ON SCHEMA kvcast TO {role}",
        f"GRANT SELECT ON kvcast.meta TO {role}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON kvcast.kv, kvcast.tick, kvcast.idempotency TO {role}",
        f"GRANT SELECT, INSERT ON kvcast.audit TO {role}",
        f"GRANT USAGE, SELECT ON SEQUENCE kvcast.rev TO {role}",
        "REVOKE ALL ON FUNCTION kvcast.roll_partitions(integer), kvcast.reap_audit() FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION kvcast.roll_partitions(integer), kvcast.reap_audit() TO {role}",
    ]
