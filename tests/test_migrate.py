"""`kvcast migrate`: the schema and the functions' role, several at once, a database that comes late."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from kvcast.embedded import Stores
from kvcast.errors import StorageUnavailable
from kvcast.storage.pool import connect
from kvcast.storage.schema import usable_epoch
from tests.databases import Database, guarded_role
from tests.polling import eventually

ROOT = Path(__file__).parent.parent
DEADLINE_SECONDS = 60.0
PASSWORD = "p'w \"d\\%/@:\N{LATIN SMALL LETTER U WITH DIAERESIS}"
ROTATED = "rotated-password-of-the-role"
NOWHERE = "postgresql://u:hidden@127.0.0.1:1/none"


class Migration(subprocess.Popen[str]):
    def __init__(self, *options: str, **environment: str) -> None:
        super().__init__(
            [sys.executable, "-m", "kvcast", "migrate", *options], cwd=ROOT, env={**os.environ, **environment},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )

    def __exit__(self, *about: object) -> None:
        self.kill()  # where its test has failed
        super().__exit__(*about)  # type: ignore[arg-type]

    def line(self) -> str:
        assert self.stdout is not None
        return self.stdout.readline()

    def ended(self) -> tuple[int, str]:
        output, _ = self.communicate(timeout=DEADLINE_SECONDS)
        return self.returncode, output


@pytest.fixture
def role(stores: Stores, bare: Database) -> Iterator[str]:
    with guarded_role(stores) as role:
        yield role
        bare.as_owner(f'DROP OWNED BY "{role}"', f'DROP ROLE "{role}"')


def url_of(database: Database, role: str, password: str) -> str:
    return database.database_url.replace("kvcast@", f"{role}:{quote(password, safe='')}@", 1)


def test_it_needs_a_database_and_may_be_repeated(bare: Database) -> None:
    assert Migration().ended() == (2, "error: No database is named; set KVCAST_MIGRATION_URL or DATABASE_URL.\n")
    for _ in range(2):
        assert Migration(DATABASE_URL=bare.owner_url).ended() == (0, "The schema is up to date.\n")
    assert usable_epoch(bare.pool(url=bare.owner_url))


def test_the_functions_role_is_made_and_a_rotated_password_works(stores: Stores, bare: Database, role: str) -> None:
    for password in (PASSWORD, ROTATED, PASSWORD):
        url = url_of(bare, role, password)
        assert Migration(KVCAST_MIGRATION_URL=bare.owner_url, DATABASE_URL=url).ended()[0] == 0
        pool = bare.pool(url=url)
        assert usable_epoch(pool)
        assert pool.run("SELECT count(*) FROM kv") == [[0]]
        with pytest.raises(StorageUnavailable, match="refuses the password"):
            connect(url_of(bare, role, "wrong"))
    log = (stores.folder / "postgres.log").read_text()
    assert f'CREATE ROLE "{role}" LOGIN' in log
    assert "p''w" not in log
    assert ROTATED not in log


def test_several_at_once_are_as_good_as_one(bare: Database, role: str) -> None:
    url = url_of(bare, role, PASSWORD)
    given = {"KVCAST_MIGRATION_URL": bare.owner_url, "DATABASE_URL": url}
    with closing(connect(bare.owner_url)) as other:
        other.run("SET idle_in_transaction_session_timeout = 0")
        other.run("BEGIN")
        other.run("CREATE SCHEMA kvcast")  # nobody gets past this before all have come
        running = [Migration(**given) for _ in range(5)]
        present = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        looking = bare.pool(url=bare.owner_url)
        try:
            assert eventually(lambda: looking.run(present)[0][0] >= 7, DEADLINE_SECONDS)
        finally:
            other.run("ROLLBACK")
    for migration in running:
        code, output = migration.ended()
        assert (code, output.splitlines()[-1]) == (0, "The schema is up to date.")
    assert usable_epoch(bare.pool(url=url))


def test_an_owner_that_may_make_no_role_names_the_mend(bare: Database, role: str) -> None:
    owner = f"owner_{bare.name}"
    bare.administer(f"CREATE ROLE {owner} LOGIN")
    bare.administer(f"GRANT CREATE ON DATABASE {bare.name} TO {owner}")
    url = url_of(bare, role, "hidden")
    given = {"KVCAST_MIGRATION_URL": bare.owner_url.replace("postgres@", f"{owner}@", 1), "DATABASE_URL": url}
    code, output = Migration("--wait", **given).ended()
    assert code == 2
    assert f'may not make role {role}, the one of DATABASE_URL; run ALTER ROLE "{owner}" CREATEROLE' in output
    assert output.count("\n") == 1
    bare.administer(f"ALTER ROLE {owner} CREATEROLE")
    assert Migration(**given).ended()[0] == 0
    bare.administer(f"ALTER ROLE {owner} NOCREATEROLE")
    assert Migration(**given).ended()[0] == 0  # there is nothing left for it to do
    code, output = Migration(**{**given, "DATABASE_URL": url_of(bare, role, "newer")}).ended()
    assert code == 2
    assert f"may not change the password of role {role}" in output
    bare.as_owner(f"REASSIGN OWNED BY {owner} TO postgres", f"DROP OWNED BY {owner}")
    bare.administer(f"ALTER DATABASE {bare.name} OWNER TO postgres")


def test_it_waits_for_the_right_password_and_says_so_once(bare: Database, role: str) -> None:
    bare.administer(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'old'")
    with Migration("--wait", KVCAST_MIGRATION_URL=url_of(bare, role, "hidden")) as migration:
        assert migration.line() == (
            f"Waiting: PostgreSQL refuses the password of role {role} (28P01); correct KVCAST_MIGRATION_URL.\n"
        )
        bare.administer(f"ALTER ROLE {role} PASSWORD 'hidden'")
        assert migration.ended() == (0, "The schema is up to date.\n")
    bare.as_owner(f"REASSIGN OWNED BY {role} TO postgres")


def test_without_wait_it_ends_at_once() -> None:
    code, output = Migration(DATABASE_URL=NOWHERE).ended()
    assert code == 1
    assert "cannot be reached" in output
    assert "hidden" not in output


def test_sigterm_ends_the_waiting() -> None:
    with Migration("--wait", DATABASE_URL=NOWHERE) as migration:
        assert migration.line().startswith("Waiting: PostgreSQL at 127.0.0.1:1 cannot be reached")
        migration.send_signal(signal.SIGTERM)
        assert migration.ended() == (128 + signal.SIGTERM, "")


def test_it_waits_for_another_migration(bare: Database) -> None:
    with closing(connect(bare.owner_url)) as other:
        other.run(f"SELECT pg_advisory_lock({0x6B766361})")
        migration = Migration(DATABASE_URL=bare.owner_url)
        assert migration.line() == "Another migration is running; waiting for its end.\n"
        other.run("SELECT pg_advisory_unlock_all()")
    assert eventually(lambda: migration.poll() is not None, DEADLINE_SECONDS)
    assert migration.ended() == (0, "The schema is up to date.\n")
