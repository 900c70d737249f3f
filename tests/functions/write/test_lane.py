"""What the lane refuses it refuses as the view does, byte for byte.

For the 200 see tests/functions/test_plain_connection.py.
"""

from __future__ import annotations

import io
import logging
import re
import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from kvcast.config import Settings
from kvcast.errors import OutcomeUnknown
from kvcast.logs import access
from kvcast.storage.pool import Pool
from kvcast.storage.writes import Statements
from kvcast.web import FunctionApp
from tests.conftest import TOKEN

from functions.plain_connection import PlainConnection, header_lines
from functions.plain_requests import PlainReader
from functions.write.committer import LATE, SLOW, WAIT_SECONDS, Committer
from functions.write.lane import Lane
from functions.write.publisher import Publisher
from functions.write.unit import QUEUE_SECONDS, Unit
from functions.write.views import Views

BODY = b'{"key":"gold","value":1}'
HEADERS = {"Host": "localhost", "Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
PASSING = re.compile(r"((?:RateLimit-Remaining|RateLimit-Reset|Retry-After): )\d+")
Sent = tuple[str, str, bytes]


class Recorded:
    """A connection that keeps what it is given."""

    address = "127.0.0.1"

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def head(self, status: str) -> str:
        return status

    def send_without_waiting(self, head: str, lines: str, body: bytes, then: Callable[[], object]) -> None:
        self.sent.append((head, PASSING.sub(r"\1", lines), body))
        then()


class World:
    """An app whose commits never end."""

    def __init__(self, *, limit: str = "1000 per minute", queue_max: int = 100, **further: str) -> None:
        own = {"KVCAST_ADMIN_TOKEN": TOKEN, "KVCAST_WRITE_LIMIT": limit, "KVCAST_LOG_LEVEL": "error", **further}
        self.app = FunctionApp("write", Settings.from_environment(own), shared_limits=False)
        statements, publisher = Statements(history=True), cast("Publisher", None)
        pool = cast("Pool", None)
        self.committer = Committer(pool, statements, publisher, queue_max=queue_max, room=cast("Any", None))
        Views(self.app, pool, statements, self.committer, publisher).install()
        self.lane = Lane(self.app, self.committer)
        self.connection = Recorded()
        self.reader = PlainReader()

    def take(self, body: bytes = BODY, **headers: str) -> Unit | None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in self._headers(body, headers))
        plain = self.reader.read(f"POST /add HTTP/1.1\r\n{lines}\r\n".encode() + body)
        assert plain is not None
        return self.lane.take(plain, cast("PlainConnection", self.connection))

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


PROXY = {
    "X_Forwarded_For": "1.1.1.1, 2.2.2.2", "X_Forwarded_Proto": "https", "X_Forwarded_Host": "a.example:443",
    "X_Forwarded_Port": "443", "X_Forwarded_Server": "a", "X_Forwarded_Scheme": "https", "X_Scheme": "https",
    "X_Real_Ip": "1.1.1.1", "Forwarded": "for=1.1.1.1", "Via": "1.1 a", "X_Request_Id": "an-id",
    "traceparent": "00-a-b-00", "tracestate": "a=b",
}


@pytest.mark.parametrize(
    "headers",
    [{}, PROXY, {"Origin": "https://a.example"}, {"Origin": "https://b.example"}, {**PROXY, "Origin": "https://a.example"}],
)
@pytest.mark.parametrize("hops", ["0", "1", "2"])
def test_what_a_proxy_or_a_page_adds_is_answered_alike(headers: dict[str, str], hops: str) -> None:
    world = World(queue_max=0, KVCAST_TRUSTED_HOPS=hops, KVCAST_ALLOWED_ORIGINS="https://a.example")
    assert world.take(BODY, **headers) is not None
    assert world.connection.sent == [world.view(BODY, **headers)]


class Lines(logging.Handler):
    """The fields of the lines of requests, while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(vars(record)["fields"])

    def __enter__(self) -> list[dict[str, Any]]:
        access.addHandler(self)
        return self.found

    def __exit__(self, *_error: object) -> None:
        access.removeHandler(self)
        access.setLevel(logging.WARNING)


@pytest.mark.parametrize("given", ["an-id", "", "not well-formed", None])
def test_the_line_in_the_log_is_the_same(given: str | None) -> None:
    headers = {**PROXY, "X_Request_Id": given} if given is not None else {}
    with Lines() as lines:
        world = World(queue_max=0, limit="2 per minute", KVCAST_ACCESS_LOG="1", KVCAST_TRUSTED_HOPS="1")
        assert world.take(BODY, **headers) is not None
        viewed = [world.view(BODY, **headers)]
        world.take(BODY, **headers)
        viewed.append(world.view(BODY, **headers))
    sent = [world.connection.sent[0], viewed[0], world.connection.sent[1], viewed[1]]
    for line, (_, head, _) in zip(lines, sent, strict=True):
        assert f"X-Request-Id: {line.pop('request_id')}\r\n" in head
        line.pop("milliseconds")
    assert lines[0] == lines[1]
    assert lines[2] == lines[3]
    assert lines[0]["client"] == ("2.2.2.2" if headers else "127.0.0.1")
    assert [line["status"] for line in lines] == [503, 503, 429, 429]
    assert ("key" in lines[0], "key" in lines[2]) == (True, False)


def test_a_request_s_id_goes_with_its_write() -> None:
    for logged, carried in (("1", "an-id"), ("", "")):
        pending = World(KVCAST_ACCESS_LOG=logged).take(BODY, **PROXY)
        access.setLevel(logging.WARNING)
        assert pending is not None
        assert pending.writes[0].request_id == carried


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
        {"Content_Encoding": "gzip"}, {"Content_Type": "text/plain"}, {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic a"},
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
