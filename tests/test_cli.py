"""The command `kvcast`, run as a process against the real server."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kvcast.cli.watch import age, direction
from kvcast.client import Client
from kvcast.tokens import Keyring, parse_tokens
from tests.databases import patient
from tests.polling import eventually

DEADLINE_SECONDS = 60.0
COMMAND = [sys.executable, "-m", "kvcast"]


class Shell:
    """Runs `kvcast` as a user would, in a folder and with an environment of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[1]), "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"), "PYTHONUTF8": "1", **environment,
        }

    def __call__(
        self, *arguments: str, stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments], input=stdin, capture_output=True, text=True, timeout=DEADLINE_SECONDS,
            cwd=self.folder, env=self.environment | environment, check=False,
        )

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        given: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(
            [*COMMAND, *arguments], text=True, cwd=self.folder, env=self.environment, **given
        )


@pytest.fixture
def kvcast(app: Any, tmp_path: Path) -> Shell:
    return Shell(tmp_path, {"KVCAST_URL": app.url, "KVCAST_TOKEN": app.token})


@pytest.fixture
def stranger(tmp_path: Path) -> Shell:
    """Somebody who has set nothing."""
    return Shell(tmp_path, {})


@pytest.fixture
def client(app: Any) -> Iterator[Client]:
    with Client(app.url, app.token) as client:
        yield client


@pytest.fixture
def key(unique_key: Callable[..., str]) -> str:
    return unique_key()


def test_a_value_is_printed_exactly_as_it_was_written(kvcast: Shell, key: str) -> None:
    assert kvcast("set", key, "2345.60", "--category", "metal").returncode == 0
    shown = kvcast("get", key)
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "2345.60\n", "")
    line = kvcast("get", key, "--json").stdout
    assert '"value":2345.60,' in line
    assert json.loads(line)["category"] == "metal"
    assert "metal" in kvcast("get", key, "--long").stdout


@pytest.mark.parametrize(
    ("given", "kept"),
    [("2345.60", "2345.60"), ("hello", '"hello"'), ('"1"', '"1"'), ("[1, 2]", "[1, 2]"), ("NaN", '"NaN"'), ("", '""'),
     ("{", '"{"'), ("vàng", '"vàng"')],
)
def test_a_value_is_json_when_it_parses_and_else_a_string(kvcast: Shell, key: str, given: str, kept: str) -> None:
    assert kvcast("set", key, given).returncode == 0
    assert kvcast("get", key).stdout == f"{kept}\n"


def test_a_value_is_read_from_standard_input(kvcast: Shell, key: str) -> None:
    assert kvcast("set", key, "-", stdin='{"a": 1.50}\n').returncode == 0
    assert kvcast("get", key).stdout == '{"a": 1.50}\n'


def test_exit_codes_tell_what_happened(kvcast: Shell, key: str) -> None:
    kvcast("set", key, "1")
    assert kvcast("set", key, "2", "--create").returncode == 5
    assert kvcast("set", key, "2", "--if-rev", "1").returncode == 5
    assert kvcast("get", f"{key}.absent").returncode == 4
    assert kvcast("del", f"{key}.absent").returncode == 4
    assert kvcast("set", key, "1", "--token", "wrong").returncode == 1
    assert kvcast("get", key, "--url", "http://127.0.0.1:1").returncode == 3
    assert kvcast("get", key, "--url", "nonsense").returncode == 2
    assert kvcast("nonsense").returncode == 2
    assert kvcast("--help").returncode == 0


def test_errors_are_one_sentence_on_standard_error(kvcast: Shell, key: str) -> None:
    failed = kvcast("get", key)
    assert failed.stdout == ""
    assert failed.stderr.startswith("error: There is no key")
    assert failed.stderr.count("\n") == 1


def test_keys_are_listed_bare_aligned_and_as_json(kvcast: Shell, client: Client, key: str) -> None:
    client.set(f"{key}.a", msgspec.Raw(b"1.50"), category=key[:100])
    client.set(f"{key}.b", "x")
    assert kvcast("keys", key).stdout.split() == [f"{key}.a", f"{key}.b"]
    assert kvcast("keys", key, "--category", key[:100]).stdout.split() == [f"{key}.a"]
    header, first, second = kvcast("keys", key, "--values").stdout.splitlines()
    column = header.index("VALUE")
    assert first[column:].startswith("1.50 ")
    assert second[column:].startswith('"x" ')
    lines = kvcast("keys", key, "--values", "--json").stdout.splitlines()
    assert '"value":1.50' in lines[0]
    assert [json.loads(line)["key"] for line in lines] == [f"{key}.a", f"{key}.b"]


