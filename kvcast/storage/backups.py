"""The whole store into one file, and back.

A backup is what pg_dump's custom format holds of the schema `kvcast`: one snapshot, however long it takes, while writes
go on. A restore is one transaction: until its last word every function sees what was there before.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO

from pg8000.native import Connection

from kvcast.errors import Conflict, InvalidRequest, KvcastError, SettingsError, StorageUnavailable
from kvcast.storage import audit
from kvcast.storage.pool import connect
from kvcast.storage.roles import admit, role_of
from kvcast.storage.schema import VERSION, grants, owning, scripts_after
from kvcast.storage.tools import Tools, libpq_environment

# No rev is drawn twice, whatever was committed after the backup: an ETag from then must not fit another value. A day at
# 10,000 writes a second takes 864 million.
REV_GAP = 1_000_000_000
LOCK_SECONDS = 30
_HOLDS_DATA = " OR ".join(f"EXISTS (SELECT FROM kvcast.{table})" for table in ("kv", "tick", "idempotency"))
_REFUSED = "The database holds data already, which a restore replaces; say --force, or name another database."
_BEGIN = f"""
BEGIN;
SET LOCAL lock_timeout = '{LOCK_SECONDS}s';
SET LOCAL client_min_messages = warning;
\\set held 0
"""
# In the order in which functions take them, so that neither waits for the other in a circle.
_REPLACE = """
LOCK TABLE kvcast.idempotency, kvcast.kv, kvcast.tick, kvcast.audit, kvcast.meta IN ACCESS EXCLUSIVE MODE;
SELECT last_value AS held FROM kvcast.rev \\gset
{check}
CREATE TEMPORARY TABLE held_audit ON COMMIT DROP AS SELECT * FROM kvcast.audit;
DROP SCHEMA kvcast CASCADE;
"""
# Who may restore must not thereby make forgotten what was done since the backup.
_KEEP_AUDIT = """
INSERT INTO kvcast.audit (at, token, action, key, count, rev, note, client)
SELECT at, token, action, key, count, rev, note, client FROM pg_temp.held_audit AS held
WHERE NOT EXISTS (
    SELECT FROM kvcast.audit AS restored WHERE restored.at = held.at AND restored.token = held.token
    AND restored.action = held.action AND restored.rev = held.rev
)
ORDER BY id;
"""
_CHECK = f"DO $$BEGIN IF {_HOLDS_DATA} THEN RAISE EXCEPTION '{_REFUSED}'; END IF; END$$;"
# A transaction id means nothing in another server. 2 is below all that there are: no sweep takes these for fresh ones.
_SETTLE = "ALTER TABLE kvcast.kv ALTER COLUMN tx TYPE xid8 USING '2'::xid8;\n"
_FINISH = f"""
UPDATE kvcast.meta SET value = replace(gen_random_uuid()::text, '-', '') WHERE name = 'epoch';
SELECT pg_catalog.setval('kvcast.rev', greatest((SELECT last_value FROM kvcast.rev), :held) + {REV_GAP});
ANALYZE kvcast.kv, kvcast.tick;
"""


def server_major(url: str, setting: str) -> int:
    """The major version of the server. Raises StorageUnavailable."""
    with closing(connect(url, setting=setting)) as connection:
        return int(connection.run("SHOW server_version_num")[0][0]) // 10_000


def back_up(url: str, tools: Tools, target: IO[bytes]) -> None:
    """Write a backup of the database of `url` to `target`. Raises StorageUnavailable."""
    command = [
        tools.command("pg_dump"), "--format=custom", "--schema=kvcast", "--strict-names", "--no-owner",
        "--no-privileges", f"--lock-wait-timeout={LOCK_SECONDS}s",
    ]
    done = subprocess.run(command, stdout=target, stderr=subprocess.PIPE, env=libpq_environment(url), check=False)
    if done.returncode != 0:
        raise StorageUnavailable(f"The backup failed: {_complaint(done.stderr)}")


@contextmanager
def whole_or_nothing(path: Path) -> Iterator[IO[bytes]]:
    """A file that is called `path`, for its owner's eyes only, once all of it is on the disk. Raises SettingsError."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written ({error.strerror}); name a file in another folder.") from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            os.fsync(descriptor)
        unfinished.rename(path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()


def version_in(path: Path, tools: Tools) -> int:
    """The version of the schema in a backup. Raises InvalidRequest where it is none, or one of a newer kvcast."""
    command = [tools.command("pg_restore"), "--data-only", "--schema=kvcast", "--table=meta", "--file=-", str(path)]
    done = subprocess.run(command, capture_output=True, check=False)
    held = dict(line.split("\t", 1) for line in done.stdout.decode(errors="replace").splitlines() if "\t" in line)
    if done.returncode != 0 or not held.get("schema", "").isdigit():
        reason = f" {_complaint(done.stderr)}" if done.returncode else ""
        raise InvalidRequest(f"{path} is no backup of kvcast, name a file that `kvcast backup` wrote.{reason}")
    version = int(held["schema"])
    if version > VERSION:
        raise InvalidRequest(f"{path} has schema version {version}, this kvcast knows {VERSION}; use a newer kvcast.")
    return version


def restore(
    url: str, path: Path, tools: Tools, *, functions_url: str, setting: str, force: bool, say: Callable[[str], object]
) -> None:
    """Make the database of `url` what it was at the backup `path`, under a new epoch, or leave it as it is.

    functions_url, setting, say: as for `migrate`. force: also where the database holds data. Raises Conflict where it
    does and `force` is false, InvalidRequest for a file that is no whole backup, StorageUnavailable.
    """
    version = version_in(path, tools)
    with owning(url, say, setting=setting) as connection:
        exists = connection.run("SELECT to_regclass('kvcast.meta')")[0][0] is not None
        roles = _functions_roles(connection) if exists else set()
        done = [path.name]
        if functions_url and role_of(functions_url) != role_of(url):
            done += filter(None, [admit(connection, functions_url)])
            roles.add(role_of(functions_url))
        with _transaction(url, tools) as (tell, take):
            tell(_BEGIN)
            if exists:
                tell(_REPLACE.format(check="" if force else _CHECK))
            take(path, "pre-data")
            take(path, "data")
            tell(_SETTLE)
            take(path, "post-data")
            for script in scripts_after(version):
                tell(script)
            tell(_FINISH)
            if exists:
                tell(_KEEP_AUDIT)
            tell(audit.of_command("restore", "; ".join(done)))
            for role in sorted(roles):
                tell("".join(f"{grant};\n" for grant in grants(role)))


def _functions_roles(connection: Connection) -> set[str]:
    """Who else may write values."""
    rows = connection.run(
        "SELECT DISTINCT grantee FROM information_schema.role_table_grants "
        "WHERE table_schema = 'kvcast' AND table_name = 'kv' AND privilege_type = 'INSERT' AND grantee <> current_user"
    )
    return {role for (role,) in rows}


@contextmanager
def _transaction(url: str, tools: Tools) -> Iterator[tuple[Callable[[str], None], Callable[[Path, str], None]]]:
    """psql, told what to do: with SQL, or with a section of a backup. COMMIT is the last word, after all went well."""
    options = ["--no-psqlrc", "--quiet", "--output=/dev/null", "--set=ON_ERROR_STOP=1", "--file=-"]
    command = [tools.command("psql"), *options]
    psql = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=libpq_environment(url))
    assert psql.stdin is not None
    source = psql.stdin

    def tell(sql: str) -> None:
        source.write(sql.encode())
        source.flush()

    def take(path: Path, section: str) -> None:
        reading = [tools.command("pg_restore"), "--no-owner", "--no-privileges", f"--section={section}", "--file=-"]
        done = subprocess.run([*reading, str(path)], stdout=source, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            try:
                psql.wait(1.0)  # then it has ended first, and says why
            except subprocess.TimeoutExpired:
                complaint = _complaint(done.stderr)
                raise InvalidRequest(f"{path} is damaged: {complaint} Nothing was changed.") from None

    try:
        with suppress(BrokenPipeError):  # psql has ended, and says why
            yield tell, take
            tell("COMMIT;\n")
        _, said = psql.communicate()
        if psql.returncode != 0:
            raise _refusal(said)
    finally:
        psql.kill()  # where the block has failed: what has no COMMIT is rolled back
        psql.communicate()


def _refusal(said: bytes) -> KvcastError:
    reason = _complaint(said)
    return Conflict(_REFUSED) if _REFUSED in reason else StorageUnavailable(f"{reason} Nothing was changed.")


def _complaint(said: bytes) -> str:
    """The first error of one of PostgreSQL's programs."""
    lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
    first = next((line for line in lines if "error:" in line.lower()), lines[0] if lines else "it did not say why")
    return first.strip().rstrip(".") + "."
