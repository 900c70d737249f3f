"""The stores of the local run: what they promise, and what they do with what an earlier life left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pg8000.native
import psutil
import pytest
import redis

from kvcast.embedded import Postgres, ServerFailed, Stores, Valkey
from kvcast.embedded.folder import SOCKET_PATH_MAX_BYTES, FolderInUse, socket_folder
from tests.polling import eventually

ABANDON = """
import os, signal, sys
from pathlib import Path
from kvcast.embedded import Stores
stores = Stores.start(Path(sys.argv[1]))
print(stores.postgres.pid, stores.redis.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def connect(postgres: Postgres, role: str = "postgres") -> pg8000.native.Connection:
    folder = postgres.database_url.partition("host=")[2]
    return pg8000.native.Connection(role, database="kvcast", unix_sock=f"{folder}/.s.PGSQL.5432")


def run(postgres: Postgres, statement: str, role: str = "postgres") -> list[list[object]]:
    connection = connect(postgres, role)
    try:
        return connection.run(statement) or []
    finally:
        connection.close()


@pytest.fixture
def own_stores(tmp_path: Path) -> Iterator[Stores]:
    """Stores that a test may break."""
    with Stores(tmp_path / "data") as stores:
        yield stores


@pytest.fixture
def folder_of_postgres(tmp_path: Path) -> Path:
    """A data folder in which PostgreSQL was once started and stopped."""
    with Stores(tmp_path / "data"):
        pass
    return tmp_path / "data"


def test_a_killed_postgresql_comes_back_with_what_it_committed_under_the_same_url(own_stores: Stores) -> None:
    url = own_stores.database_url
    run(own_stores.postgres, "CREATE TABLE seen AS SELECT 1 AS number")
    own_stores.postgres.kill()
    assert not own_stores.postgres.running()
    own_stores.postgres.start()
    assert own_stores.database_url == url
    assert run(own_stores.postgres, "SELECT number FROM seen") == [[1]]


def test_a_killed_redis_comes_back_empty_under_the_same_url(own_stores: Stores) -> None:
    with redis.Redis.from_url(own_stores.redis_url) as client:
        client.set("a", 1)
        own_stores.redis.kill()
        own_stores.redis.start()
        assert client.get("a") is None


def test_a_commit_is_on_the_disk_before_it_is_acknowledged(own_stores: Stores) -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert run(own_stores.postgres, f"SHOW {setting}") == [["on"]]


def test_text_is_utf8_in_code_point_order_whatever_the_machine_is_set_to(own_stores: Stores) -> None:
    ordered = "SELECT string_agg(c, '' ORDER BY c) FROM unnest(ARRAY['ä', 'b', 'B', 'a', '𝄞', '￰']) c"
    assert run(own_stores.postgres, ordered) == [["Babä￰𝄞"]]
    assert run(own_stores.postgres, "SELECT lower('Ä')") == [["ä"]]


def test_the_role_of_the_functions_may_not_make_tables(own_stores: Stores) -> None:
    with pytest.raises(pg8000.DatabaseError, match="permission denied"):
        run(own_stores.postgres, "CREATE TABLE mine (number int)", role="kvcast")


def test_the_stores_listen_on_private_unix_sockets_only(own_stores: Stores) -> None:
    for pid in (own_stores.postgres.pid, own_stores.redis.pid):
        process = psutil.Process(pid)
        for one in (process, *process.children()):
            with suppress(psutil.NoSuchProcess):  # PostgreSQL ends some as they have done their work
                assert one.net_connections("inet") == []
    folder = Path(own_stores.database_url.partition("host=")[2])
    assert folder.stat().st_mode & 0o077 == 0


def test_one_process_is_in_charge_of_a_data_folder(own_stores: Stores, tmp_path: Path) -> None:
    with pytest.raises(FolderInUse) as refusal:
        Stores.start(tmp_path / "data")
    assert refusal.value.pid == os.getpid()
    assert own_stores.postgres.running()


def test_a_parent_that_is_killed_leaves_nothing_and_the_next_one_starts(tmp_path: Path) -> None:
    abandoned = subprocess.run(
        [sys.executable, "-c", ABANDON, str(tmp_path)], stdout=subprocess.PIPE, text=True, check=False
    )
    assert abandoned.returncode == -signal.SIGKILL
    pids = [int(text) for text in abandoned.stdout.split()]
    assert len(pids) == 2
    with Stores(tmp_path) as stores:  # ends what may still be on its way out
        assert [pid for pid in pids if alive(pid)] == []
        assert run(stores.postgres, "SELECT 1") == [[1]]


def test_a_server_whose_parent_died_without_it_is_ended(tmp_path: Path) -> None:
    first = Stores.start(tmp_path)
    left = [first.postgres.pid, first.redis.pid]
    second = Stores(tmp_path)
    second.postgres.start()
    second.redis.start()
    try:
        assert [pid for pid in left if alive(pid)] == []
    finally:
        second.stop()
        first.stop()


@pytest.mark.parametrize("place", ["data/postgres/postmaster.pid", "data/sockets/.s.PGSQL.5432.lock"])
def test_a_lock_of_a_power_cut_whose_pid_is_another_programs_by_now_is_cleared(
    folder_of_postgres: Path, tmp_path: Path, place: str
) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        home = folder_of_postgres / "postgres"
        (tmp_path / place).write_text(f"{bystander.pid}\n{home}\n1700000000\n5432\n{home}\n\n  5432001   1\nready\n")
        (folder_of_postgres / "lock").write_text(f"{bystander.pid}\n")
        with Stores(folder_of_postgres) as stores:
            assert run(stores.postgres, "SELECT 1") == [[1]]
        assert bystander.poll() is None
    finally:
        bystander.communicate(b"\n")


def test_a_first_start_that_was_interrupted_begins_again(tmp_path: Path) -> None:
    half = tmp_path / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with Stores(tmp_path) as stores:
        assert run(stores.postgres, "SELECT 1") == [[1]]


def test_a_server_that_does_not_start_shows_the_end_of_its_log(folder_of_postgres: Path) -> None:
    (folder_of_postgres / "postgres" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(ServerFailed, match=r"(?s)PostgreSQL ended while it started.*initialized by PostgreSQL version"):
        Stores.start(folder_of_postgres)
    with Stores(folder_of_postgres.parent / "other"):
        pass  # the failed start let go of everything it had


def test_a_data_folder_whose_path_is_too_long_for_sockets_works(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 25) / "data"
    with Stores(folder) as stores:
        sockets = Path(stores.database_url.partition("host=")[2])
        assert sockets.parent == Path(tempfile.gettempdir())
        assert len(str(sockets)) < SOCKET_PATH_MAX_BYTES
        assert run(stores.postgres, "SELECT 1") == [[1]]
    sockets.rmdir()


def test_a_socket_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 25)
    folder.mkdir()
    open_to_all = socket_folder(folder)
    open_to_all.chmod(0o755)
    try:
        with pytest.raises(Exception, match="belongs to someone else"):
            Valkey(folder)
    finally:
        open_to_all.rmdir()


def test_stopping_twice_and_killing_what_is_stopped_do_nothing(own_stores: Stores) -> None:
    own_stores.redis.stop()
    own_stores.redis.stop()
    own_stores.redis.kill()
    assert not own_stores.redis.running()
    with pytest.raises(ServerFailed, match="not running"):
        _ = own_stores.redis.pid


def test_a_parent_that_ends_is_noticed_by_the_kernel_alone(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux tells a child that its parent died")
    abandoned = subprocess.run(
        [sys.executable, "-c", ABANDON, str(tmp_path)], stdout=subprocess.PIPE, text=True, check=False
    )
    pids = [int(text) for text in abandoned.stdout.split()]
    assert len(pids) == 2
    assert eventually(lambda: not any(map(alive, pids)))
