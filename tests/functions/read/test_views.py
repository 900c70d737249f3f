"""GET /get, /mget, /keys, /history, /stats, /openapi.json and the pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any
from urllib.parse import quote

import pytest
import redis

from kvcast.embedded import Stores
from tests.calls import Caller, Reply, assert_error
from tests.conftest import Server
from tests.polling import eventually

POLICY = (  # spelt out: what is read from the code would agree with whatever stands there
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
Names = Callable[..., str]
PROMISED_SECONDS = 4.0  # and some room, but less than the 5 s for which Redis remembers that a key is absent
TEXTS = {
    "trailing zero": "2345.60",
    "exponent": "1e5",
    "capital exponent": "-1.50E+007",
    "negative zero": "-0",
    "beyond a double": "123456789012345678901234567890.123456789012345678901234567890",
    "beyond an exponent": "1e9999",
    "escapes": r'"\u00e9\/\ud83d\ude00 \"q\" \\u0000 \b"',
    "letters": '"giá vàng ₫ 😀\u2028\ufeff"',
    "odd spacing": '{ "b" :\t[ 1.0 ,2 ] , "a":{ } }',
    "a member twice": '{"a":1,"a":2}',
    "what looks like an answer": '{"value":1,"rev":7,"error":{"code":"x"}}',
    "html": '"<script>alert(1)</script>"',
    "null": "null",
    "empty": '""',
}


@pytest.fixture
def cache(stores: Stores) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(stores.redis_url) as client:
        yield client


def held_as(cache: redis.Redis, key: str) -> bytes:
    """The name of what Redis holds of a key, once it does."""
    return eventually(lambda: next(cache.scan_iter(match=f"*{{{key}}}:v", count=10_000), None)) or b""


def forget(cache: redis.Redis, key: str) -> None:
    """Make Redis forget a key."""
    cache.delete(held_as(cache, key))


def walk(call: Caller, query: str) -> Iterator[list[Any]]:
    """The pages of GET /keys."""
    cursor = ""
    while True:
        page = call("GET", f"/keys?{query}{cursor}").json()
        yield page["data"]
        if page["next"] is None:
            return
        cursor = f"&cursor={quote(page['next'])}"


def joined(pages: Iterable[list[Any]]) -> list[Any]:
    return [item for page in pages for item in page]


def history(call: Caller, key: str, query: str = "") -> Reply:
    return call("GET", f"/history/{quote(key)}{query}")


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_value_comes_back_byte_for_byte(call: Caller, cache: redis.Redis, unique_key: Names, text: str) -> None:
    member = b'"value":%s,' % text.encode()
    sources = set()
    for key in (unique_key("warm"), unique_key("cold")):
        rev = call.rev_of(key, f"  {text} ")
        assert held_as(cache, key)
        if key == unique_key("cold"):
            forget(cache, key)
        for _ in range(2):
            reply = call.get(key, f"?min_rev={rev}")
            sources.add(reply.headers["x-cache"])
            assert reply.body.startswith(b'{"key":"%s",%s"category":' % (key.encode(), member))
        for path in (f"/mget?key={quote(key)}", f"/keys?values=1&prefix={quote(key)}", f"/history/{quote(key)}"):
            assert call("GET", path).body.count(member) == 1
    assert sources >= {"redis", "database"}


def test_line_breaks_between_tokens_go_and_nothing_else_changes(call: Caller, unique_key: Names) -> None:
    rev = call.rev_of(unique_key(), '{\r\n "a" : [1.50,\n 1e5, 12345678901234567890123, "\\u00e9\\n \\/" ] }')
    reply = call.get(unique_key(), f"?min_rev={rev}")
    assert reply.values() == [b'{"a":[1.50,1e5,12345678901234567890123,"\\u00e9\\n \\/"]}']


def test_a_read_says_where_it_was_answered(call: Caller, cache: redis.Redis, unique_key: Names) -> None:
    def source() -> str:
        reply = call.get(unique_key())
        assert reply.headers["x-cache"] == reply.json()["source"]
        return reply.headers["x-cache"]

    call.rev_of(unique_key())
    assert held_as(cache, unique_key())
    assert source() == "redis"
    eventually(lambda: source() == "l1")
    call.rev_of(unique_key("cold"))
    forget(cache, unique_key("cold"))
    assert call.get(unique_key("cold")).headers["x-cache"] == "database"


def test_the_etag_is_the_rev_and_answers_304(call: Caller, unique_key: Names) -> None:
    rev = call.rev_of(unique_key(), "1")
    reply = call.get(unique_key())
    assert reply.headers["etag"] == f'"{rev}"'
    for known in (f'"{rev}"', f'W/"{rev}"', "*", f'"1", "other", "{rev}"'):
        same = call.get(unique_key(), if_none_match=known)
        assert (same.status, same.body, same.headers["etag"]) == (304, b"", f'"{rev}"')
        assert "content-type" not in same.headers
    for unknown in ('"1"', '"other"', f'"{rev}0"'):
        assert call.get(unique_key(), if_none_match=unknown).status == 200
    assert_error(call.get(unique_key(), if_none_match=str(rev)), 400, "invalid_request")
    assert_error(call.get(unique_key("absent"), if_none_match="*"), 404, "key_not_found")


def test_min_rev_is_never_answered_with_something_older(call: Caller, unique_key: Names) -> None:
    for value in range(50):
        rev = call.rev_of(unique_key(), str(value))
        reply = call.get(unique_key(), f"?min_rev={rev}")
        assert (reply.status, reply.json()["rev"], reply.json()["value"]) == (200, rev, value)
    refused = call.get(unique_key(), f"?min_rev={rev + 10_000_000}")
    assert_error(refused, 503, "rev_not_reached")
    assert refused.json()["error"]["detail"] == {"rev": rev}
    assert_error(call.get(unique_key("absent"), "?min_rev=1"), 503, "rev_not_reached")
    assert_error(call.get(unique_key("absent"), "?min_rev=0"), 404, "key_not_found")


def test_min_rev_reads_past_a_cache_that_is_behind(call: Caller, cache: redis.Redis, unique_key: Names) -> None:
    old = call.rev_of(unique_key(), "1")
    name = held_as(cache, unique_key())
    held: Any = cache.hgetall(name)
    new = call.rev_of(unique_key(), "2")
    eventually(lambda: cache.hgetall(name) != held)
    cache.hset(name, mapping=held)
    assert call.get(unique_key(), f"?min_rev={old}").json()["rev"] == old  # it is behind indeed
    assert call.get(unique_key(), f"?min_rev={new}").json()["rev"] == new


def test_a_read_follows_the_bus(call: Caller, unique_key: Names) -> None:
    call.rev_of(unique_key(), "1")
    eventually(lambda: call.get(unique_key()).headers["x-cache"] == "l1")
    rev = call.rev_of(unique_key(), "2")
    eventually(lambda: call.get(unique_key()).json()["rev"] == rev, PROMISED_SECONDS)
    eventually(lambda: call.get(unique_key()).headers["x-cache"] == "l1")


def test_a_key_that_was_absent_is_found_once_written(call: Caller, unique_key: Names) -> None:
    assert_error(call.get(unique_key()), 404, "key_not_found")
    rev = call.rev_of(unique_key(), "1")
    assert call.get(unique_key(), f"?min_rev={rev}").status == 200
    eventually(lambda: call.get(unique_key()).status == 200, PROMISED_SECONDS)


def test_a_head_has_the_headers_of_a_get(call: Caller, unique_key: Names) -> None:
    rev = call.rev_of(unique_key())
    head = call("HEAD", f"/get/{quote(unique_key())}")
    assert (head.status, head.body, head.headers["etag"]) == (200, b"", f'"{rev}"')


def test_mget_answers_many_keys_and_lists_the_absent(call: Caller, unique_key: Names) -> None:
    present = [unique_key(f"k{number}") for number in range(98)]
    call("POST", "/batch", json.dumps([{"key": key, "value": key} for key in present]))
    call.rev_of(unique_key("gone"))
    assert call("DELETE", f"/keys/{quote(unique_key('gone'))}").status == 200
    asked = [*present, unique_key("gone"), unique_key("absent")]
    eventually(lambda: call.get(unique_key("gone")).status == 404)
    for _ in range(2):
        reply = call("GET", "/mget?" + "&".join(f"key={quote(key)}" for key in [*asked, present[0]])).json()
        assert {entry["key"]: entry["value"] for entry in reply["data"]} == dict(zip(present, present, strict=True))
        assert len(reply["data"]) == 98
        assert sorted(reply["absent"]) == sorted(asked[98:])
    too_many = "&".join(f"key=k{number}" for number in range(101))
    assert_error(call("GET", f"/mget?{too_many}"), 400, "invalid_request")
    assert_error(call("GET", "/mget"), 400, "invalid_request")


def test_keys_walks_over_more_than_a_page_in_order(call: Caller, unique_key: Names) -> None:
    names = [unique_key(name) for name in (*(f"{number:04}" for number in range(1001)), "Zeta", "vàng", "é")]
    bodies = [json.dumps({"key": name, "value": 1}) for name in reversed(names)]
    for start in range(0, len(bodies), 1000):
        lines = "\n".join(bodies[start : start + 1000])
        assert call("POST", "/batch", lines, content_type="application/x-ndjson").json()["success"]
    prefix = f"prefix={quote(unique_key(''))}"
    pages = list(walk(call, prefix))
    assert [len(page) for page in pages] == [1000, 4]
    assert joined(pages) == sorted(names)
    pages = list(walk(call, f"{prefix}&limit=251"))
    assert [len(page) for page in pages] == [251, 251, 251, 251]
    assert joined(pages) == sorted(names)
    ten = [unique_key(f"000{number}") for number in range(10)]
    assert joined(walk(call, f"prefix={quote(unique_key('000'))}")) == ten
    assert list(walk(call, f"prefix={quote(unique_key('none'))}")) == [[]]


def test_keys_by_category_with_values(call: Caller, unique_key: Names) -> None:
    category = unique_key("kim.loại")
    for name, value in (("b", "2.50"), ("a", '{ "x": 1 }'), ("c", "3")):
        call.rev_of(unique_key(name), value, more=f',"category":"{category}"')
    call.rev_of(unique_key("d"), "4")
    call.rev_of(unique_key("e"), "5", more=f',"category":"{category}","ttl":0.001')
    call("DELETE", f"/keys/{quote(unique_key('c'))}")
    query = f"category={quote(category)}"
    assert list(walk(call, f"{query}&limit=1")) == [[unique_key("a")], [unique_key("b")]]
    reply = call("GET", f"/keys?{query}&values=1")
    assert reply.values() == [b'{ "x": 1 }', b"2.50"]
    assert [entry["category"] for entry in reply.json()["data"]] == [category] * 2
    entries = joined(walk(call, f"{query}&values=1&limit=1"))
    assert [entry["key"] for entry in entries] == [unique_key("a"), unique_key("b")]
    assert unique_key("d") in joined(walk(call, f"category=default&prefix={quote(unique_key(''))}"))


def test_history_is_newest_last_and_bounded_by_limit_and_time(call: Caller, unique_key: Names) -> None:
    written = [call.add(unique_key(), str(value)).json() for value in range(5)]
    whole = history(call, unique_key()).json()
    assert whole["key"] == unique_key()
    assert [(tick["value"], tick["rev"], tick["updatedAt"]) for tick in whole["data"]] == [
        (value, answer["rev"], answer["updatedAt"]) for value, answer in enumerate(written)
    ]

    def values(query: str) -> list[int]:
        return [tick["value"] for tick in history(call, unique_key(), query).json()["data"]]

    times = [answer["updatedAt"] for answer in written]
    assert values("?limit=2") == [3, 4]
    assert values(f"?since={times[2]}") == [2, 3, 4]
    assert values(f"?until={times[2]}") == [0, 1]
    assert values(f"?since={times[1]}&until={times[4]}&limit=2") == [2, 3]
    second = datetime.fromisoformat(times[2])
    zoned = second.astimezone(tz=datetime.strptime("+0700", "%z").tzinfo).isoformat()
    assert values(f"?since={quote(zoned)}") == values(f"?since={zoned}") == [2, 3, 4]
    assert values(f"?since={(second - timedelta(hours=1)).timestamp()}") == [0, 1, 2, 3, 4]
    assert values(f"?since={second.date() + timedelta(days=2)}") == []
    far = second.replace(tzinfo=None) + timedelta(hours=22)
    assert values(f"?until={far.isoformat()}{quote('+23:00')}") == []
    assert values(f"?until={far.isoformat()}{quote('+21:00')}") == [0, 1, 2, 3, 4]


def test_history_outlives_a_deletion_and_knows_no_other_key(call: Caller, unique_key: Names) -> None:
    call.rev_of(unique_key(), "1")
    call("DELETE", f"/keys/{quote(unique_key())}")
    assert [tick["value"] for tick in history(call, unique_key()).json()["data"]] == [1]
    assert_error(history(call, unique_key("absent")), 404, "key_not_found")
    assert history(call, unique_key(), "?since=2000-01-01&until=2000-01-02").json()["data"] == []


@pytest.mark.parametrize(("bucket", "seconds"), [("1s", 1), ("7s", 7), ("1m", 60), ("1h", 3600), ("1d", 86_400)])
def test_buckets_are_exact_decimals_of_the_numbers(
    call: Caller, unique_key: Names, bucket: str, seconds: int
) -> None:
    numbers = [
        "2345.60", "0.1", "-7", "1e5", "12345678901234567890.123456789", "0.30000000000000001", "-2.5E-3", "2345.60",
    ]
    others = ['"12"', "null", "true", "[1]", '{"a":1}', "1e9999", "1" * 65]
    items = [value for pair in zip(numbers, [*others, '"x"'], strict=True) for value in pair]
    lines = "\n".join(f'{{"key":"{unique_key()}","value":{value}}}' for value in items)
    assert call("POST", "/batch", lines, content_type="application/x-ndjson").json()["success"]
    call.rev_of(unique_key(), "5.5")

    ticks = history(call, unique_key()).json()["data"]
    texts = history(call, unique_key()).values()
    expected = []
    origin = datetime(2000, 1, 1, tzinfo=UTC)

    def start(pair: tuple[Any, bytes]) -> datetime:
        age = (datetime.fromisoformat(pair[0]["updatedAt"]) - origin).total_seconds()
        return origin + timedelta(seconds=age // seconds * seconds)

    kept = [pair for pair in zip(ticks, texts, strict=True) if pair[1].decode() in {*numbers, "5.5"}]
    for begin, group in groupby(kept, start):
        values = [Decimal(text.decode()) for _, text in group]
        expected.append({
            "start": begin.strftime("%Y-%m-%dT%H:%M:%SZ"), "open": values[0], "high": max(values), "low": min(values),
            "close": values[-1], "count": len(values),
        })
    reply = history(call, unique_key(), f"?bucket={bucket}")
    found = json.loads(reply.body, parse_float=Decimal, parse_int=Decimal)["data"]
    assert found == expected
    assert b'"high":12345678901234567890.123456789,' in reply.body
    assert b'"open":2345.60,' in reply.body
    newest = history(call, unique_key(), f"?bucket={bucket}&limit=1")
    assert json.loads(newest.body, parse_float=Decimal, parse_int=Decimal)["data"] == expected[-1:]


def test_buckets_of_what_is_no_number_are_none(call: Caller, unique_key: Names) -> None:
    call.rev_of(unique_key(), '"high"')
    assert history(call, unique_key(), "?bucket=1m").json()["data"] == []


@pytest.mark.parametrize("bucket", ["1s", "1d", "24h", "1440m", "86400s"])
def test_buckets_from_a_second_to_a_day(call: Caller, unique_key: Names, bucket: str) -> None:
    call.rev_of(unique_key())
    assert len(history(call, unique_key(), f"?bucket={bucket}").json()["data"]) == 1


def test_stats_count_what_all_workers_do(call: Caller, unique_key: Names) -> None:
    call.rev_of(unique_key())
    call.get(unique_key())

    def busy() -> bool:
        call.rev_of(unique_key())
        call.get(unique_key())
        stats = call("GET", "/stats").json()
        assert stats["keys"] >= 1
        assert all(function["workers"] >= 1 for function in stats["functions"].values())
        return bool(stats["writesPerSecond"] > 0 and stats["readsPerSecond"] > 0)

    eventually(busy)


def test_health_tells_life_from_readiness(call: Caller) -> None:
    assert call("GET", "/healthz/live").json() == {"status": "ok"}
    ready = call("GET", "/healthz/ready").json()
    assert ready["status"] == "ok"
    stores = ("postgresql", "redis")
    assert ready["probes"] == {f"{name}.{store}": "ok" for name in ("write", "read", "push") for store in stores}


def test_metrics_count_requests_by_rule_and_never_by_key(call: Caller, unique_key: Names) -> None:
    call.get(unique_key())
    history(call, unique_key())
    reply = call("GET", "/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    for rule in ("/get/<path:key>", "/history/<path:key>"):
        assert f'kvcast_requests_total{{function="read",route="{rule}",status="404"}}' in reply.body.decode()
    assert unique_key().encode() not in reply.body


def test_the_description_is_served_as_it_is_checked(call: Caller) -> None:
    document = call("GET", "/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    assert "/add" in document["paths"]


@pytest.mark.parametrize("path", ["/", "/admin", "/docs", "/benchmark-report", "/viewer/gold", "/viewer/v%C3%A0ng"])
def test_a_page_is_html_under_the_strict_policy(call: Caller, path: str) -> None:
    page = call("GET", path)
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"] == POLICY
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"
    same = call("GET", path, if_none_match=page.headers["etag"])
    assert (same.status, same.body, same.headers["content-security-policy"]) == (304, b"", POLICY)


@pytest.mark.parametrize(
    "path", ["/README.md", "/../pyproject.toml", "/web/client.js", "/client.test.mjs", "/a.html", "/%2e%2e/Makefile"]
)
def test_only_listed_files_are_served(call: Caller, path: str) -> None:
    assert_error(call("GET", path), 404, "not_found")


def test_each_function_alone_answers_for_itself(
    serve: Callable[..., Server], cache: redis.Redis, unique_key: Names
) -> None:
    write, read = serve("write"), serve("read", KVCAST_L1_MAX_BYTES="0")
    writer, reader = Caller(write.url, write.token), Caller(read.url)
    rev = writer.rev_of(unique_key(), "2345.60")
    assert held_as(cache, unique_key())
    for _ in range(2):
        reply = reader.get(unique_key(), f"?min_rev={rev}")
        assert (reply.values(), reply.headers["x-cache"]) == ([b"2345.60"], "redis")
    assert_error(writer.get(unique_key()), 404, "not_found")
    assert_error(reader.add(unique_key(), "1"), 503, "unavailable")
    for caller in (writer, reader):
        assert caller("GET", "/healthz/live").json() == {"status": "ok"}
        assert caller("GET", "/healthz/ready").json()["probes"] == {"postgresql": "ok", "redis": "ok"}
        assert b"kvcast_requests_total" in caller("GET", "/metrics").body
