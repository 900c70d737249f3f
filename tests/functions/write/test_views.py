"""POST /add, POST /batch, DELETE /keys/<key>."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from websockets.sync.client import connect

from kvcast.tokens import Token, digest_of
from tests.calls import Caller, Reply, assert_error
from tests.conftest import Server
from tests.polling import HANG_SECONDS, eventually

NDJSON = "application/x-ndjson"
Names = Callable[..., str]


def ticks(call: Caller, key: str) -> list[Any]:
    return [tick["value"] for tick in call("GET", f"/history/{quote(key)}").json()["data"]]


def delete(call: Caller, key: str, **headers: str) -> Reply:
    return call("DELETE", f"/keys/{quote(key, safe='')}", **headers)


def batch(call: Caller, *items: tuple[str, Any], **headers: str) -> Reply:
    return call("POST", "/batch", json.dumps([{"key": key, "value": value} for key, value in items]), **headers)


def test_an_added_value_is_acknowledged_with_key_rev_and_time(call: Caller, unique_key: Names) -> None:
    first = call.add(unique_key(), "1")
    second = call.add(unique_key(), "2.50")
    assert first.status == second.status == 200
    assert first.json().keys() == {"success", "key", "rev", "updatedAt"}
    assert first.json()["key"] == unique_key()
    assert second.json()["rev"] > first.json()["rev"] > 0
    assert second.json()["updatedAt"] > first.json()["updatedAt"]
    assert call.get(unique_key(), f"?min_rev={second.json()['rev']}").values() == [b"2.50"]


def test_a_key_is_stored_in_nfc(call: Caller, unique_key: Names) -> None:
    decomposed, composed = unique_key("va\u0300ng"), unique_key("v\u00e0ng")
    assert call.add(decomposed, "1").json()["key"] == composed
    assert call.get(composed).status == call.get(decomposed).status == 200


def test_a_category_stays_until_another_is_given(call: Caller, unique_key: Names) -> None:
    def category() -> str:
        return str(call.get(unique_key(), f"?min_rev={rev}").json()["category"])

    rev = call.rev_of(unique_key(), "1")
    assert category() == "default"
    rev = call.rev_of(unique_key(), "1", more=',"category":"kim.lo\u1ea1i"')
    assert category() == "kim.lo\u1ea1i"
    rev = call.rev_of(unique_key(), "2")
    assert category() == "kim.lo\u1ea1i"


def test_if_match_writes_over_the_current_rev_only(call: Caller, unique_key: Names) -> None:
    old = call.rev_of(unique_key(), "1")
    current = call.rev_of(unique_key(), "2")
    stale = call.add(unique_key(), "3", if_match=f'"{old}"')
    assert_error(stale, 412, "precondition_failed")
    assert stale.json()["error"]["detail"]["current"]["rev"] == current
    assert_error(call.add(unique_key(), "3", if_match=f'W/"{current}"'), 412, "precondition_failed")
    assert_error(call.add(unique_key(), "3", if_match='"not-ours"'), 412, "precondition_failed")
    assert ticks(call, unique_key()) == [1, 2]
    assert call.add(unique_key(), "3", if_match=f'"{old}", "{current}"').status == 200
    assert call.add(unique_key(), "4", if_match="*").status == 200
    assert ticks(call, unique_key()) == [1, 2, 3, 4]


@pytest.mark.parametrize("if_match", ["*", '"1"'])
def test_if_match_makes_no_key(call: Caller, unique_key: Names, if_match: str) -> None:
    refused = call.add(unique_key(), "1", if_match=if_match)
    assert_error(refused, 412, "precondition_failed")
    assert refused.json()["error"]["detail"] == {"current": None}
    assert_error(call.get(unique_key()), 404, "key_not_found")


def test_one_of_many_that_match_the_same_rev_wins(app: Server, call: Caller, unique_key: Names) -> None:
    rev = call.rev_of(unique_key(), "0")

    def attempt(number: int) -> int:
        return Caller(app.url, app.token).add(unique_key(), str(number), if_match=f'"{rev}"').status

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(attempt, range(1, 9))) == [200] + [412] * 7
    assert len(ticks(call, unique_key())) == 2


def test_if_none_match_creates_only(call: Caller, unique_key: Names) -> None:
    assert call.add(unique_key(), "1", if_none_match="*").status == 200
    assert_error(call.add(unique_key(), "2", if_none_match="*"), 412, "precondition_failed")
    assert delete(call, unique_key()).status == 200
    assert call.add(unique_key(), "3", if_none_match="*").status == 200
    assert ticks(call, unique_key()) == [1, 3]


@pytest.mark.parametrize(
    "headers", [{"if_none_match": '"5"'}, {"if_none_match": "*", "if_match": "*"}, {"if_match": "5"}, {"if_match": ""}]
)
def test_a_condition_that_cannot_be_is_refused(call: Caller, unique_key: Names, headers: dict[str, str]) -> None:
    assert_error(call.add(unique_key(), "1", **headers), 400, "invalid_request")
    assert_error(call.get(unique_key()), 404, "key_not_found")


def test_an_idempotency_key_repeats_the_first_answer(call: Caller, unique_key: Names) -> None:
    first = call.add(unique_key(), "1", idempotency_key=unique_key("id"))
    call.rev_of(unique_key(), "2")
    again = call.add(unique_key(), "1", idempotency_key=unique_key("id"))
    assert (again.status, again.body) == (200, first.body)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert ticks(call, unique_key()) == [1, 2]


def test_concurrent_calls_with_one_idempotency_key_write_once(app: Server, call: Caller, unique_key: Names) -> None:
    def attempt(_: int) -> Reply:
        return Caller(app.url, app.token).add(unique_key(), "1", idempotency_key=unique_key("id"))

    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(attempt, range(8)))
    assert {(reply.status, reply.body) for reply in replies} == {(200, replies[0].body)}
    assert sum("idempotency-replayed" not in reply.headers for reply in replies) == 1
    assert ticks(call, unique_key()) == [1]


@pytest.mark.parametrize("change", ["body", "path", "condition"])
def test_an_idempotency_key_fits_one_request_only(call: Caller, unique_key: Names, change: str) -> None:
    name = unique_key("id")
    assert call.add(unique_key(), "1", idempotency_key=name).status == 200
    if change == "body":
        other = call.add(unique_key(), "2", idempotency_key=name)
    elif change == "path":
        other = delete(call, unique_key(), idempotency_key=name)
    else:
        other = call.add(unique_key(), "1", idempotency_key=name, if_match="*")
    assert_error(other, 409, "idempotency_key_reused")
    assert ticks(call, unique_key()) == [1]


def test_a_refused_write_does_not_use_up_its_idempotency_key(call: Caller, unique_key: Names) -> None:
    rev = call.rev_of(unique_key(), "1")
    conditions = {"if_match": f'"{rev + 1_000_000}"', "idempotency_key": unique_key("id")}
    assert_error(call.add(unique_key(), "2", **conditions), 412, "precondition_failed")
    assert_error(call.add(unique_key(), "2", **conditions), 412, "precondition_failed")
    assert call.add(unique_key(), "2", idempotency_key=unique_key("id")).status == 200


@pytest.mark.parametrize("name", ["", "a b", "x" * 256, "\u00e9"])
def test_an_idempotency_key_is_visible_ascii(call: Caller, unique_key: Names, name: str) -> None:
    assert_error(call.add(unique_key(), "1", idempotency_key=name), 400, "invalid_request")


def test_an_expired_key_is_gone_and_its_watchers_are_told(app: Server, call: Caller, unique_key: Names) -> None:
    url = f"{app.url.replace('http', 'ws', 1)}/ws/{quote(unique_key())}"
    with connect(url, proxy=None) as socket:

        def hear(wanted: str) -> dict[str, Any]:
            while True:
                frame = json.loads(socket.recv(timeout=HANG_SECONDS))
                for message in frame if isinstance(frame, list) else [frame]:
                    if message["op"] == wanted:
                        found: dict[str, Any] = message
                        return found

        hear("subbed")
        rev = call.rev_of(unique_key(), "1", more=',"ttl":0.3')
        assert hear("upd")["rev"] == rev
        gone = hear("del")
        assert (gone["key"], gone["rev"] > rev) == (unique_key(), True)
    assert_error(call.get(unique_key()), 404, "key_not_found")
    assert ticks(call, unique_key()) == [1]
    assert call.add(unique_key(), "2", if_none_match="*").status == 200


def test_an_expired_key_is_never_read_again(call: Caller, unique_key: Names) -> None:
    """Not from any cache either, and not in the second before its deletion is committed."""
    rev = call.rev_of(unique_key(), "1", more=',"ttl":2')
    expires = datetime.fromisoformat(call.get(unique_key(), f"?min_rev={rev}").json()["expiresAt"])

    def gone() -> bool:
        asked = datetime.now(UTC)
        status = call.get(unique_key()).status
        assert status == 404 or asked <= expires, "read after its end"
        return asked > expires

    eventually(gone)


def test_a_later_write_ends_the_ttl(call: Caller, unique_key: Names) -> None:
    call.rev_of(unique_key(), "1", more=',"ttl":30')
    rev = call.rev_of(unique_key(), "2")
    assert "expiresAt" not in call.get(unique_key(), f"?min_rev={rev}").json()


def test_a_deleted_key_is_gone_until_it_is_written_again(call: Caller, unique_key: Names) -> None:
    first = call.rev_of(unique_key(), "1")
    assert_error(delete(call, unique_key(), if_match=f'"{first + 1_000_000}"'), 412, "precondition_failed")
    assert call.get(unique_key()).status == 200
    gone = delete(call, unique_key(), if_match=f'"{first}"')
    assert gone.status == 200
    assert gone.json()["rev"] > first
    assert_error(call.get(unique_key(), f"?min_rev={gone.json()['rev']}"), 404, "key_not_found")
    assert_error(delete(call, unique_key()), 404, "key_not_found")
    assert_error(delete(call, unique_key(), if_match=f'"{first}"'), 404, "key_not_found")
    again = call.rev_of(unique_key(), "2")
    assert again > gone.json()["rev"]
    assert call.get(unique_key(), f"?min_rev={again}").values() == [b"2"]


def test_a_deletion_with_an_idempotency_key_is_repeated(call: Caller, unique_key: Names) -> None:
    call.rev_of(unique_key())
    first = delete(call, unique_key(), idempotency_key=unique_key("id"))
    again = delete(call, unique_key(), idempotency_key=unique_key("id"))
    assert first.body == again.body
    assert again.headers["idempotency-replayed"] == "true"


def test_a_batch_answers_each_element_in_order(call: Caller, unique_key: Names) -> None:
    keys = [unique_key(name) for name in "cab"]
    reply = batch(call, *((key, number) for number, key in enumerate(keys)))
    results = reply.json()["results"]
    assert reply.json()["success"] is True
    assert [result["key"] for result in results] == keys
    for key, result in zip(keys, results, strict=True):
        assert call.get(key, f"?min_rev={result['rev']}").json()["rev"] == result["rev"]


@pytest.mark.parametrize("headers", [{}, {"idempotency_key": "{}"}], ids=["grouped", "idempotent"])
def test_a_batch_keeps_the_order_of_one_key(call: Caller, unique_key: Names, headers: dict[str, str]) -> None:
    other = unique_key("other")
    sent = {name: value.format(unique_key("id")) for name, value in headers.items()}
    items = [(unique_key(), 1), (other, 7), (unique_key(), 2), (unique_key(), 3), (other, 8)]
    results = batch(call, *items, **sent).json()["results"]
    revs = [result["rev"] for result in results if result["key"] == unique_key()]
    assert revs == sorted(set(revs))
    assert call.get(unique_key(), f"?min_rev={revs[-1]}").json()["rev"] == revs[-1]
    assert (ticks(call, unique_key()), ticks(call, other)) == ([1, 2, 3], [7, 8])


def test_a_refused_element_does_not_stop_the_others(call: Caller, unique_key: Names) -> None:
    bodies = [
        f'{{"key":"{unique_key("a")}","value":1}}', '{"key":"a/b","value":1}', f'{{"key":"{unique_key("b")}"}}',
        '"text"', f'{{"key":"{unique_key("c")}","value":"\\ud800"}}', f'{{"key":"{unique_key("d")}","value":2}}',
    ]
    codes = [None, "invalid_key", "invalid_request", "invalid_request", "invalid_value", None]
    for body, kind in ((f"[{','.join(bodies)}]", "application/json"), ("\n".join(bodies), NDJSON)):
        reply = call("POST", "/batch", body, content_type=kind)
        if kind == "application/json":  # an array with a lone surrogate is no JSON, so none of it is written
            assert_error(reply, 400, "invalid_value")
            reply = call("POST", "/batch", body.replace(bodies[4], "{}"), content_type=kind)
            codes[4] = "invalid_request"
        assert (reply.status, reply.json()["success"]) == (200, False)
        assert [result.get("error", {}).get("code") for result in reply.json()["results"]] == codes
        codes[4] = "invalid_value"
    assert ticks(call, unique_key("d")) == [2, 2]


def test_ndjson_takes_every_line_and_spares_empty_ones(call: Caller, unique_key: Names) -> None:
    lines = f'{{"key":"{unique_key()}","value":1}}\r\n\r\n  {{"key":"{unique_key()}","value":2.50}}\n\n'
    for kind in (NDJSON, "application/jsonl", "application/x-ndjson; charset=utf-8"):
        results = call("POST", "/batch", lines, content_type=kind).json()["results"]
        assert len(results) == 2
    assert call.get(unique_key(), f"?min_rev={results[1]['rev']}").values() == [b"2.50"]


def test_a_batch_with_an_idempotency_key_is_repeated_whole(call: Caller, unique_key: Names) -> None:
    body = f'[{{"key":"{unique_key()}","value":1}},{{"key":"a/b","value":1}},{{"key":"{unique_key()}","value":2}}]'
    first, again = (call("POST", "/batch", body, idempotency_key=unique_key("id")) for _ in range(2))
    assert (first.status, first.body) == (200, again.body)
    assert again.headers["idempotency-replayed"] == "true"
    assert ticks(call, unique_key()) == [1, 2]
    other = call("POST", "/batch", body.replace("2}", "3}"), idempotency_key=unique_key("id"))
    assert_error(other, 409, "idempotency_key_reused")


def test_a_batch_takes_no_condition(call: Caller, unique_key: Names) -> None:
    for headers in ({"if_match": "*"}, {"if_none_match": "*"}):
        assert_error(batch(call, (unique_key(), 1), **headers), 400, "invalid_request")


def test_an_empty_batch_is_a_success(call: Caller) -> None:
    assert call("POST", "/batch", "[]").json() == {"success": True, "results": []}


def test_who_may_write_what(serve: Callable[..., Server], unique_key: Names) -> None:
    tokens = {
        "reader": (("read", ""),), "writer": (("write", ""),), "crypto": (("write", unique_key("crypto.")),),
        "two": (("write", unique_key("crypto.")), ("write", unique_key("metal."))),
    }
    entries = [Token(name, grants, digest_of(f"secret of {name}")).entry() for name, grants in tokens.items()]
    server = serve("local", KVCAST_TOKENS="\n".join(entries), KVCAST_ADMIN_TOKEN="m\u00e0t kh\u1ea9u")
    crypto, metal = unique_key("crypto.btc"), unique_key("metal.gold")

    def as_(token: str | None) -> Caller:
        return Caller(server.url, None if token is None else token.encode().decode("latin-1"))

    for token in (None, "", "wrong", "secret of  writer", "SECRET OF WRITER", "th\u1ebb", "x" * 5000):
        assert_error(as_(token).add(crypto, "1"), 401, "unauthorized")
        assert_error(as_(token)("POST", "/batch", "[]"), 401, "unauthorized")
        assert_error(delete(as_(token), crypto), 401, "unauthorized")
    for scheme in ("Basic c2VjcmV0", "secret of writer", "Token secret of writer", "Bearer"):
        assert_error(as_(None).add(crypto, "1", authorization=scheme), 401, "unauthorized")
    for token in ("m\u00e0t kh\u1ea9u", "secret of writer"):
        assert as_(token).add(crypto, "1").status == as_(token).add(metal, "1").status == 200
    assert as_(None).add(crypto, "1", authorization="bearer secret of writer").status == 200

    assert_error(as_("secret of reader").add(crypto, "1"), 403, "forbidden")
    assert_error(delete(as_("secret of reader"), crypto), 403, "forbidden")
    bound = as_("secret of crypto")
    assert bound.add(crypto, "2").status == 200
    assert_error(bound.add(metal, "2"), 403, "forbidden")
    assert_error(bound.add(unique_key("crypt"), "2"), 403, "forbidden")
    assert_error(delete(bound, metal), 403, "forbidden")
    results = batch(bound, (metal, 3), (crypto, 3)).json()["results"]
    assert [result.get("error", {}).get("code") for result in results] == ["forbidden", None]
    assert batch(as_("secret of two"), (metal, 4), (crypto, 4)).json()["success"] is True

    # an Idempotency-Key belongs to a token: another's answer is never shown
    name = unique_key("id")
    first = as_("secret of writer").add(crypto, "5", idempotency_key=name)
    other = bound.add(crypto, "5", idempotency_key=name)
    assert (other.status, other.json()["rev"] > first.json()["rev"]) == (200, True)


def test_a_full_store_takes_new_values_but_no_new_key(
    serve: Callable[..., Server], call: Caller, unique_key: Names
) -> None:
    call.rev_of(unique_key("old"))
    server = serve("write", KVCAST_MAX_KEYS="1")
    full = Caller(server.url, server.token)
    assert full.add(unique_key("old"), "2").status == 200
    assert_error(full.add(unique_key("new"), "1"), 409, "too_many_keys")
    results = batch(full, (unique_key("new"), 1), (unique_key("old"), 3)).json()["results"]
    assert [result.get("error", {}).get("code") for result in results] == ["too_many_keys", None]
    for headers in ({"if_none_match": "*"}, {"idempotency_key": unique_key("id")}):
        assert_error(full.add(unique_key("new"), "1", **headers), 409, "too_many_keys")
    assert full.add(unique_key("old"), "4", idempotency_key=unique_key("id")).status == 200
    assert_error(call.get(unique_key("new")), 404, "key_not_found")
