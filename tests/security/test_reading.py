"""Reads that need a token, over every way there is; and tokens that end while somebody watches."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest

from kvcast.embedded import Stores
from kvcast.jwts import LEEWAY_SECONDS
from kvcast.tokens import Token, digest_of, parse_grants
from tests.calls import Caller, assert_error
from tests.conftest import TOKEN, Server
from tests.functions.push.raw import Closed, EventStream, Refused, WebSocket
from tests.polling import HANG_SECONDS, eventually
from tests.ports import port_of_our_own
from tests.security.signing import SECRET, Signer, key_set, shared
from tests.test_serve import alive

READER, CRYPTO, WRITER = "reads-everything", "reads-crypto-only", "writes-metal-only"
KEYS = ("closed.crypto.btc", "closed.metal.gold")
BTC, GOLD = KEYS
SIGNER = Signer("ES256", "one")
SOON_SECONDS = 4  # until a token ends that is to be used before: a busy machine takes a while for that


def entry(name: str, token: str, grants: str) -> str:
    return Token(name, parse_grants(grants), digest_of(token)).entry()


TOKENS = "\n".join(
    [
        entry("reader", READER, "read"), entry("crypto", CRYPTO, "read:closed.crypto."),
        entry("writer", WRITER, "write:closed.metal."),
    ]
)


@pytest.fixture(scope="module")
def closed(stores: Stores) -> Iterator[Server]:
    """A server where reads need a token, with the two keys written."""
    settings = {"READ_AUTH": "token", "TOKENS": TOKENS, "JWT_SECRET": SECRET}
    server = Server(stores, "local", {f"KVCAST_{name}": value for name, value in settings.items()})
    try:
        server.start()
        with Caller(server.url, server.token) as call:
            for key in KEYS:
                call.rev_of(key)
        yield server
    finally:
        server.close()


def statuses(server: Server, token: str | None) -> list[int]:
    """Of each way to read over HTTP: one key, the other, both, lists by prefix and of all, history, figures."""
    paths = [
        f"/get/{BTC}", f"/get/{GOLD}", f"/mget?key={BTC}&key={GOLD}", "/keys?prefix=closed.crypto.",
        "/keys?prefix=closed.", "/keys", "/keys?category=default", f"/history/{BTC}", f"/history/{GOLD}", "/stats",
    ]
    with Caller(server.url, token) as call:
        return [call("GET", path).status for path in paths]


def test_without_a_token_nothing_is_read_but_the_pages(closed: Server) -> None:
    assert statuses(closed, None) == [401] * 10
    assert statuses(closed, "unknown") == [401] * 10
    with Caller(closed.url) as call:
        assert_error(call("GET", f"/get/{BTC}"), 401, "unauthorized")
        assert_error(call("GET", "/get/never.written"), 401, "unauthorized")  # nor whether a key is there
        assert call("GET", f"/get/{BTC}", if_none_match="*").status == 401
        for page in ("/", "/docs", f"/viewer/{BTC}", "/openapi.json", "/style.css", "/healthz/ready"):
            assert Caller(closed.url, check=False)("GET", page).status == 200, page


def test_a_reader_reads_all_and_a_prefix_only_its_own(closed: Server) -> None:
    assert statuses(closed, READER) == [200] * 10
    assert statuses(closed, TOKEN) == [200] * 10
    assert statuses(closed, CRYPTO) == [200, 403, 403, 200, 403, 403, 403, 200, 403, 200]
    assert statuses(closed, shared(scope="read")) == [200] * 10
    assert statuses(closed, shared(scope="read:closed.crypto.")) == statuses(closed, CRYPTO)
    assert statuses(closed, shared(scope="openid")) == [403] * 9 + [200]


@pytest.mark.parametrize(
    "form",
    [
        "closed.crypto\u200b.btc", "CLOSED.CRYPTO.btc", "closed.crypto\uff0ebtc", "closed.crypto/../metal.gold",
        " closed.crypto.",
    ],
)
def test_a_prefix_is_not_escaped_by_other_forms_of_its_text(closed: Server, form: str) -> None:
    with Caller(closed.url, CRYPTO, check=False) as call:
        assert call.get(form).status in (400, 403)
        assert call("GET", f"/keys?prefix={quote(form)}").status in (400, 403)


def test_writes_need_the_scope_and_the_prefix_of_a_jwt(closed: Server) -> None:
    with Caller(closed.url, shared(scope="write:closed.crypto.")) as call:
        assert call.add(BTC, "2").status == 200
        assert_error(call.add(GOLD, "2"), 403, "forbidden")
    with Caller(closed.url, shared(scope="read")) as call:
        assert_error(call.add(BTC, "3"), 403, "forbidden")
    with Caller(closed.url, shared(scope="write", exp=time.time() - LEEWAY_SECONDS - 5)) as call:
        assert "expired" in assert_error(call.add(BTC, "3"), 401, "unauthorized")


def test_the_audit_names_the_subject_of_a_jwt(closed: Server) -> None:
    with Caller(closed.url, shared(scope="write:closed.crypto.", sub="mai@example.org")) as call:
        assert call("DELETE", f"/keys/{BTC}").status == 200
        assert call.add(BTC, "1", if_none_match="*").status == 200
    with Caller(closed.url, closed.token) as call:
        rows = call("GET", f"/audit?key={BTC}&limit=2").json()["data"]
    assert [(row["token"], row["action"]) for row in rows] == [
        ("jwt:mai@example.org", "create"), ("jwt:mai@example.org", "delete"),
    ]


# viewers


def watching(server: Server, token: str | None, **wanted: object) -> WebSocket:
    ws = WebSocket(server.url)
    if token is not None:
        ws.send({"op": "auth", "token": token})
    ws.send({"op": "sub", **wanted})
    return ws


def code_of(viewer: WebSocket | EventStream) -> int:
    """Of the close that comes next, whatever comes before it."""
    try:
        while True:
            viewer.next()
    except Closed as closing:
        return closing.code


def test_a_socket_must_send_its_token_first(closed: Server) -> None:
    for token in (None, "unknown", shared(aud="another")):
        with watching(closed, token, keys=[BTC]) as ws:
            assert code_of(ws) == 4401
    with watching(closed, READER, keys=[BTC, GOLD]) as ws:
        assert [ws.change()["op"] for _ in range(3)] == ["snap", "snap", "subbed"]


def test_a_socket_that_says_nothing_is_closed(closed: Server) -> None:
    with WebSocket(closed.url) as ws, WebSocket(closed.url, f"/ws/{quote(BTC)}") as named:
        assert code_of(ws) == 4401
        assert code_of(named) == 4401


def test_the_key_of_the_address_waits_for_the_token(closed: Server) -> None:
    with WebSocket(closed.url, f"/ws/{quote(BTC)}") as ws:
        ws.send({"op": "auth", "token": CRYPTO})
        assert ws.change()["key"] == BTC


@pytest.mark.parametrize(
    "wanted", [{"keys": [GOLD]}, {"prefixes": ["closed."]}, {"prefixes": [""]}, {"categories": ["default"]},
               {"prefixes": ["closed.crypto."], "since": {GOLD: 1}}],
)
def test_a_prefix_bound_token_watches_only_its_own(closed: Server, wanted: dict[str, object]) -> None:
    with watching(closed, CRYPTO, **wanted) as ws:
        said = ws.change()
        assert (said["op"], said["code"]) in {("error", "forbidden"), ("error", "invalid_key")}
        ws.send({"op": "sub", "prefixes": ["closed.crypto."]})
        assert ws.change()["key"] == BTC


def test_an_event_stream_needs_the_header(closed: Server) -> None:
    for token, status in ((None, 401), (CRYPTO, 403), ("unknown", 401)):
        with pytest.raises(Refused) as refused:
            EventStream(closed.url, f"key={GOLD}", {"Authorization": f"Bearer {token}"} if token else {})
        assert refused.value.status == status
    with pytest.raises(Refused):
        EventStream(closed.url, f"key={GOLD}&token={READER}")  # never in an address
    stream = EventStream(closed.url, f"key={GOLD}", {"Authorization": f"Bearer {READER}"})
    assert [stream.change()["op"] for _ in range(3)] == ["hello", "snap", "subbed"]
    stream.close()


def test_a_jwt_that_expires_ends_the_watching(closed: Server) -> None:
    token = shared(scope="read", exp=time.time() - LEEWAY_SECONDS + SOON_SECONDS)
    stream = EventStream(closed.url, f"key={GOLD}", {"Authorization": f"Bearer {token}"})
    with watching(closed, token, keys=[BTC]) as ws, watching(closed, READER, keys=[BTC]) as other:
        assert code_of(ws) == 4401
        assert code_of(stream) == 1000
        with Caller(closed.url, closed.token) as call:
            rev = call.rev_of(BTC)
        while other.next().get("rev") != rev:
            pass  # who may go on sees what comes
    stream.close()


# files that change


@pytest.fixture
def renewed(stores: Stores, tmp_path: Path) -> Iterator[Callable[[str], tuple[str, Path, Path]]]:
    """The three functions as `kvcast serve` runs one: its secrets in files."""
    processes, ports = [], ExitStack()

    def start(function: str) -> tuple[str, Path, Path]:
        tokens, keys = tmp_path / "tokens", tmp_path / "jwks.json"
        tokens.write_text(TOKENS)
        keys.write_text(key_set(SIGNER))
        port = ports.enter_context(port_of_our_own())
        environment = {
            "DATABASE_URL": stores.database_url, "REDIS_URL": stores.redis_url, "PORT": str(port),
            "KVCAST_TOKENS_FILE": str(tokens), "KVCAST_JWT_JWKS_FILE": str(keys), "KVCAST_READ_AUTH": "token",
            "KVCAST_DRAIN_SECONDS": "0.2",
        }
        command = [sys.executable, "-m", "kvcast", "serve", function]
        with (tmp_path / f"{function}.log").open("wb") as log:
            processes.append(subprocess.Popen(command, env={**os.environ, **environment}, stderr=log))
        eventually(lambda: alive(port), within=60)
        return f"http://127.0.0.1:{port}", tokens, keys

    yield start
    for process in processes:
        process.terminate()
        process.wait(HANG_SECONDS)
    ports.close()


def test_a_revoked_token_is_let_go_of_and_a_new_one_taken_without_a_restart(
    renewed: Callable[[str], tuple[str, Path, Path]], call: Caller, tmp_path: Path
) -> None:
    call.rev_of(BTC)
    url, tokens, keys = renewed("push")
    eventually(lambda: Caller(url, check=False)("GET", "/healthz/ready").status == 200)

    with ExitStack() as stack:

        def opened(token: str) -> WebSocket:
            ws = stack.enter_context(WebSocket(url))
            ws.send({"op": "auth", "token": token})
            ws.send({"op": "sub", "keys": [BTC]})
            assert [ws.change()["op"] for _ in range(2)] == ["snap", "subbed"]
            return ws

        def answers(ws: WebSocket) -> bool:
            ws.send({"op": "ping"})
            return bool(ws.until("hb"))

        revoked, kept, signed = opened(READER), opened(CRYPTO), opened(SIGNER.sign(scope="read"))
        tokens.write_text("this is no entry")
        eventually(lambda: "those from before stay" in (tmp_path / "push.log").read_text())
        assert answers(revoked)
        tokens.write_text(entry("crypto", CRYPTO, "read:closed.crypto.") + "\n" + entry("new", "brand-new", "read"))
        assert code_of(revoked) == 4401
        fresh = Signer("ES256", "two")
        keys.write_text(key_set(fresh))
        assert code_of(signed) == 4401
        assert all(answers(ws) for ws in (opened("brand-new"), opened(fresh.sign(scope="read")), kept))


def test_a_revoked_or_expired_token_writes_no_more_on_a_connection_that_is_kept(
    renewed: Callable[[str], tuple[str, Path, Path]],
) -> None:
    """The lane of plain writes remembers who sends a header block; that must end with the token."""
    url, tokens, _ = renewed("write")
    eventually(lambda: Caller(url, check=False)("GET", "/healthz/ready").status == 200)
    key = "closed.metal.kept"
    expiring = SIGNER.sign(scope="write", exp=time.time() - LEEWAY_SECONDS + SOON_SECONDS)
    with Caller(url, WRITER) as kept, Caller(url, expiring) as short:
        assert [call.add(key, "1").status for call in (kept, kept, short, short)] == [200] * 4
        eventually(lambda: short.add(key, "2").status == 401)
        assert kept.add(key, "3").status == 200
        tokens.write_text(entry("reader", READER, "read"))
        eventually(lambda: kept.add(key, "4").status == 401)
