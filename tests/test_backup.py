"""`kvcast backup` and `kvcast restore`, while the three functions run as processes of their own and viewers watch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kvcast.client import Client
from kvcast.embedded import Stores
from kvcast.messages import Write
from kvcast.storage.pool import Pool, connect
from kvcast.storage.schema import migrate
from kvcast.storage.writes import Statements, commit_all
from tests.calls import Caller
from tests.conftest import Server
from tests.databases import Database
from tests.faults.checker import went_back
from tests.faults.worlds import Screen
from tests.functions.push.raw import Closed, EventStream
from tests.polling import HANG_SECONDS, eventually

ROOT = Path(__file__).parent.parent
PROMISED_SECONDS = 4 * 2.5  # on a busy machine; tests/checker holds a load to the promise itself
Serve = Callable[..., Server]


def kvcast(*arguments: str, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "kvcast", *arguments], cwd=ROOT, env={**os.environ, **environment},
        capture_output=True, text=True, timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def own(stores: Stores) -> Iterator[Database]:
    """A database that a restore may make anew."""
    with Database(stores) as database:
        yield database


def urls(database: Database) -> dict[str, str]:
    return {"KVCAST_MIGRATION_URL": database.owner_url, "DATABASE_URL": database.database_url}


def test_functions_and_viewers_go_on_with_what_was_restored(own: Database, serve: Serve, tmp_path: Path) -> None:
    write, read, push = (serve(name, **own.environment()) for name in ("write", "read", "push"))
    writing, reading = Caller(write.url, write.token), Caller(read.url, read.token)
    path = str(tmp_path / "a.dump")
    restored = writing.rev_of("gold", '"backed up"')
    assert kvcast("backup", path, **urls(own))[0] == 0
    newer = writing.rev_of("gold", '"newer"')
    writing.rev_of("new", "1")
    eventually(lambda: reading.get("gold").headers["x-cache"] == "l1")
    before, stream = Screen(push.url, "gold", "new"), EventStream(push.url, "key=gold&key=new")
    assert before.rev("gold") == newer

    code, output, _ = kvcast("restore", "--force", path, **urls(own))
    assert (code, "Restored" in output) == (0, True)
    eventually(lambda: reading.get("gold").json()["value"] == "backed up", PROMISED_SECONDS)
    eventually(lambda: reading.get("new").status == 404, PROMISED_SECONDS)
    eventually(lambda: reading("GET", "/stats").json()["epoch"] != before.epoch)
    before._thread.join(HANG_SECONDS)
    assert not before._thread.is_alive(), "the viewer from before was not let go"
    with stream, pytest.raises(Closed):
        stream.until("the end")

    with Screen(push.url, "gold", "new", since={"gold": newer, "new": newer + 1}, epoch=before.epoch) as after:
        assert after.epoch != before.epoch
        assert [(seen.op, seen.rev, seen.value) for seen in after.of("gold") if seen.rev] == [
            ("snap", restored, b'"backed up"')
        ]
        assert not after.rev("new")
        rev = writing.rev_of("gold", '"and on"')
        assert rev > newer + 1
        eventually(lambda: after.rev("gold") == rev)
        eventually(lambda: reading.get("gold").json()["rev"] == rev)
        assert not went_back(after.received)
    for server in (write, read, push):
        assert "Booting worker" in server.log()
        assert server.log().count("Booting worker") == 1, "it goes on without a restart"


def test_a_client_that_watches_gets_the_restored_value(own: Database, serve: Serve, tmp_path: Path) -> None:
    server = serve("local", **own.environment())
    path = str(tmp_path / "a.dump")
    seen: list[str] = []

    def watch() -> None:
        with Client(server.url, server.token) as client:
            for change in client.watch("gold"):
                seen.append(str(change.value))
                if seen[-1] == "end":
                    return

    with Client(server.url, server.token) as client:
        client.set("gold", "backed up")
        assert kvcast("backup", path, **urls(own))[0] == 0
        client.set("gold", "newer")
        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        eventually(lambda: seen[-1:] == ["newer"])
        seen.clear()
        assert kvcast("restore", "--force", path, **urls(own))[0] == 0
        eventually(lambda: seen == ["backed up"])
        client.set("gold", "end")
        watching.join(HANG_SECONDS)
    assert seen == ["backed up", "end"]


def test_the_commands_say_what_is_wrong(own: Database, tmp_path: Path) -> None:
    there = tmp_path / "there.dump"
    there.touch()
    nowhere = str(tmp_path / "nowhere")
    for arguments, code, sentence in (
        (("backup",), 2, "No database is named, and no local run has its data in"),
        (("restore", str(tmp_path)), 2, "is no file; name one that `kvcast backup` wrote."),
    ):
        done = kvcast(*arguments, KVCAST_DATA=nowhere)
        assert (done[0], sentence in done[2]) == (code, True), done
    done = kvcast("backup", str(there), **urls(own))
    assert (done[0], "is there already" in done[2]) == (2, True), done
    done = kvcast("backup", str(tmp_path / "no" / "folder"), **urls(own))
    assert (done[0], "cannot be written" in done[2]) == (2, True), done
    own.commit(Write("gold", "1"))
    assert kvcast("backup", str(tmp_path / "a.dump"), **urls(own))[0] == 0
    done = kvcast("restore", str(tmp_path / "a.dump"), **urls(own))
    assert (done[0], "say --force" in done[2]) == (5, True), done
    hidden = own.owner_url.replace("postgres@", "postgres:hidden@", 1).replace(own.name, "missing")
    done = kvcast("backup", str(tmp_path / "b.dump"), DATABASE_URL=hidden)
    assert done[0] == 1
    assert "hidden" not in done[2]


def test_a_local_run_that_is_stopped_is_backed_up_and_restored() -> None:
    folder = Path(tempfile.mkdtemp(prefix="kvcast-test-"))
    statements = Statements(history=True)
    try:
        with Stores(folder) as stores:
            migrate(stores.migration_url, functions_url=stores.database_url)
            with closing(Pool(stores.database_url, 1)) as pool:
                commit_all(pool, statements, [Write("gold", "1")])
        path = str(folder / "a.dump")
        assert kvcast("backup", path, KVCAST_DATA=str(folder))[0] == 0
        assert kvcast("restore", "--force", path, KVCAST_DATA=str(folder))[0] == 0
        shutil.rmtree(folder / "postgres")
        with Stores(folder):
            pass  # its database is empty, and has not even a schema
        assert kvcast("restore", path, KVCAST_DATA=str(folder))[0] == 0
        with Stores(folder) as stores, closing(connect(stores.database_url)) as connection:
            assert connection.run("SELECT key, value FROM kv") == [["gold", "1"]]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
