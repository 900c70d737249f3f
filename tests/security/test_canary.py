"""A token is in nothing that comes out: searched for in all that a run says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kvcast.tokens import Token, digest_of, parse_grants
from tests.calls import Caller
from tests.conftest import Server
from tests.functions.push.raw import Closed, EventStream, WebSocket
from tests.security.signing import SECRET, shared

ADMIN = "canary-admin-7f3a9"
WRITER = "canary-writer-51bc2"
WRONG = "canary-wrong-0d4e8"
PATHS = (
    "/", "/admin", "/docs", "/viewer/canary.key", "/metrics", "/stats", "/openapi.json", "/healthz/ready",
    "/audit", "/functions",
)
COMMANDS = ("status", "status --json", "doctor", "audit", "get canary.key", "set .. 1")


def said_over_http(server: Server, token: str) -> list[str]:
    """Every answer, its headers too."""
    call = Caller(server.url, token, check=False)
    replies = [
        call.add("canary.key", "1"), call.add("other.key", "1"), call.add("canary.key", "NaN"), call.get("canary.key"),
        call("POST", "/batch", "[{}]"), call("GET", f"/get/none?token={token}"),
        call("GET", f"/add?access_token={token}"), *(call("GET", path) for path in PATHS),
        call("POST", "/add", "{}", authorization=f"Basic {token}"), call("GET", "/nowhere", cookie=f"token={token}"),
    ]
    return [f"{reply.headers}{reply.body.decode(errors='replace')}" for reply in replies]


def watch(server: Server, token: str) -> list[str]:
    said = []
    with WebSocket(server.url) as ws:
        ws.send({"op": "auth", "token": token})
        ws.send({"op": "sub", "keys": ["canary.key"], "token": token})
        try:
            said += [str(ws.next(2)) for _ in range(3)]
        except (Closed, TimeoutError) as error:
            said.append(str(error))
    try:
        stream = EventStream(server.url, f"key=canary.key&token={token}", {"Authorization": f"Bearer {token}"})
        said.append(str(stream.next()))
        stream.close()
    except Exception as error:
        said.append(str(error))
    return said


@pytest.mark.parametrize("kind", ["json", "text"])
def test_no_token_comes_out_anywhere(serve: Callable[..., Server], tmp_path: Path, kind: str) -> None:
    entry = Token("writer", parse_grants("write:canary."), digest_of(WRITER)).entry()
    server = serve(
        "local", KVCAST_ADMIN_TOKEN=ADMIN, KVCAST_TOKENS=entry, KVCAST_JWT_SECRET=SECRET, KVCAST_READ_AUTH="token",
        KVCAST_LOG_LEVEL="debug", KVCAST_ACCESS_LOG="1", KVCAST_LOG_FORMAT=kind,
    )
    jwts = [shared(scope="admin"), shared(aud="another"), shared(exp=1)]
    said = []
    for token in (ADMIN, WRITER, WRONG, *jwts):
        said += said_over_http(server, token) + watch(server, token)
    environment = {**os.environ, "KVCAST_URL": server.url, "KVCAST_TOKEN": ADMIN, "KVCAST_DATA": str(tmp_path)}
    for command in COMMANDS:
        done = subprocess.run(
            [sys.executable, "-m", "kvcast", *command.split()], env=environment, capture_output=True, text=True,
            timeout=60, check=False,
        )
        said += [done.stdout, done.stderr]
    said.append(server.log())
    assert "answered" in server.log()
    assert any("canary.key" in one for one in said)
    secrets = [ADMIN, WRITER, WRONG, SECRET, *(token.rpartition(".")[2] for token in jwts)]
    for one in said:
        for secret in secrets:
            at = one.find(secret)
            assert at < 0, one[max(0, at - 200) : at + 200]
        assert digest_of(WRITER).hex() not in one
