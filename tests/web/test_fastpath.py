"""The fast path in front of Flask and the Flask route behind it answer alike, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import EnvironBuilder, run_wsgi_app

from kvcast.bus.subscription import Subscription
from kvcast.bus.workers import WorkerReport
from kvcast.config import Settings
from kvcast.errors import KvcastError
from kvcast.messages import Write
from kvcast.web import Answer, Environ, FunctionApp, json_answer
from tests.conftest import TOKEN
from tests.databases import Database

from functions.read.l1 import L1
from functions.read.lookup import Lookup
from functions.read.stats import Stats
from functions.read.views import Views as ReadViews
from functions.write.unit import Result
from functions.write.views import Views as WriteViews

Seen = tuple[str, list[tuple[str, str]], bytes]


def seen(wsgi_app: Any, environ: Environ) -> Seen:
    """Status, headers and body, without what the clock and the counters change."""
    chunks, status, headers = run_wsgi_app(wsgi_app, dict(environ), buffered=True)
    varying = {"ratelimit-reset", "ratelimit-remaining", "retry-after"}
    kept = sorted((name, "" if name.lower() in varying else value) for name, value in headers)
    body = re.sub(rb'"rev":\d+,"updatedAt":"[^"]+"', b'"rev":0,"updatedAt":""', b"".join(chunks))
    return status, [(n, "" if n == "Content-Length" and b'"rev":0' in body else v) for n, v in kept], body


def both(app: FunctionApp, method: str, path: str, **how: Any) -> tuple[Seen, Seen]:
    def environ() -> Environ:
        builder = EnvironBuilder(method=method, path=path, **how)
        try:
            return builder.get_environ()
        finally:
            builder.close()

    return seen(app.wsgi_app, environ()), seen(lambda *given: Flask.wsgi_app(app, *given), environ())


class AtOnce:
    """Commits without a group, in the caller's thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def submit(self, writes: list[Write]) -> list[Result]:
        return list(self._database.commit(*writes))


@pytest.fixture(scope="module")
def database(stores: Any) -> Iterator[Database]:
    with Database(stores) as made:
        yield made


@pytest.fixture
def settings(database: Database) -> Settings:
    own = {"KVCAST_ADMIN_TOKEN": TOKEN, "KVCAST_LOG_LEVEL": "error"}
    return Settings.from_environment({**database.environment(), **own})


@pytest.fixture
def read(database: Database, settings: Settings) -> FunctionApp:
    """The reading function with no thread of its own."""
    app = FunctionApp("read", settings, shared_limits=False)
    pool, cache = database.pool(), database.cache()
    report = WorkerReport("read", settings.redis_url)
    subscription = Subscription(
        settings.redis_url, "none", on_record=lambda _: None, on_up=lambda: None, on_down=lambda: None
    )
    lookup = Lookup(pool, cache, L1(0), subscription, report)
    ReadViews(app, pool, lookup, Stats(pool, report)).install()
    return app


@pytest.fixture
def write(database: Database, settings: Settings) -> FunctionApp:
    app = FunctionApp("write", settings, shared_limits=False)
    WriteViews(app, database.own, database.statements, AtOnce(database), None).install()  # type: ignore[arg-type]
    return app


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/get/gold", {}, 200), ("/get/gold?min_rev=1", {}, 200), ("/get/gold", {"If-None-Match": "*"}, 304),
        ("/get/gold", {"If-None-Match": "gold"}, 400), ("/get/nothing", {}, 404), ("/get/a%20b", {}, 400),
        ("/get/a%2Fb", {}, 400), ("/get/%FF", {}, 400), ("/get/gold?x=1", {}, 400), ("/get/gold?min_rev=%FF", {}, 400),
        ("/get/gold?min_rev=9000000000000000000", {}, 503), ("/get/v%C3%A0ng", {}, 404),
        ("/get/gold", {"Authorization": "Bearer wrong"}, 200), ("/get/gold", {"Authorization": f"Bearer {TOKEN}"}, 200),
    ],
)
def test_a_read_is_answered_alike(
    database: Database, read: FunctionApp, path: str, headers: dict[str, str], status: int
) -> None:
    database.cache().publish(database.commit(Write("gold", "2345.60")))
    fast, flask = both(read, "GET", path, headers=headers)
    assert fast == flask
    assert fast[0].startswith(str(status))


BODY = b'{"key":"gold","value":2345.60}'


@pytest.mark.parametrize(
    ("body", "content_type", "token", "status"),
    [
        (BODY, "application/json", TOKEN, 200), (BODY, "application/json", None, 401),
        (BODY, "application/json", "wrong", 401), (BODY, "text/plain", TOKEN, 415),
        (b"{}", "application/json", TOKEN, 400), (b"\xff", "application/json", TOKEN, 400),
        (b" " * 131_073, "application/json", TOKEN, 413),
    ],
)
def test_a_write_is_answered_alike(
    write: FunctionApp, body: bytes, content_type: str, token: str | None, status: int
) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    fast, flask = both(write, "POST", "/add", data=body, content_type=content_type, headers=headers)
    assert fast == flask
    assert fast[0].startswith(str(status))


@pytest.mark.parametrize("error", [None, KvcastError("Ours."), RuntimeError("unforeseen"), "limit"])
def test_errors_and_refusals_are_answered_alike(settings: Settings, error: BaseException | str | None) -> None:
    app = FunctionApp("test", settings, shared_limits=False)

    def endpoint(_environ: Environ) -> Answer:
        if isinstance(error, BaseException):
            raise error
        return json_answer({"x": 1}, 200, [("X-Own", "1")])

    limit = app.limit("read", "2 per hour")
    app.endpoint_route("GET", "/x/<path:key>", endpoint, limit, fast="/x/")
    for _ in range(3 if error == "limit" else 1):  # two calls each time, of the two that are allowed
        fast, flask = both(app, "GET", "/x/a")
        assert fast == flask
    assert fast[0][:3] == {None: "200", "limit": "429"}.get(error if error is None else str(error), "500")


def test_both_ways_draw_on_one_allowance(settings: Settings) -> None:
    app = FunctionApp("test", settings, shared_limits=False)
    app.endpoint_route("GET", "/x/<path:key>", lambda _: json_answer({}), app.limit("read", "4 per hour"), fast="/x/")
    app.endpoint_route("GET", "/slow", lambda _: json_answer({}), app.limit("read", "4 per hour"))
    statuses = [one[0][:3] for _ in range(3) for one in both(app, "GET", "/x/a")]
    assert statuses == ["200"] * 4 + ["429"] * 2
    assert both(app, "GET", "/slow")[0][0].startswith("429")


@pytest.mark.parametrize("path", ["/x", "/xy/a", "/X/a", "//x/a", "/x/a/../b", "/"])
def test_only_its_own_paths_take_the_fast_path(settings: Settings, path: str) -> None:
    app = FunctionApp("test", settings, shared_limits=False)
    calls: list[str] = []

    def endpoint(environ: Environ) -> Answer:
        calls.append(environ["PATH_INFO"])
        return json_answer({})

    app.endpoint_route("GET", "/x/<path:key>", endpoint, app.limit("read", "9 per hour"), fast="/x/")
    fast, flask = both(app, "GET", path)
    assert fast == flask
    assert len(calls) in (0, 2)
