"""What is answered from memory without the view is answered as the view does, byte for byte, and in the log."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from kvcast.bus.subscription import Subscription
from kvcast.bus.workers import WorkerReport
from kvcast.config import Settings
from kvcast.logs import access
from kvcast.messages import Write
from kvcast.metrics import READS, REQUESTS
from kvcast.web import FunctionApp
from tests.conftest import TOKEN
from tests.databases import Database
from tests.polling import eventually

from functions.plain_connection import ANSWERED, Pending, PlainConnection, header_lines
from functions.plain_requests import PlainReader
from functions.read.l1 import L1
from functions.read.lane import Lane
from functions.read.lookup import Lookup
from functions.read.views import Views

PASSING = re.compile(r"((?:RateLimit-Remaining|RateLimit-Reset|Retry-After): )\d+")
PROXY = {"X-Forwarded-For": "1.1.1.1, 2.2.2.2", "X-Request-Id": "an-id", "X-Real-Ip": "1.1.1.1"}
Sent = tuple[str, str, bytes]
Open = Callable[..., "World"]


class World:
    """A read function whose memory holds gold."""

    address = "127.0.0.1"  # it is its own connection too

    def __init__(self, database: Database, **environment: str) -> None:
        own = {"KVCAST_ADMIN_TOKEN": TOKEN, "KVCAST_LOG_LEVEL": "error", **database.environment(), **environment}
        self.app = FunctionApp("read", Settings.from_environment(own), shared_limits=False)
        l1, cache = L1(1_000_000), database.cache()
        self.subscription = Subscription(
            database.redis_url, cache.channel, on_record=l1.heard, on_up=l1.clear, on_down=l1.clear
        )
        report = WorkerReport("read", database.redis_url)
        self.lookup = Lookup(database.own, cache, l1, self.subscription, report)
        Views(self.app, database.own, self.lookup, cast("Any", None)).install()
        self.lane = Lane(self.app, lambda: self.lookup)
        self.reader = PlainReader()
        self.sent: list[Sent] = []
        self.subscription.start()
        eventually(self.holds_gold)

    def holds_gold(self) -> bool:
        """Memory is trusted for two seconds after the last heartbeat, which a busy machine may let pass."""
        if self.lookup.held("gold") is None and self.subscription.trusted:
            self.lookup.entry("gold")
        return self.lookup.held("gold") is not None

    def head(self, status: str) -> str:
        return status

    def send(self, head: str, lines: str, body: bytes) -> None:
        self.sent.append((head, PASSING.sub(r"\1", lines), body))

    def take(self, path: str = "/get/gold", **headers: str) -> Pending | None:
        eventually(self.holds_gold)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        plain = self.reader.read(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
        assert plain is not None
        return self.lane.take(plain, cast("PlainConnection", self))

    def view(self, path: str = "/get/gold", **headers: str) -> Sent:
        named = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()}
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "GET", "PATH_INFO": path, "REMOTE_ADDR": self.address, "HTTP_HOST": "localhost", **named
        }
        started: list[tuple[str, list[tuple[str, str]]]] = []
        start: Any = lambda status, headers: started.append((status, headers))  # noqa: E731
        body = b"".join(self.app.wsgi_app(environ, start))
        return started[0][0], PASSING.sub(r"\1", header_lines(started[0][1])), body


@pytest.fixture
def opened(database: Database) -> Iterator[Open]:
    worlds: list[World] = []
    database.cache().publish(database.commit(Write("gold", "2345.60")))

    def open_world(**environment: str) -> World:
        worlds.append(World(database, **environment))
        return worlds[-1]

    yield open_world
    access.setLevel(logging.WARNING)
    for world in worlds:
        world.subscription.stop()


def rev(database: Database) -> str:
    row = database.row("gold")
    assert row is not None
    return str(row.rev)


@pytest.mark.parametrize("match", [None, '"REV"', 'W/"REV"', '"1", "REV"', "*", '"0"', '"REV0"', '"of others"'])
@pytest.mark.parametrize("further", [{}, PROXY, {"Origin": "https://a.example"}, {"Authorization": f"Bearer {TOKEN}"}])
def test_both_ways_answer_alike(database: Database, opened: Open, match: str | None, further: dict[str, str]) -> None:
    world = opened(KVCAST_TRUSTED_HOPS="1", KVCAST_ALLOWED_ORIGINS="https://a.example", KVCAST_READ_AUTH="open")
    given = {**further, **({"If-None-Match": match.replace("REV", rev(database))} if match else {})}
    for _ in range(2):
        assert world.take(**given) is ANSWERED
    assert world.sent == [world.view(**given)] * 2
    assert world.sent[0][0][:3] == ("304" if match and ('REV"' in match or match == "*") else "200")


def test_a_new_value_is_answered_with_its_own_etag(database: Database, opened: Open) -> None:
    world, before = opened(), rev(database)
    database.cache().publish(database.commit(Write("gold", "2")))
    eventually(lambda: b'"value":2,' in world.view()[2])
    assert world.take(**{"If-None-Match": f'"{before}"'}) is ANSWERED
    assert world.sent == [world.view()]


def test_a_passed_limit_is_refused_alike(opened: Open) -> None:
    world = opened(KVCAST_READ_LIMIT="1 per minute")
    for _ in range(2):
        assert world.take() is ANSWERED
    assert world.sent[1][0] == "429 Too Many Requests"
    assert world.sent[1] == world.view()


def test_clients_behind_a_proxy_are_limited_each_for_itself(opened: Open) -> None:
    world = opened(KVCAST_READ_LIMIT="1 per minute", KVCAST_TRUSTED_HOPS="1")
    for client in ("1.1.1.1", "2.2.2.2", "3.3.3.3, 1.1.1.1"):
        world.take(**{"X-Forwarded-For": client})
    assert [status[:3] for status, _, _ in world.sent] == ["200", "200", "429"]
    assert world.view(**{"X-Forwarded-For": "2.2.2.2"})[0][:3] == "429"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/get/silver", {}), ("/get/", {}), ("/get/gold/", {}), ("/stats", {}), ("/get/gold", {"If-None-Match": "1"}),
        ("/get/gold", {"Authorization": "Bearer wrong"}), ("/get/gold", {"Authorization": "Basic a"}),
    ],
)
def test_what_is_not_in_memory_or_wrong_is_left_to_the_view_and_not_counted(
    opened: Open, path: str, headers: dict[str, str]
) -> None:
    world = opened(KVCAST_READ_LIMIT="1 per minute")
    for _ in range(2):
        assert world.take(path, **headers) is None
    assert not world.sent
    world.take()
    assert world.sent[0][0][:3] == "200"


def test_where_reads_need_a_token_only_one_that_covers_the_key_is_answered(opened: Open) -> None:
    digest = "sha256:" + "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"  # of "test"
    world = opened(KVCAST_READ_AUTH="token", KVCAST_TOKENS=f"narrow read:silver {digest}")
    assert world.take() is None
    assert world.take(Authorization="Bearer test") is None
    assert world.take(Authorization=f"Bearer {TOKEN}") is ANSWERED
    assert world.sent == [world.view(Authorization=f"Bearer {TOKEN}")]


def test_the_line_in_the_log_is_the_same(opened: Open) -> None:
    world = opened(KVCAST_ACCESS_LOG="1", KVCAST_TRUSTED_HOPS="1", KVCAST_READ_LIMIT="2 per minute")
    lines: list[dict[str, Any]] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(vars(record)["fields"])  # type: ignore[method-assign]
    access.addHandler(handler)
    try:
        for _ in range(2):
            world.take(**PROXY)
            world.view(**PROXY)
    finally:
        access.removeHandler(handler)
    for line in lines:
        assert line.pop("milliseconds") >= 0
    assert lines[0] == lines[1]
    assert lines[2] == lines[3]
    assert (lines[0]["client"], lines[0]["request_id"]) == ("2.2.2.2", "an-id")
    assert [line["status"] for line in lines] == [200, 200, 429, 429]


def test_every_answer_is_counted(opened: Open) -> None:
    world = opened()
    counters = [READS.labels("l1"), *(REQUESTS.labels("read", "/get/<path:key>", status) for status in ("200", "304"))]
    before = [counter._value.get() for counter in counters]
    for match in ("*", "*", '"0"'):
        world.take(**{"If-None-Match": match})
    world.lane._tally._count()
    assert [counter._value.get() - start for counter, start in zip(counters, before, strict=True)] == [3, 1, 2]
