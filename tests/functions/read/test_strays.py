"""Calls of other functions that an ingress sends to read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.calls import Caller, assert_error
from tests.conftest import Server


@pytest.fixture(scope="module")
def alone(stores: object) -> Iterator[Server]:
    server = Server(stores, "read", {})  # type: ignore[arg-type]
    server.start()
    yield server
    server.close()


@pytest.mark.parametrize(
    ("method", "path", "body", "function"),
    [
        ("POST", "/add", '{"key":"a","value":1}', "write"),
        ("POST", "/batch", "[]", "write"),
        ("DELETE", "/keys/a", None, "write"),
        ("GET", "/ws", None, "push"),
        ("GET", "/ws/a", None, "push"),
        ("GET", "/sse?key=a", None, "push"),
    ],
)
def test_they_are_asked_to_come_again(alone: Server, method: str, path: str, body: str | None, function: str) -> None:
    reply = Caller(alone.url, check=False)(method, path, body)
    assert f"No pod of {function} is ready" in assert_error(reply, 503, "unavailable")


def test_other_methods_are_still_refused_for_good(alone: Server) -> None:
    assert_error(Caller(alone.url, check=False)("GET", "/add"), 405, "method_not_allowed")
