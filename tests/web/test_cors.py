"""Pages of other origins: those that are named may call, and nobody else is told anything."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.calls import Caller
from tests.conftest import Server

FRIEND = "https://friend.example"


@pytest.fixture
def call(serve: Callable[..., Server]) -> Caller:
    server = serve("local", KVCAST_ALLOWED_ORIGINS=f"{FRIEND} http://localhost:8080")
    return Caller(server.url, server.token, check=False)


def test_an_allowed_origin_may_read_and_write(call: Caller, unique_key: Callable[..., str]) -> None:
    key = unique_key()
    for reply in (
        call("POST", "/add", f'{{"key":"{key}","value":2345.60}}', origin=FRIEND),
        call("GET", f"/get/{key}", origin=FRIEND),  # in front of Flask
        call("GET", f"/mget?key={key}", origin=FRIEND),
        call("GET", "/client.js", origin=FRIEND),
        call("DELETE", f"/keys/{key}", origin=FRIEND),
    ):
        assert reply.status == 200
        assert reply.headers["access-control-allow-origin"] == FRIEND
        assert reply.headers["vary"] == "Origin"
        assert "ETag" in reply.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in reply.headers


def test_what_is_refused_is_told_to_an_allowed_origin_too(call: Caller) -> None:
    for reply in (call("GET", "/get/never", origin=FRIEND), call("POST", "/add", "{", origin=FRIEND)):
        assert reply.status in (400, 404)
        assert reply.headers["access-control-allow-origin"] == FRIEND


@pytest.mark.parametrize("path", ["/add", "/batch", "/keys/gold", "/get/gold", "/sse"])
def test_a_preflight_of_an_allowed_origin_is_answered(call: Caller, path: str) -> None:
    asked = {"access_control_request_method": "POST", "access_control_request_headers": "authorization,if-match"}
    reply = call("OPTIONS", path, None, origin=FRIEND, **asked)
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["access-control-allow-origin"] == FRIEND
    assert "content-length" not in reply.headers
    assert "POST" in reply.headers["access-control-allow-methods"]
    assert {"Authorization", "If-Match"} <= set(reply.headers["access-control-allow-headers"].split(", "))


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", f"{FRIEND}.evil.example", "http://friend.example", f"{FRIEND}:444", ""]
)
def test_another_origin_is_told_nothing(call: Caller, origin: str) -> None:
    for method, more in (("GET", {}), ("OPTIONS", {"access_control_request_method": "POST"})):
        reply = call(method, "/keys", None, origin=origin, **more)
        assert not [name for name in reply.headers if name.startswith("access-control-")]
        assert reply.headers["vary"] == "Origin", "a cache would hand this to an allowed origin"


def test_without_the_setting_no_origin_is_told_anything(app: Server) -> None:
    reply = Caller(app.url, app.token)("GET", "/keys", origin=FRIEND)
    assert not [name for name in reply.headers if name.startswith("access-control-") or name == "vary"]
