"""A database of a test's own in the shared PostgreSQL: its own schema and epoch, so its own world in Redis too."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from kvcast.bus.cache import Cache
from kvcast.bus.connection import open_redis
from kvcast.embedded import FUNCTIONS_ROLE, Stores
from kvcast.errors import StorageUnavailable
from kvcast.messages import Change, Write
from kvcast.storage import reads
from kvcast.storage.pool import Pool, Session, connect
from kvcast.storage.schema import migrate, usable_epoch
from kvcast.storage.writes import Statements, commit_all
from tests.polling import eventually

PATIENT_SECONDS = 10.0


def patient(redis_url: str) -> str:
    """With more time for Redis' answers than the quarter of a second after which it is left out for a second.

    So a 200 means that Redis has the value too, however busy this machine is.
    """
    return f"{redis_url}&socket_timeout={PATIENT_SECONDS:g}"


@contextmanager
def guarded_role(stores: Stores) -> Iterator[str]:
    """The name of a role, which is still to be made, that PostgreSQL lets in with its password only."""
    role = f"role_{uuid.uuid4().hex[:12]}"
    connection = connect(stores.migration_url, statement_timeout_seconds=30)
    try:
        path = Path(connection.run("SHOW hba_file")[0][0])
        before = path.read_text()
        path.write_text(f"local all {role} scram-sha-256\n{before}")
        connection.run("SELECT pg_reload_conf()")
        eventually(lambda: "28P01" in _refusal(role, stores.database_url))  # it reads it a moment later
        yield role
        path.write_text(before)
        connection.run("SELECT pg_reload_conf()")
    finally:
        connection.close()


def _refusal(role: str, url: str) -> str:
    """Of a login with a wrong password; empty where it is let in."""
    try:
        connect(url.replace("kvcast@", f"{role}:wrong@", 1)).close()
    except StorageUnavailable as error:
        return error.message
    return ""


class Database:
    """urls: as a function takes them. Pools and sessions that it hands out are closed with it."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self.name = f"test_{uuid.uuid4().hex[:12]}"
        self.database_url = stores.database_url.replace("/kvcast?", f"/{self.name}?")
        self.owner_url = stores.migration_url.replace("/kvcast?", f"/{self.name}?")
        self.redis_url = patient(stores.redis_url)
        self.redis: redis.Redis = open_redis(self.redis_url)
        self.statements = Statements(history=True)
        self._closing: list[Pool | Session] = []

    def __enter__(self) -> Self:
        self.administer(f"CREATE DATABASE {self.name}")
        migrate(self.owner_url, functions_role=FUNCTIONS_ROLE)
        self.as_owner("DELETE FROM audit")  # the migration itself
        self.own = self.pool()
        self.epoch = usable_epoch(self.own)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self.redis.close()
        self.administer(f"DROP DATABASE {self.name} WITH (FORCE)")

    def reset(self) -> None:
        """Empty it, and make its world in Redis another one: ten times faster than a new database."""
        self.close()
        self.as_owner(
            "DELETE FROM kv", "DELETE FROM tick", "DELETE FROM idempotency", "DELETE FROM audit",
            "UPDATE meta SET value = replace(gen_random_uuid()::text, '-', '') WHERE name = 'epoch'",
        )
        self.own = self.pool()
        self.epoch = usable_epoch(self.own)

    def close(self) -> None:
        """Its pools and sessions."""
        closing, self._closing = self._closing, []
        for one in closing:
            one.close()

    def administer(self, statement: str) -> None:
        """Outside of it, as what makes and drops it must be."""
        _run(self._stores.migration_url, statement)

    def environment(self) -> dict[str, str]:
        return {"DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url}

    def pool(self, size: int = 8, url: str | None = None, *, lock_timeout_seconds: float = 0) -> Pool:
        pool = Pool(url or self.database_url, size, lock_timeout_seconds=lock_timeout_seconds)
        self._closing.append(pool)
        return pool

    def session(self) -> Session:
        """A connection that the test holds: to leave a transaction open, or to hold a lock."""
        session = Session(connect(self.database_url))
        session.run("SET idle_in_transaction_session_timeout = 0")
        self._closing.append(session)
        return session

    def cache(self, *, guard: bool = True, window: int = 1000) -> Cache:
        return Cache(self.redis, self.epoch, ttl_seconds=3600, window=window, guard=guard)

    def commit(self, *writes: Write) -> list[Change]:
        """What a process leaves behind that dies between commit and publish."""
        return commit_all(self.own, self.statements, writes)

    def as_owner(self, *statements: str) -> None:
        _run(self.owner_url, *statements)

    def waits_for_lock(self) -> bool:
        """Whether a statement of anybody does."""
        waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return bool(self.own.run(waiting))

    def row(self, key: str) -> Change | None:
        return reads.latest(self.own, [key]).get(key)

    def ticks(self, key: str) -> Sequence[Change]:
        return reads.ticks_after(self.own, key, 0, 1_000_000)


def _run(url: str, *statements: str) -> None:
    with closing(connect(url, statement_timeout_seconds=30)) as connection:
        for statement in statements:
            connection.run(statement)
