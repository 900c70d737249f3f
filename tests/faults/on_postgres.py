"""What happens to PostgreSQL. It is the truth: without it nothing is written, and reads are what Redis holds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

from kvcast.errors import KvcastError
from kvcast.storage.pool import Session
from tests.calls import Caller
from tests.faults.catalogue import Scene, fault
from tests.faults.world import MEMBERS, TOKEN
from tests.polling import eventually

AWAY = "writes are refused with 503 until it is back; reads of what Redis holds go on"
FUNCTIONS_SESSIONS = "usename = 'kvcast' AND pid <> pg_backend_pid()"


@fault("PostgreSQL killed", AWAY, "postgres", hold_seconds=2)
def killed(scene: Scene) -> Iterator[None]:
    scene.world.postgres.kill()
    yield
    scene.world.restart_store(scene.world.postgres)


@fault("PostgreSQL immediate stop", AWAY, "postgres", hold_seconds=2)
def immediate(scene: Scene) -> Iterator[None]:
    postgres = scene.world.postgres
    os.kill(postgres.pid, signal.SIGQUIT)
    eventually(lambda: not postgres.running(), 10)
    yield
    scene.world.restart_store(postgres)


@fault("PostgreSQL restarted", AWAY, "postgres", hold_seconds=0.5)
def restarted(scene: Scene) -> Iterator[None]:
    scene.world.postgres.stop()
    yield
    scene.world.restart_store(scene.world.postgres)


@fault("PostgreSQL connections terminated", "calls under way; the next ones connect anew", "postgres", hold_seconds=1)
def terminated(scene: Scene) -> Iterator[None]:
    statement = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {FUNCTIONS_SESSIONS}"
    scene.world.as_owner(statement)
    yield
    scene.world.as_owner(statement)


@fault("PostgreSQL out of connections", AWAY, "postgres", hold_seconds=4)
def crowded(scene: Scene) -> Iterator[None]:
    """Others take every connection, so the functions lose theirs and get none."""
    held: list[Session] = []
    others = f"{FUNCTIONS_SESSIONS} AND NOT pid = ANY(ARRAY[%s])"
    statement = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
    try:
        for _ in range(8):  # until the functions have none: they are quick to connect again
            with suppress(KvcastError):
                while True:
                    held.append(scene.world.session())
            own = ",".join(str(session.run("SELECT pg_backend_pid()")[0][0]) for session in held)
            scene.world.as_owner(statement % own)
        with suppress(KvcastError):
            while True:
                held.append(scene.world.session())
        yield
    finally:
        for session in held:
            session.close()


def no_small_disk() -> str:
    if os.geteuid() != 0:
        return "mounting a small tmpfs takes root"
    return ""


@fault("disk full", AWAY, "postgres", hold_seconds=5, where="small disk", impossible=no_small_disk)
def disk_full(scene: Scene) -> Iterator[None]:
    postgres = scene.world.postgres
    filler = scene.world.folder / "data" / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    yield
    filler.unlink()
    with suppress(AssertionError):
        eventually(lambda: not postgres.running() or postgres._ready(), 5)
    if not postgres.running() or not postgres._ready():
        scene.world.restart_store(postgres)


@fault("long lock on a hot row", "writes of that key wait for up to 2 s, then are refused", "postgres", hold_seconds=4)
def locked(scene: Scene) -> Iterator[None]:
    with ExitStack() as stack:
        session = scene.world.session()
        stack.callback(session.close)
        session.run("BEGIN")
        session.run("SELECT FROM kv WHERE key = :key FOR UPDATE", key=scene.key(0))
        yield
        session.run("ROLLBACK")


@fault("transaction left open", "nothing that a user would see: the sweep reads more", "postgres", hold_seconds=8)
def left_open(scene: Scene) -> Iterator[None]:
    with ExitStack() as stack:
        session = scene.world.session()
        stack.callback(session.close)
        session.run("BEGIN")
        session.run("SELECT pg_current_xact_id(), count(*) FROM kv")
        yield  # after 5 s of it PostgreSQL ends the session


@fault("SIGSTOP PostgreSQL", AWAY.replace("refused with 503", "answered 503 or 504"), "postgres", hold_seconds=10)
def stopped(scene: Scene) -> Iterator[None]:
    with scene.world.stopped(scene.world.postgres.pid):
        yield


@fault("older backup restored", "everything is as it was at the backup; viewers get all of it anew", "postgres")
def restored(scene: Scene) -> Iterator[None]:
    """kvcast's own commands; ends when each function is in the new epoch."""
    path = scene.world.folder / f"{scene.load}.dump"
    before = _epoch(scene, MEMBERS[0])
    scene.ends_with["voids_from"] = time.monotonic_ns()
    _kvcast(scene, "backup", str(path))
    yield
    _kvcast(scene, "restore", "--force", str(path))
    for member in MEMBERS:
        eventually(lambda member=member: _epoch(scene, member) != before, 10)  # type: ignore[misc]
    after = _epoch(scene, MEMBERS[0])
    for member in MEMBERS:
        eventually(lambda member=member: scene.world.greeting(f"push-{member}") == after, 10)  # type: ignore[misc]
    path.unlink()


def _epoch(scene: Scene, member: str) -> str:
    return str(Caller(scene.world.url(f"read-{member}"), TOKEN)("GET", "/stats").json().get("epoch"))


def _kvcast(scene: Scene, *arguments: str) -> None:
    postgres = scene.world.postgres
    urls = {"KVCAST_MIGRATION_URL": postgres.migration_url, "DATABASE_URL": postgres.database_url}
    command = [sys.executable, "-m", "kvcast", *arguments]
    subprocess.run(command, env={**os.environ, **urls}, check=True, capture_output=True, timeout=60)
