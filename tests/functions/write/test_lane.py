"""What the lane refuses it refuses as the view does, byte for byte.

For the 200 see tests/functions/test_plain_connection.py.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from kvcast.config import Settings
from kvcast.errors import OutcomeUnknown
from kvcast.storage.pool import Pool
from kvcast.storage.writes import Statements
from kvcast.web import FunctionApp
from tests.conftest import TOKEN

from functions.plain_connection import PlainConnection, header_lines
from functions.plain_requests import Plain, read_block
from functions.write.committer import LATE, QUEUE_SECONDS, SLOW, WAIT_SECONDS, Committer, Unit
from functions.write.lane import Lane
from functions.write.publisher import Publisher
from functions.write.views import Views

BODY = b'{"key":"gold","value":1}'
HEADERS = {"Host": "localhost", "Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
PASSING = re.compile(r"((?:RateLimit-Remaining|RateLimit-Reset|Retry-After): )\d+")
Sent = tuple[str, str, bytes]


class Recorded:
    """A connection that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def head(self, status: str) -> str:
        return status

    def send_without_waiting(self, head: str, lines: str, body: bytes, then: Callable[[], object]) -> None:
        self.sent.append((head, PASSING.sub(r"\1", lines), body))
        then()


class World:
    """An app whose commits never end."""

    def __init__(self, *, limit: str = "1000 per minute", queue_max: int = 100) -> None:
        own = {"KVCAST_ADMIN_TOKEN": TOKEN, "KVCAST_WRITE_LIMIT": limit, "KVCAST_LOG_LEVEL": "error"}
        self.app = FunctionApp("write", Settings.from_environment(own), shared_limits=False)
        statements, publisher = Statements(history=True), cast("Publisher", None)
        pool = cast("Pool", None)
        self.committer = Committer(pool, statements, publisher, queue_max=queue_max, room=cast("Any", None))
        Views(self.app, pool, statements, self.committer, publisher).install()
        self.lane = Lane(self.app, self.committer)
        self.connection = Recorded()

    def take(self, body: bytes = BODY, **headers: str) -> Unit | None:
        block = read_block("\r\n".join(f"{name}: {value}" for name, value in self._headers(body, headers)).encode())
        assert block is not None
        return self.lane.take(Plain("POST", "/add", block, body), cast("PlainConnection", self.connection))

    def view(self, body: bytes = BODY, **headers: str) -> Sent:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "POST", "PATH_INFO": "/add", "REMOTE_ADDR": "127.0.0.1", "wsgi.input": io.BytesIO(body)
        }
        for name, value in self._headers(body, headers):
            prefix = "" if name in ("Content-Type", "Content-Length") else "HTTP_"
            environ[prefix + name.upper().replace("-", "_")] = value
        started: list[tuple[str, list[tuple[str, str]]]] = []
        start: Any = lambda status, headers: started.append((status, headers))  # noqa: E731
        answer = b"".join(self.app.wsgi_app(environ, start))
        return started[0][0], PASSING.sub(r"\1", header_lines(started[0][1])), answer

    @staticmethod
    def _headers(body: bytes, further: dict[str, str]) -> list[tuple[str, str]]:
        named = {name.replace("_", "-"): value for name, value in further.items()}
        return list({**HEADERS, "Content-Length": str(len(body)), **named}.items())


def test_a_passed_limit_is_refused_alike() -> None:
    world = World(limit="1 per minute", queue_max=0)
    world.take()
    world.take()
    assert world.connection.sent[1][0] == "429 Too Many Requests"
    assert world.connection.sent[1] == world.view()


def test_a_full_queue_is_refused_alike() -> None:
    world = World(queue_max=0)
    world.take()
    assert world.connection.sent == [world.view()]
    assert world.connection.sent[0][0] == "503 Service Unavailable"


def test_a_write_whose_turn_does_not_come_is_withdrawn_and_then_not_committed() -> None:
    world = World()
    pending = world.take()
    assert pending is not None
    pending.received_at = time.perf_counter() - QUEUE_SECONDS
    world.lane.answer_late_ones()
    ((status, _, body),) = world.connection.sent
    assert status.startswith("503 ")
    assert SLOW.encode() in body
    assert not pending.begin()


def test_a_late_commit_is_said_once_and_what_it_brings_later_is_not_sent_behind_it() -> None:
    world = World()
    pending = world.take()
    assert pending is not None
    assert pending.begin()
    world.lane.answer_late_ones()
    assert not world.connection.sent
    pending.received_at = time.perf_counter() - WAIT_SECONDS
    world.lane.answer_late_ones()
    pending.finish([OutcomeUnknown("too late")])
    ((status, _, body),) = world.connection.sent
    assert status.startswith("503 ")
    assert LATE.encode() in body


@pytest.mark.parametrize(
    "headers",
    [
        {"If_Match": '"1"'}, {"If_None_Match": "*"}, {"Idempotency_Key": "a"}, {"Kvcast_Note": "a"},
        {"X_Request_Id": "a"}, {"Origin": "https://a.example"}, {"Content_Encoding": "gzip"},
        {"Content_Type": "text/plain"}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic a"},
    ],
)
def test_what_is_not_plain_is_left_to_the_view(headers: dict[str, str]) -> None:
    world = World()
    for _ in range(2):
        assert world.take(BODY, **headers) is None


@pytest.mark.parametrize("body", [b"", b"{}", b'{"key":"gold","value":NaN}', b'{"key":"","value":1}'])
def test_what_is_wrong_in_itself_is_left_to_the_view_and_not_counted(body: bytes) -> None:
    world = World(limit="1 per minute")
    assert world.take(body) is None
    assert world.take() is not None
    assert not world.connection.sent
