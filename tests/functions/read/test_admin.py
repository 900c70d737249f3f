"""GET /audit and GET /admin/functions: who may, pages, and what a local run says of itself."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from websockets.sync.client import connect

from kvcast.tokens import Token, digest_of
from tests.calls import Caller, assert_error
from tests.conftest import Server
from tests.polling import HANG_SECONDS, eventually

Names = Callable[..., str]


@pytest.mark.parametrize("path", ["/audit", "/admin/functions"])
def test_they_need_the_scope_admin_for_all_keys(serve: Callable[..., Server], path: str) -> None:
    grants = {"reader": "read", "writer": "write", "bound": "admin:crypto.", "admin": "admin"}
    entries = []
    for name, grant in grants.items():
        scope, _, prefix = grant.partition(":")
        entries.append(Token(name, ((scope, prefix),), digest_of(name)).entry())
    server = serve("read", KVCAST_TOKENS="\n".join(entries))
    assert_error(Caller(server.url)("GET", path), 401, "unauthorized")
    for name in ("reader", "writer", "bound"):
        assert_error(Caller(server.url, name)("GET", path), 403, "forbidden")
    assert Caller(server.url, "admin")("GET", path).status == 200


def test_the_audit_is_read_page_by_page(call: Caller, unique_key: Names) -> None:
    keys = [unique_key(str(number)) for number in range(5)]
    for key in keys:
        call.add(key, "1", if_none_match="*")
    seen: list[str] = []
    before = ""
    while len(seen) < 5:
        page = call("GET", f"/audit?limit=2{before}").json()
        assert len(page["data"]) <= 2
        seen += [row["key"] for row in page["data"]]
        before = f"&before={page['next']}"
    assert seen[:5] == keys[::-1]


@pytest.mark.parametrize("query", [
    "limit=0", "limit=501", "before=0", "before=x", "since=yesterday", "who=a&who=b", "by=admin",
])
def test_a_query_that_cannot_be_is_refused(call: Caller, query: str) -> None:
    assert_error(call("GET", f"/audit?{query}"), 400, "invalid_request")


def test_the_audit_is_searched_by_time_key_and_name(call: Caller, unique_key: Names) -> None:
    keys = [unique_key(name) for name in ("first", "second")]
    for key in keys:
        call.add(key, "1", if_none_match="*")

    def found(query: str) -> list[str]:
        return [row["key"] for row in call("GET", f"/audit?{query}").json()["data"]]

    [second] = call("GET", f"/audit?key={keys[1]}").json()["data"]
    assert (second["key"], second["token"]) == (keys[1], "admin")
    assert found(f"key={keys[0]}&who=admin") == [keys[0]]
    assert found(f"key={keys[0]}&who=nobody") == []
    assert found(f"since={second['at']}")[-1] == keys[1]
    assert found("since=2100-01-01T00:00:00Z") == []
    assert_error(call("GET", "/audit?key=a%20b"), 400, "invalid_key")


def test_the_last_page_has_no_next(call: Caller, unique_key: Names) -> None:
    call.add(unique_key(), "1", if_none_match="*")
    first = call("GET", "/audit?limit=500").json()
    while first["next"] is not None:
        first = call("GET", f"/audit?limit=500&before={first['next']}").json()
    assert call("GET", f"/audit?before={first['data'][-1]['id']}").json() == {"success": True, "data": [], "next": None}


def test_the_functions_say_their_workers_and_that_there_is_no_cluster(app: Server, call: Caller) -> None:
    with connect(f"{app.url.replace('http', 'ws', 1)}/ws", proxy=None):

        def workers() -> bool:
            answer = call("GET", "/admin/functions").json()
            own = answer["functions"]["push"]["workers"]
            push = next((worker for worker in own if worker["connections"]), None)
            assert push is not None
            assert push["ready"] is True
            assert push["serves"] == ["push", "read", "write"]
            assert push["cpu"] > 0
            assert answer["note"] is None
            assert answer["cluster"]["namespace"] is None
            assert "does not run in Kubernetes" in answer["cluster"]["notes"][0]
            return True

        assert eventually(workers)


def test_the_stages_of_a_write_are_measured(app: Server, call: Caller, unique_key: Names) -> None:
    with connect(f"{app.url.replace('http', 'ws', 1)}/ws/{unique_key()}", proxy=None) as socket:
        while json.loads(socket.recv(timeout=HANG_SECONDS))["op"] != "subbed":
            pass
        call.rev_of(unique_key())
        call.add(unique_key(), "2", if_match="*")

        def stages() -> bool:
            stats = call("GET", "/stats").json()
            assert stats["pushLatencyMs"] == stats["stagesMs"]["socket"]
            measured = [stage for stage in stats["stagesMs"].values() if stage["p50"] is not None]
            assert all(stage["p99"] >= stage["p50"] for stage in measured)
            return len(measured) == 3

        assert eventually(stages)
