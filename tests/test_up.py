"""`kvcast up` as a person meets it: one command, one Ctrl-C, and what goes wrong between them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import urllib3

from tests.polling import eventually

ROOT = Path(__file__).parent.parent
START_SECONDS = 120.0
DEADLINE_SECONDS = 60.0


class Run:
    """One `kvcast up` on `folder`."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self._log = folder.with_suffix(f".{time.monotonic_ns()}.log")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("KVCAST_")}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kvcast", "up"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**inherited, "PORT": "0", "KVCAST_DATA": str(folder), **environment},
            )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def wait_ready(self) -> Run:
        self.eventually(lambda: "Ctrl-C" in self.output, "ready", START_SECONDS)
        return self

    def eventually(self, condition: Callable[[], bool], what: str, seconds: float = DEADLINE_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not {what} within {seconds:g} s: {self.output}"
            assert self.process.poll() is None or condition(), f"ended before {what}: {self.output}"
            time.sleep(0.02)

    @property
    def url(self) -> str:
        return str(json.loads((self.folder / "running.json").read_text())["url"])

    @property
    def token(self) -> str:
        found = re.search(r"/admin#token=(\S+)", self.output)
        assert found
        return found[1]

    def servers(self) -> dict[str, int]:
        """The children by the folder that each works in."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):  # it has just ended
                found[Path(child.cwd()).name] = child.pid
        return found

    def family(self) -> list[psutil.Process]:
        process = psutil.Process(self.process.pid)
        return [process, *process.children(recursive=True)]

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = urllib3.request(method, self.url + path, headers=headers, retries=False, timeout=10, **arguments)
        return answer.json()

    def told(self, number: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(START_SECONDS)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """`up(PORT="8000")` starts a local run, always on the same data; it is ended after the test."""
    runs: list[Run] = []

    def start(**environment: str) -> Run:
        runs.append(Run(tmp_path / "data", **environment))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.told(signal.SIGTERM)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(map(lives, processes))


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_first_start_names_its_links_and_ctrl_c_ends_all_in_order(up: Callable[..., Run]) -> None:
    run = up().wait_ready()
    assert f"{run.url}/admin#token={run.token}\n" in run.output
    assert f"{run.url}/viewer/demo.gold\n" in run.output
    assert re.search(r"kvcast feed --demo\n", run.output)
    for name in ("admin-token", "running.json"):
        assert (run.folder / name).stat().st_mode & 0o077 == 0
    assert (run.folder / "admin-token").read_text().strip() == run.token
    family = run.family()
    assert run.told(signal.SIGINT) == 0
    assert re.findall(r"Stopping (\w+)\.", run.output) == ["functions", "Redis", "PostgreSQL"]
    assert gone(family)
    assert not (run.folder / "running.json").exists()


def test_a_second_start_finds_the_data_and_the_token(up: Callable[..., Run]) -> None:
    first = up().wait_ready()
    assert first.call("POST", "/add", json={"key": "gold", "value": 2345.6})["success"]
    token = first.token
    made = (first.folder / "postgres" / "PG_VERSION").stat()
    assert first.told(signal.SIGTERM) == 0
    second = up().wait_ready()
    found = (first.folder / "postgres" / "PG_VERSION").stat()
    assert (found.st_ino, found.st_mtime_ns) == (made.st_ino, made.st_mtime_ns), "the slow part was done once more"
    assert second.token == token
    assert second.call("GET", "/get/gold")["value"] == 2345.6


def test_the_command_line_finds_the_run_without_further_settings(up: Callable[..., Run]) -> None:
    run = up().wait_ready()
    environment = {**os.environ, "KVCAST_DATA": str(run.folder)}
    said = subprocess.run(
        [sys.executable, "-m", "kvcast", "set", "gold", "1"], cwd=ROOT, env=environment, capture_output=True, text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert run.call("GET", "/get/gold")["value"] == 1


def test_a_start_beside_a_running_one_says_so_in_one_line(up: Callable[..., Run]) -> None:
    run = up().wait_ready()
    other = up()
    assert other.process.wait(START_SECONDS) == 3
    assert other.output.count("\n") == 1
    assert run.url in other.output
    assert f"pid {run.process.pid}" in other.output
    assert run.call("GET", "/keys")["success"]


def test_a_taken_port_is_named_with_the_mend_before_anything_starts(up: Callable[..., Run]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = up(PORT=str(port))
        assert run.process.wait(START_SECONDS) == 1
    assert re.fullmatch(rf"kvcast: Port {port} on 127\.0\.0\.1 is taken .* such as PORT=\d+\.\n", run.output)
    assert not (run.folder / "postgres").exists()


def test_a_run_that_is_killed_leaves_no_process_and_the_next_one_starts(up: Callable[..., Run]) -> None:
    first = up().wait_ready()
    assert first.call("POST", "/add", json={"key": "gold", "value": 1})["success"]
    family = first.family()
    assert first.told(signal.SIGKILL) == -signal.SIGKILL
    second = up().wait_ready()
    assert eventually(lambda: gone(family))
    assert second.call("GET", "/get/gold")["value"] == 1


@pytest.mark.parametrize("store", ["redis", "postgres"])
def test_a_store_that_dies_is_started_again(up: Callable[..., Run], store: str) -> None:
    run = up().wait_ready()
    dead = run.servers()[store]
    os.kill(dead, signal.SIGKILL)
    run.eventually(lambda: run.servers().get(store, dead) != dead, f"{store} started again")
    assert "died; starting it again." in run.output
    key = f"after-{store}"
    run.eventually(lambda: bool(run.call("POST", "/add", json={"key": key, "value": 2})["success"]), "writable")
    run.eventually(lambda: bool(run.call("GET", f"/get/{key}").get("value") == 2), "readable")


def test_functions_that_die_end_the_run_with_an_error(up: Callable[..., Run]) -> None:
    run = up().wait_ready()
    family = run.family()
    os.kill(run.servers()["functions"], signal.SIGKILL)
    assert run.process.wait(START_SECONDS) == 1
    assert "The functions ended by themselves" in run.output
    assert eventually(lambda: gone(family))


def test_a_second_ctrl_c_hurries(up: Callable[..., Run]) -> None:
    run = up(KVCAST_DRAIN_SECONDS="100").wait_ready()
    family = run.family()
    stream = urllib3.request("GET", run.url + "/sse?key=gold", preload_content=False, retries=False, timeout=10)
    run.process.send_signal(signal.SIGINT)
    run.eventually(lambda: "Stopping functions." in run.output, "stopping")
    began = time.monotonic()
    assert run.told(signal.SIGINT) == 0
    assert time.monotonic() - began < 50, "as long as its viewers are given"
    assert gone(family)
    stream.close()


def test_a_ctrl_c_while_it_starts_leaves_no_process(up: Callable[..., Run]) -> None:
    run = up()
    run.eventually(lambda: (run.folder / "postgres").exists(), "starting")
    family = run.family()
    assert run.told(signal.SIGINT) == 0
    assert gone(family)
    assert up().wait_ready().call("GET", "/keys")["success"]


def test_a_ctrl_c_while_the_database_is_made_leaves_nobody_who_makes_it(up: Callable[..., Run]) -> None:
    """What initdb has started goes on when initdb alone is killed, in a folder that the next start empties."""
    run = up()
    halted: list[psutil.Process] = []

    def halt() -> bool:
        """One that initdb has started, so that it does not end by itself as initdb does."""
        for process in run.family():
            with suppress(psutil.NoSuchProcess):
                if process.name() == "postgres":
                    process.suspend()
                    halted.append(process)
                    break
        return any(map(lives, halted))

    run.eventually(halt, "making the database")
    family = run.family()
    assert run.told(signal.SIGINT) == 0
    try:
        assert gone(family)
    finally:
        for process in filter(lives, halted):
            process.kill()
    assert up().wait_ready().call("GET", "/keys")["success"]


def test_a_given_token_is_used_and_not_kept(up: Callable[..., Run]) -> None:
    run = up(KVCAST_ADMIN_TOKEN="a-token-of-my-own").wait_ready()
    assert run.token == "a-token-of-my-own"
    assert not (run.folder / "admin-token").exists()
    assert run.call("POST", "/add", json={"key": "gold", "value": 1})["success"]
