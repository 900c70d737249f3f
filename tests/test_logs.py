"""Log lines: well formed whatever a client sends, and one id from a write's call to the frame that it became."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest

from kvcast import logs
from kvcast.logs import JsonFormatter, TextFormatter, request_id
from tests.calls import Caller, Reply
from tests.conftest import Server
from tests.databases import Database
from tests.faults.worlds import Screen
from tests.polling import eventually

Serve = Callable[..., Server]
HOSTILE = 'a\r\n{"level":"error"}\x1b[31m\x00\u2028\ud800"\\'


def record(message: str, /, *arguments: object, name: str = "functions.push.relay", **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.WARNING, __file__, 1, message, arguments, None)
    made.fields = fields
    return made


def test_a_json_line_is_one_object_with_all_that_tells_where_it_is_from() -> None:
    line = json.loads(JsonFormatter("pod-1").format(record("The bus %s.", "broke", key="gold", status=200)))
    assert line["time"].endswith("Z")
    assert (line["level"], line["function"], line["host"]) == ("warning", "push", "pod-1")
    assert (line["message"], line["key"], line["status"]) == ("The bus broke.", "gold", 200)
    assert line["pid"] > 0


@pytest.mark.parametrize("formatter", [JsonFormatter("pod"), TextFormatter()])
def test_nothing_that_a_client_sends_forges_a_line_or_steers_a_terminal(formatter: logging.Formatter) -> None:
    for made in (record("Refused %s", HOSTILE), record("answered", path=HOSTILE), record("answered", key=[HOSTILE])):
        line = formatter.format(made)
        assert len(line.splitlines()) == 1
        assert line.isprintable()


@pytest.mark.parametrize("formatter", [JsonFormatter("pod"), TextFormatter()])
def test_a_traceback_stays_in_its_line_or_below_it(formatter: logging.Formatter) -> None:
    made = record("It failed")
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        made.exc_info = sys.exc_info()
    first, *rest = formatter.format(made).split("\n")
    assert "It failed" in first
    assert all(line.startswith("    ") and line.isprintable() for line in rest)
    if isinstance(formatter, JsonFormatter):
        assert "ValueError" in json.loads(first)["error"]


@pytest.mark.parametrize("given", [None, "", " ", "a b", 'a"b', "a\nb", "x" * 129, "\N{SNOWMAN}"])
def test_an_id_that_is_not_well_formed_is_replaced(given: str | None) -> None:
    assert request_id(given) != given
    assert request_id(request_id(given)) == request_id(request_id(given)) or len(request_id(given)) == 32


@pytest.mark.parametrize("given", ["1", "f" * 128, "Root=1-67891233-abcdef", "a/b:c.d_e+f@g"])
def test_a_well_formed_id_is_kept(given: str) -> None:
    assert request_id(given) == given


# End to end ------------------------------------------------------------------------------------------------------


def lines(server: Server, **wanted: Any) -> list[dict[str, Any]]:
    """The lines of `server` that have these members; every line must be JSON."""
    whole = server.log().rpartition("\n")[0]  # the last one may just be being written
    decoded = [json.loads(line) for line in whole.splitlines()]
    return [line for line in decoded if wanted.items() <= line.items()]


@pytest.fixture
def logged(serve: Serve, database: Database) -> tuple[Server, Server, Server]:
    environment = {**database.environment(), "KVCAST_ACCESS_LOG": "1", "KVCAST_LOG_FORMAT": "json"}
    write, read, push = (serve(name, **environment, KVCAST_LOG_LEVEL="info") for name in ("write", "read", "push"))
    return write, read, push


def test_a_write_is_followed_from_its_call_to_the_frame_that_it_became(logged: tuple[Server, Server, Server]) -> None:
    write, read, push = logged
    writing, reading = Caller(write.url, write.token), Caller(read.url, read.token)
    calls: dict[str, Callable[[str], Reply]] = {
        "add": lambda mine: writing.add("gold", "1", x_request_id=mine),
        "compare": lambda mine: writing.add("gold", "2", if_match="*", x_request_id=mine),
        "batch": lambda mine: writing(
            "POST", "/batch", b'[{"key":"gold","value":3},{"key":"gold","value":4},{"key":"btc","value":5}]',
            x_request_id=mine,
        ),
        "delete": lambda mine: writing("DELETE", "/keys/gold", x_request_id=mine),
    }
    routes = {"add": "/add", "compare": "/add", "batch": "/batch", "delete": "/keys/<path:key>"}
    with Screen(push.url, "gold", "btc") as screen:
        for name, call in calls.items():
            reply = call(f"id-of-{name}")
            assert (reply.status, reply.headers["x-request-id"]) == (200, f"id-of-{name}")
            [line] = eventually(lambda name=name: lines(write, request_id=f"id-of-{name}"))  # type: ignore[misc]
            assert (line["function"], line["route"], line["status"]) == ("write", routes[name], 200)
            assert line["milliseconds"] > 0
            pushed = eventually(lambda name=name: lines(push, request_id=f"id-of-{name}"))  # type: ignore[misc]
            assert pushed[0]["function"] == "push"
            assert pushed[0]["viewers"] == 1
            if name != "batch":
                assert (line["key"], line["rev"]) == (pushed[0]["key"], pushed[0]["rev"])
                eventually(lambda line=line: screen.rev("gold") == line["rev"])  # type: ignore[misc]
            else:
                assert line["count"] == 3
                eventually(lambda: {one["key"] for one in lines(push, request_id="id-of-batch")} == {"gold", "btc"})
    assert reading.get("btc", x_request_id="id-of-read").headers["x-request-id"] == "id-of-read"
    assert reading("GET", "/stats", x_request_id="id-of-stats").headers["x-request-id"] == "id-of-stats"
    [line] = eventually(lambda: lines(read, request_id="id-of-read"))
    assert (line["function"], line["method"], line["path"], line["status"]) == ("read", "GET", "/get/btc", 200)
    made = reading.get("btc").headers["x-request-id"]
    assert eventually(lambda: lines(read, request_id=made))
    [line] = eventually(lambda: lines(read, request_id="id-of-stats"))
    assert line["route"] == "/stats"


def test_no_line_holds_a_token_and_no_request_forges_one(logged: tuple[Server, Server, Server]) -> None:
    _, read, _ = logged
    reading = Caller(read.url, read.token, check=False)
    reply = reading.get('a%0d%0a{"level":"error"}', x_request_id='"},{"level":"error"')
    assert len(reply.headers["x-request-id"]) == 32
    reading.raw(b"GET /\x00 \r\n\r\n")
    reading.raw(b"GET / HTTP/1.1\r\nHost: a\r\nBad\x1b[31m\r\n\r\n")
    assert eventually(lambda: lines(read, message="answered", status=400))
    assert read.token not in read.log()
    for line in lines(read):
        assert {"time", "level", "function", "host", "pid", "logger", "message"} <= line.keys()
        assert line["level"] != "error"


def test_a_refused_handshake_is_counted_and_logged_too(logged: tuple[Server, Server, Server]) -> None:
    _, _, push = logged
    call = Caller(push.url, check=False)
    assert call("GET", "/ws", x_request_id="no-socket").headers["x-request-id"] == "no-socket"
    [line] = eventually(lambda: lines(push, request_id="no-socket"))
    assert (line["function"], line["route"], line["status"]) == ("push", "/ws", 400)
    counted = 'kvcast_requests_total{function="push",route="/ws",status="400"} 1.0'
    assert counted in call("GET", "/metrics").body.decode()


def test_while_no_requests_are_logged_only_an_id_that_was_sent_is_answered(app: Server) -> None:
    call = Caller(app.url, app.token)
    assert "x-request-id" not in call("GET", "/stats").headers
    assert "x-request-id" not in call.get("nothing-here").headers
    assert call.get("nothing-here", x_request_id="mine").headers["x-request-id"] == "mine"
    assert call("GET", "/nothing-here", x_request_id="mine").headers["x-request-id"] == "mine"
    assert call.get("nothing-here", x_request_id="no id").headers["x-request-id"] not in ("", "no id")
    assert "kvcast.access" not in app.log()


def test_a_process_is_set_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers = [logging.getLogger(name).handlers for name in ("kvcast", "functions")]
    before = [list(held) for held in handlers]
    try:
        for _ in range(2):
            logs.set_up("read", "warning", "text", "", requests=False)
        assert [len(held) for held in handlers] == [max(1, len(held)) for held in before]
    finally:
        for held, was in zip(handlers, before, strict=True):
            held[:] = was
