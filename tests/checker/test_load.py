"""The load tries every promise, obeys the rules of the real client, ends when it is told to, and says how it went."""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from kvcast.embedded import Stores
from tests.checker import check, recording, records, stored
from tests.checker.availability import unavailable_seconds
from tests.checker.observed import World
from tests.checker.records import UNREACHABLE, Add, Open
from tests.conftest import TOKEN
from tests.polling import eventually
from tests.ports import port_of_our_own

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def world(stores: Stores) -> Iterator[World]:
    world = World(stores, "local", "")
    yield world
    world.close()


class Load:
    """A running load. write: URLs in front of the world's own; name: where several load one world at once."""

    def __init__(
        self, world: World, folder: Path, *options: str, write: tuple[str, ...] = (), name: str = "load"
    ) -> None:
        url = world.server.url
        self.folder = folder / "history"
        (folder / "token").write_text(TOKEN)
        urls = [word for one in (*write, url) for word in ("--write", one)]
        name = f"{folder.name.replace('_', '-')}-{name}"
        self._path = self.folder / f"{name}.jsonl"
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "tests.checker.load", *urls, "--read", url, "--push", url, "--token-file",
                str(folder / "token"), "--history", str(self.folder), "--name", name, "--viewers", "40",
                "--writes-per-second", "100", "--reads-per-second", "300", "--keys", "40", *options,
            ],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._process:
            self._process.kill()

    def began(self) -> bool:
        return self._path.exists() and b'"what":"get"' in self._path.read_bytes()

    def records(self) -> list[records.Any]:
        return [records.decoder.decode(line) for line in recording.lines(self.folder)]

    def terminate(self) -> None:
        self._process.terminate()

    def figures(self) -> dict[str, Any]:
        """When it has ended."""
        output, _ = self._process.communicate(timeout=120)
        assert self._process.returncode == 0
        figures: dict[str, Any] = json.loads(output)
        return figures


@contextmanager
def cutting_server() -> Iterator[str]:
    """Takes a request and hangs up, as a process does that is killed before it answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65_536)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_a_load_tries_every_promise_and_finds_them_kept(world: World, tmp_path: Path) -> None:
    with Load(world, tmp_path, "--seconds", "4") as load:
        figures = load.figures()
    url = world.database.database_url
    verdict = check(load.folder, stored.rows(url), stored.ticks(url))
    assert verdict.ok, verdict.text()
    assert [finding.promise for finding in verdict.findings if not finding.checked] == ["seen off"]
    assert figures["settled_seconds"] is not None
    assert figures["writes_per_second"] > 0
    assert figures["reads_per_second"] > 0
    assert set(figures["unavailable_seconds"]) == {"write", "read"}
    asked = {(one.via, one.mode, bool(one.since)) for one in load.records() if isinstance(one, Open)}
    assert asked >= set(itertools.product(["ws", "sse"], ["latest", "every"], [False]))
    assert any(resumed for _, _, resumed in asked)


def test_loads_that_are_told_to_end_settle_first_and_make_one_history(world: World, tmp_path: Path) -> None:
    with Load(world, tmp_path, "--seconds", "60", name="one") as one, Load(world, tmp_path, name="other") as other:
        for load in (one, other):
            eventually(load.began, within=60)
            load.terminate()
        assert [load.figures()["settled_seconds"] is not None for load in (one, other)] == [True, True]
    verdict = check(one.folder)
    assert verdict.ok, verdict.text()


def test_a_write_of_unknown_outcome_is_repeated_only_under_its_idempotency_key(world: World, tmp_path: Path) -> None:
    with cutting_server() as cutting, port_of_our_own() as unused:
        unreachable = f"http://127.0.0.1:{unused}"
        with Load(world, tmp_path, "--seconds", "2", write=(*[cutting] * 12, unreachable)) as load:
            load.figures()
    attempts: dict[str, list[Add]] = {}
    for record in load.records():
        if isinstance(record, Add):
            attempts.setdefault(record.value, []).append(record)
    unknown = [tries for tries in attempts.values() if tries[0].unknown]
    assert {bool(tries[0].id) for tries in unknown} == {True, False}
    assert all(len(tries) == 1 for tries in unknown if not tries[0].id)
    assert all(len(tries) > 1 for tries in unknown if tries[0].id)
    moved_on = [tries for tries in attempts.values() if tries[0].code == UNREACHABLE]
    assert moved_on
    assert all(tries[-1].status in (200, 412) for tries in moved_on)
    assert check(load.folder).ok


def test_unavailable_is_what_a_gap_lasts_beyond_250_ms() -> None:
    seconds = [round(part * 1e9) for part in (0.1, 0.3, 1.3, 1.4)]
    assert unavailable_seconds(seconds, 0, round(2e9)) == pytest.approx(0.75 + 0.35)