def test_delete_removes_and_says_so(kvcast: Shell, client: Client, key: str) -> None:
    client.set(key, 1)
    assert "deleted" in kvcast("del", key).stdout
    assert kvcast("get", key).returncode == 4


def test_watch_prints_each_change_as_json(kvcast: Shell, client: Client, key: str) -> None:
    client.set(key, msgspec.Raw(b"1.50"))
    with kvcast.start("watch", key, "--json", "--count", "2") as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert '"value":1.50' in first
        assert json.loads(first)["op"] == "snap"
        client.set(key, 2)
        assert json.loads(process.stdout.readline())["value"] == 2
        assert process.wait(DEADLINE_SECONDS) == 0


def line_of(terminal: io.FileIO) -> bytes:
    """The next line that is shown, in however many pieces it comes."""
    shown = b""
    while not shown.endswith(b"\n"):
        shown += terminal.read(1)
    return shown


def test_watch_on_a_terminal_shows_arrows_in_colour(kvcast: Shell, client: Client, key: str) -> None:
    client.set(key, 1)
    master, terminal = pty.openpty()
    with kvcast.start("watch", key, "--count", "3", stdout=terminal) as process, os.fdopen(master, "rb", 0) as out:
        os.close(terminal)
        shown = line_of(out)
        client.set(key, 2)
        shown += line_of(out)
        client.set(key, 1.5)
        shown += line_of(out)
        assert process.wait(DEADLINE_SECONDS) == 0
    up, down = shown.index("\x1b[32m▲".encode()), shown.index("\x1b[31m▼".encode())
    assert up < down


def test_a_hostile_value_cannot_steer_a_terminal(kvcast: Shell, client: Client, key: str) -> None:
    client.set(key, "\x9b31m\u202e")
    master, terminal = pty.openpty()
    with kvcast.start("get", key, stdout=terminal) as process, os.fdopen(master, "rb", 0) as out:
        os.close(terminal)
        assert line_of(out).decode().strip() == '"\\u009b31m\\u202e"'
        assert process.wait(DEADLINE_SECONDS) == 0
    assert kvcast("get", key).stdout == '"\x9b31m\u202e"\n'


def test_ctrl_c_ends_watch_quietly(kvcast: Shell, client: Client, key: str) -> None:
    client.set(key, 1)
    with kvcast.start("watch", key) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_SECONDS) == 130
        assert process.stderr.read() == ""


def test_a_reader_that_goes_away_ends_watch_quietly(kvcast: Shell, client: Client, key: str) -> None:
    client.set(key, 1)
    with kvcast.start("watch", key) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        client.set(key, 2)
        assert process.wait(DEADLINE_SECONDS) == 130
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("before", "now", "arrow"),
    [(1, 2, "up"), (2, 1.5, "down"), (1, 1.0, "equal"), (None, 1, "none"), (True, 1, "none"), (1, "x", "none")],
)
def test_the_arrow_compares_numbers_only(before: Any, now: Any, arrow: str) -> None:
    assert direction(before, now) == arrow


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0205, r"\d+ ms"), (5, r"\d+ s"), (300, r"\d min"), (7200, "2 h"), (864_000, "10 d"), (-60, "")],
)
def test_age_is_told_in_the_unit_that_fits(seconds: float, text: str) -> None:
    assert re.fullmatch(text, age((datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()))


def test_login_checks_the_token_and_keeps_it_for_its_server_only(app: Any, stranger: Shell, key: str) -> None:
    assert stranger("login", app.url, stdin="wrong\n").returncode == 1
    assert stranger("login", app.url, stdin="\n").returncode == 2
    path = stranger.folder / "config" / "kvcast" / "login.json"
    assert not path.exists()
    assert stranger("login", app.url, stdin=f"{app.token}\n").returncode == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stranger("set", key, "1").returncode == 0
    elsewhere = stranger("set", key, "1", "--url", app.url.replace("127.0.0.1", "localhost"))
    assert "needs a token" in elsewhere.stderr


def test_the_local_run_of_the_folder_is_found(app: Any, stranger: Shell, key: str) -> None:
    data = stranger.folder / ".kvcast"
    data.mkdir()
    (data / "running.json").write_text(json.dumps({"url": app.url, "pid": os.getpid(), "token": app.token}))
    assert stranger("set", key, "1").returncode == 0
    assert stranger("get", key, KVCAST_URL="http://127.0.0.1:1").returncode == 3


def test_a_local_run_that_died_is_not_taken(stranger: Shell) -> None:
    data = stranger.folder / ".kvcast"
    data.mkdir()
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    (data / "running.json").write_text(json.dumps({"url": "http://127.0.0.1:1", "pid": gone.pid, "token": "t"}))
    assert "127.0.0.1:8000" in stranger("doctor").stdout


def test_token_prints_what_the_server_takes(stranger: Shell) -> None:
    shown = stranger("token", "exchange", "write:crypto.,read").stdout
    token, entry = (line.split(maxsplit=1)[1] for line in shown.splitlines())
    found = Keyring(parse_tokens(entry)).find(token)
    assert found is not None
    assert found.allows("write", "crypto.btc")
    assert not found.allows("write", "gold")
    assert stranger("token", "exchange", "sudo").returncode == 2
    assert stranger("token", "no blank", "read").returncode == 2


def test_status_shows_readiness_and_numbers(kvcast: Shell) -> None:
    shown = kvcast("status")
    assert shown.returncode == 0
    assert "ready" in shown.stdout
    assert "writesPerSecond" in shown.stdout
    assert json.loads(kvcast("status", "--json").stdout)["ready"] is True


def test_doctor_follows_a_value_and_leaves_nothing_behind(kvcast: Shell, client: Client, stores: Any) -> None:
    looked_at = ["settings", "database", "redis", "server", "token"]
    looked_at += ["websocket", "write", "push", "read", "clean-up", "clocks"]

    def well() -> bool:
        """It warns of what takes more than a second."""
        shown = kvcast("doctor", "--json", DATABASE_URL=stores.database_url, REDIS_URL=patient(stores.redis_url))
        findings = {finding["about"]: finding["state"] for finding in map(json.loads, shown.stdout.splitlines())}
        assert findings == dict.fromkeys(looked_at, "ok"), shown.stdout
        return shown.returncode == 0

    assert eventually(well)
    assert list(client.keys("kvcast.doctor.")) == []


def test_doctor_names_what_to_mend(kvcast: Shell) -> None:
    nowhere = {"DATABASE_URL": "postgresql://127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1"}
    shown = kvcast("doctor", KVCAST_TOKEN="wrong", **nowhere)
    assert shown.returncode == 1
    for words in ("fail  database", "fail  redis", "fail  token", "kvcast login"):
        assert words in shown.stdout
    assert "fail  settings" in kvcast("doctor", PORT="many").stdout
    assert "fail  server" in kvcast("doctor", "--url", "http://127.0.0.1:1").stdout


def test_a_setting_given_to_up_is_checked_like_the_environment(stranger: Shell) -> None:
    refused = stranger("up", "--port", "many")
    assert refused.returncode == 2
    assert "PORT" in refused.stderr


@pytest.mark.parametrize(
    "command",
    ["up", "set", "get", "del", "keys", "watch", "feed", "status", "doctor", "login", "token", "migrate", "serve"],
)
def test_every_command_explains_itself(stranger: Shell, command: str) -> None:
    shown = stranger(command, "--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith("usage: kvcast")


def test_the_audit_shows_who_changed_what_and_when(kvcast: Shell, key: str) -> None:
    began = datetime.now(UTC) - timedelta(seconds=60)
    assert kvcast("set", key, "1", "--create").returncode == 0
    assert kvcast("del", key).returncode == 0
    lines = [json.loads(line) for line in kvcast("audit", "--key", key, "--json").stdout.splitlines()]
    assert [(line["action"], line["token"], line["key"]) for line in lines] == [
        ("delete", "admin", key), ("create", "admin", key),
    ]
    assert all(datetime.fromisoformat(line["at"]) > began for line in lines)
    for narrower in (["--limit", "1"], ["--since", "1h", "--limit", "1"], ["--since", lines[0]["at"]]):
        heading, row = kvcast("audit", "--key", key, *narrower).stdout.splitlines()
        assert heading.split() == ["AT", "WHO", "FROM", "WHAT", "KEY", "REV", "NOTE"]
        assert row.split()[:5] == [lines[0]["at"], "admin", "127.0.0.1", "delete", key]
    nothing = kvcast("audit", "--who", "nobody")
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (0, "", "Nothing is recorded that fits.\n")
    for wrong in ("yesterday", "2 h", "999999d", "2026-13-01", ""):
        refused = kvcast("audit", "--since", wrong)
        assert refused.returncode == 2
        assert refused.stderr == (
            f"error: --since {wrong!r} is no time; say how long ago (30m, 2h, 7d), a time such as "
            "2026-01-31T12:00:00Z, or Unix seconds.\n"
        )


def test_the_audit_is_read_to_its_end_over_pages(client: Client, key: str) -> None:
    for number in range(120):
        client.set(f"{key}.{number}", number, create_only=True)
    found = [entry["key"] for entry in client.audit(who="admin") if (entry["key"] or "").startswith(f"{key}.")]
    assert found == [f"{key}.{number}" for number in reversed(range(120))]
