"""Whatever is sent, the answer is the JSON error with a code and a sentence, and nobody else notices."""

from __future__ import annotations

import json
import random
import socket
import time
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import NamedTuple
from urllib.parse import quote

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvcast.errors import InvalidKey, KvcastError
from kvcast.keys import parse_key
from kvcast.messages import VALUE_MAX_DEPTH, Write, decode_write, split_batch
from tests.calls import Caller, Reply, assert_error, reply_of
from tests.conftest import TOKEN, Server

Names = Callable[..., str]
NDJSON = "application/x-ndjson"
VALUE_MAX = 65_536
BODY_MAX = 131_072
BATCH_MAX = 2**20
AUTHORIZED = b"Host: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n" % TOKEN.encode()


class Bad(NamedTuple):
    """A body that is refused, and why."""

    name: str
    body: bytes
    status: int
    code: str


def deep(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * depth + b"1" + closing * depth


def with_value(value: bytes) -> bytes:
    return b'{"key":"bad","value":%s}' % value


NO_JSON = {
    "text": b"gold=1", "cut": b'{"key":"bad","value":[1', "trailing": with_value(b"1") + b"x",
    "two": with_value(b"1 2"),
    "comma": with_value(b"[1,]"), "single quotes": b"{'key':'bad','value':1}", "leading zero": with_value(b"01"),
    "plus": with_value(b"+1"), "bare dot": with_value(b"1."), "hexadecimal": with_value(b"0x1"),
    "raw control": with_value(b'"a\x01b"'), "raw line break": with_value(b'"a\nb"'), "escape": with_value(b'"\\x41"'),
    "byte order mark": b"\xef\xbb\xbf" + with_value(b"1"), "NUL behind": with_value(b"1") + b"\x00",
    "raw NUL": with_value(b'"\x00"'), "UTF-16LE": with_value(b"1").decode().encode("utf-16-le"),
    "endless quotes": with_value(b'tru"' + b'\\"' * 60_000),
}
BAD_VALUES = {
    "NaN": b"NaN", "Infinity": b"[Infinity]", "-Infinity": b'{"a":-Infinity}', "NUL": b'"\\u0000"',
    "NUL in a name": b'{"\\u0000":1}', "NUL after backslashes": b'"\\\\\\u0000"', "lone high surrogate": b'"\\ud800"',
    "lone low surrogate": b'"\\udc00"', "two high surrogates": b'"\\ud800\\ud800"',
    "surrogate in a name": b'{"\\udfff":1}',
    "surrogate in bytes": b'"\xed\xa0\x80"', "Latin-1": b'"\xe9"', "overlong": b'"\xc0\x80"',
    "deep": deep(VALUE_MAX_DEPTH + 1),
    "deep objects": deep(VALUE_MAX_DEPTH + 1, b'{"a":', b"}"), "very deep": deep(60_000),
    "never closed": b"[" * 100_000,
    "very deep objects": deep(20_000, b'{"a":', b"}"),
}
BAD_REQUESTS = {
    "array": b"[1]", "null": b"null", "string": b'"x"', "empty object": b"{}", "no value": b'{"key":"bad"}',
    "no key": b'{"value":1}', "unknown field": b'{"key":"bad","value":1,"tll":5}',
    "key is a number": b'{"key":7,"value":1}',
    "key is null": b'{"key":null,"value":1}', "category is a number": b'{"key":"bad","value":1,"category":7}',
    "ttl zero": b'{"key":"bad","value":1,"ttl":0}', "ttl negative": b'{"key":"bad","value":1,"ttl":-1}',
    "ttl too long": b'{"key":"bad","value":1,"ttl":315360001}', "ttl huge": b'{"key":"bad","value":1,"ttl":1e400}',
    "ttl text": b'{"key":"bad","value":1,"ttl":"5"}', "ttl bool": b'{"key":"bad","value":1,"ttl":true}',
}
BAD_KEYS = [
    "", ".", "..", "a b", "a/b", "a\\b", "a\u0000", "a\n", "\ufffd", "😀", "a#b", "a?b", "k" * 129, "ạ" * 86, "\u0301",
]
BAD = [
    *(Bad(name, body, 400, "invalid_json") for name, body in NO_JSON.items() if name != "cut"),
    *(Bad(name, with_value(value), 400, "invalid_value") for name, value in BAD_VALUES.items()),
    *(Bad(name, body, 400, "invalid_request") for name, body in BAD_REQUESTS.items()),
    *(
        Bad(f"{what} {ascii(key)[:20]}", json.dumps({"key": "bad", "value": 1, what: key}).encode(), 400, "invalid_key")
        for key in BAD_KEYS
        for what in ("key", "category")
    ),
    Bad("cut", NO_JSON["cut"], 400, "invalid_value"),
    Bad("empty", b"", 400, "invalid_value"),
    Bad("UTF-16", with_value(b"1").decode().encode("utf-16"), 400, "invalid_value"),
    Bad("large value", with_value(b'"%s"' % (b"x" * (VALUE_MAX - 1))), 400, "value_too_large"),
    Bad("large body", with_value(b'"%s"' % (b"x" * BODY_MAX)), 413, "payload_too_large"),
]
ADDRESSES_BY_ERROR = {
    (400, "invalid_key"): """
        GET /get/%00, GET /get/a%2Fb, GET /get/a/b, GET /get/%ff, GET /get/%C0%80, GET /get/.., GET /get/%ED%A0%80,
        GET /get/%EF%BF%BD, GET /get/%2e%2e, GET /get/%2e%2e%2fadmin, GET /get/, GET /get/a%0D%0Ab, GET /get/a%20b,
        GET /history/%ff, GET /history/%00, GET /viewer/%00, GET /viewer/a%2Fb, GET /viewer/%3Cscript%3E,
        DELETE /keys/%ff, DELETE /keys/a%2Fb, DELETE /keys/.., GET /mget?key=, GET /mget?key=a%00,
        GET /keys?prefix=a%2F, GET /keys?prefix=%00, GET /keys?category=, GET /keys?category=a%20b
    """,
    (404, "not_found"): """
        GET /get, GET /nothing, GET /add/, GET /keys/, GET /history/, GET /%ff, GET /%00,
        GET /wp-admin/../../etc/passwd
    """,
    (405, "method_not_allowed"): """
        GET /add, PUT /add, OPTIONS /add, DELETE /batch, POST /get/gold, OPTIONS /get/gold, TRACE /get/gold,
        INVENTED /get/gold, POST /keys, DELETE /healthz/live
    """,
    (400, "invalid_request"): """
        GET /get/gold?min_rev=-1, GET /get/gold?min_rev=, GET /get/gold?min_rev=1.5, GET /get/gold?min_rev=%D9%A1,
        GET /get/gold?min_rev=9223372036854775808, GET /get/gold?min_rev=1&min_rev=2, GET /get/gold?rev=1,
        GET /mget?keys=a, GET /mget?key=%ff, GET /keys?limit=0, GET /keys?limit=1001, GET /keys?limit=x,
        GET /keys?values=2, GET /keys?values=true, GET /keys?cursor=@@@, GET /keys?cursor=YQ%3D%3D%3D%3D,
        GET /keys?cursor=YS9i, GET /keys?cursor=_____w, GET /keys?cursor=%C3%A9, GET /keys?cursor=AA,
        GET /keys?cursor=YQ&cursor=YQ, GET /history/gold?limit=0, GET /history/gold?limit=10001,
        GET /history/gold?since=yesterday, GET /history/gold?since=, GET /history/gold?since=2026-02-30,
        GET /history/gold?since=-1, GET /history/gold?until=99999999999999, GET /history/gold?until=%00,
        GET /history/gold?since=0001-01-01T00:00:00%2B23:00, GET /history/gold?until=9999-12-31T23:59:59-23:00,
        GET /history/gold?since=NaN, GET /history/gold?since=1e5, GET /history/gold?bucket=0s,
        GET /history/gold?bucket=2d, GET /history/gold?bucket=86401s, GET /history/gold?bucket=1w,
        GET /history/gold?bucket=, GET /history/gold?bucket=1.5s, DELETE /keys/gold?force=1, POST /add?key=gold
    """,
}
ADDRESSES = [
    *(
        (method, path, status, code)
        for (status, code), calls in ADDRESSES_BY_ERROR.items()
        for method, path in map(str.split, calls.split(","))
    ),
    ("GET", "/get/" + "k" * 129, 400, "invalid_key"),
    ("GET", "/get/" + "k" * 7000, 400, "invalid_key"),
    ("GET", "/get/" + "%E1%BA%A1" * 86, 400, "invalid_key"),
    ("GET", "/mget?" + "key=a&" * 1100, 400, "invalid_request"),
]
HEADERS = [
    ("content_type", None, 415, "unsupported_media_type"), ("content_type", "", 415, "unsupported_media_type"),
    ("content_type", "text/plain", 415, "unsupported_media_type"),
    ("content_type", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    ("content_type", "application/json; charset=utf-16", 415, "unsupported_media_type"),
    ("content_type", "application/jsonp", 415, "unsupported_media_type"),
    ("content_type", NDJSON, 415, "unsupported_media_type"),
    ("if_match", "41", 400, "invalid_request"), ("if_none_match", '"41"', 400, "invalid_request"),
    ("idempotency_key", "a b", 400, "invalid_request"), ("idempotency_key", "k" * 256, 400, "invalid_request"),
]
NOT_HTTP = {
    "nonsense": b"NONSENSE\r\n\r\n", "version": b"GET / HTTP/7.0\r\n\r\n", "method": b"G<T / HTTP/1.1\r\n\r\n",
    "raw bytes in the address": b"GET /get/\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "long address": b"GET /get/%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"k" * 9000),
    "long header": b"GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n" % (b"x" * 9000),
    "many headers": b"GET / HTTP/1.1\r\nHost: x\r\n%s\r\n" % b"".join(b"X-%d: 1\r\n" % number for number in range(100)),
    "header name": b"GET / HTTP/1.1\r\nHost: x\r\nA B: 1\r\n\r\n",
    "two lengths": b"POST /add HTTP/1.1\r\n" + AUTHORIZED + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "negative length": b"POST /add HTTP/1.1\r\n" + AUTHORIZED + b"Content-Length: -2\r\n\r\n{}",
    "length and chunks": b"POST /add HTTP/1.1\r\n" + AUTHORIZED
    + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "expectation": b"POST /add HTTP/1.1\r\n" + AUTHORIZED + b"Expect: miracles\r\nContent-Length: 2\r\n\r\n{}",
}
BAD_CHUNKS = {
    "size": b"zz\r\n", "no end of a chunk": b'5\r\n{"keyXX0\r\n\r\n', "extension": b'5;a="\r\nb\r\n', "cut": b"5\r\n{",
    "never ended": b"1\r\n{\r\n",
}


def chunked(body: bytes) -> bytes:
    return b"POST /add HTTP/1.1\r\n" + AUTHORIZED + b"Transfer-Encoding: chunked\r\n\r\n" + body


def add_request(body: bytes, length: int) -> bytes:
    return b"POST /add HTTP/1.1\r\n" + AUTHORIZED + b"Content-Length: %d\r\n\r\n" % length + body


@contextmanager
def at_most(seconds: float, server: Server) -> Iterator[None]:
    """Of a processor's time, which is the same beside whatever else the machine does."""
    [worker] = psutil.Process(server.pid).children()
    before = sum(worker.cpu_times()[:2])
    yield
    assert sum(worker.cpu_times()[:2]) - before < seconds


@pytest.mark.parametrize("bad", BAD, ids=[bad.name for bad in BAD])
def test_a_bad_body_is_refused(app: Server, call: Caller, bad: Bad) -> None:
    with at_most(1.5, app):
        assert_error(call("POST", "/add", bad.body), bad.status, bad.code)


@pytest.mark.parametrize("bad", BAD, ids=[bad.name for bad in BAD])
def test_a_bad_line_of_a_batch_is_refused_alone(call: Caller, unique_key: Names, bad: Bad) -> None:
    good = json.dumps({"key": unique_key(), "value": 1}).encode()
    if b"\n" in bad.body or not bad.body or "UTF-16" in bad.name:
        return
    reply = call("POST", "/batch", b"\n".join([good, bad.body, good]), content_type=NDJSON)
    results = reply.json()["results"]
    code = "value_too_large" if bad.status == 413 else bad.code
    assert [result.get("error", {}).get("code") for result in results] == [None, code, None]


@pytest.mark.parametrize(("method", "path", "status", "code"), ADDRESSES)
def test_a_bad_address_is_refused(call: Caller, method: str, path: str, status: int, code: str) -> None:
    reply = call(method, path, b"{}" if method == "POST" else None)
    assert_error(reply, status, code)
    assert ("allow" in reply.headers) == (status == 405)


@pytest.mark.parametrize(("name", "value", "status", "code"), HEADERS)
def test_a_bad_header_is_refused(call: Caller, name: str, value: str | None, status: int, code: str) -> None:
    assert_error(call("POST", "/add", with_value(b"1"), **{name: value}), status, code)


@pytest.mark.parametrize("request_", NOT_HTTP.values(), ids=NOT_HTTP)
def test_what_is_no_http_is_refused_in_json_as_well(call: Caller, request_: bytes) -> None:
    reply = call.raw(request_)
    assert_error(reply, 400, "invalid_request")
    assert reply.headers["connection"] == "close"


@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_a_badly_chunked_body_is_refused(call: Caller, body: bytes) -> None:
    assert_error(call.raw(chunked(body), end=True), 400, "invalid_request")


def test_a_chunked_body_is_taken(call: Caller, unique_key: Names) -> None:
    body = json.dumps({"key": unique_key(), "value": 1}).encode()
    assert call.raw(chunked(b"5\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (body[:5], len(body) - 5, body[5:]))).status == 200
    spaces = b"%x\r\n%s\r\n0\r\n\r\n" % (BODY_MAX + 1, b" " * (BODY_MAX + 1))
    assert_error(call.raw(chunked(spaces)), 413, "payload_too_large")


def test_a_body_that_ends_early_is_refused_and_nothing_is_written(call: Caller, unique_key: Names) -> None:
    body = json.dumps({"key": unique_key(), "value": 1}).encode()
    assert_error(call.raw(add_request(body, len(body) + 5), end=True), 400, "invalid_request")
    assert_error(call.get(unique_key()), 404, "key_not_found")


def test_of_a_body_that_is_refused_no_more_is_taken_than_a_share(serve: Callable[..., Server]) -> None:
    server = serve("write", KVCAST_BODY_TIMEOUT_SECONDS="60")
    with socket.create_connection(Caller(server.url).address, timeout=60) as connection:
        connection.sendall(add_request(b"", 2**40))
        response = HTTPResponse(connection)
        response.begin()
        assert_error(reply_of(response), 413, "payload_too_large")
        with pytest.raises(OSError, match=r"reset|pipe"):
            connection.sendall(bytes(128 * 2**20))


def test_a_body_that_drips_is_refused_in_time(serve: Callable[..., Server], unique_key: Names) -> None:
    server = serve("write", KVCAST_BODY_TIMEOUT_SECONDS="0.4")
    call = Caller(server.url, server.token)
    body = json.dumps({"key": unique_key(), "value": 1}).encode()

    def drip(_: int) -> None:
        with socket.create_connection(call.address, timeout=60) as connection:
            connection.sendall(add_request(b"", len(body)))
            connection.settimeout(0.05)
            for byte in body:  # longer in all than the limit, each pause shorter
                connection.sendall(bytes([byte]))
                try:
                    connection.recv(1, socket.MSG_PEEK)
                except TimeoutError:
                    continue
                connection.settimeout(30)
                response = HTTPResponse(connection)
                response.begin()
                assert_error(reply_of(response), 400, "slow_body")
                return
            raise AssertionError("the whole body was taken")

    started = time.monotonic()
    with ThreadPoolExecutor(9) as threads:
        dripping = [threads.submit(drip, number) for number in range(8)]
        assert call.add(unique_key("other"), "1").status == 200
        for one in dripping:
            one.result()
    assert time.monotonic() - started >= 0.4
    assert call.add(unique_key(), "1", if_none_match="*").status == 200


@pytest.mark.parametrize("size", [VALUE_MAX - 1, VALUE_MAX])
def test_a_value_at_the_limit_is_taken_and_read(call: Caller, unique_key: Names, size: int) -> None:
    value = b'"%s"' % (b"x" * (size - 2))
    rev = call.rev_of(unique_key(), value)
    assert call.get(unique_key(), f"?min_rev={rev}").values() == [value]


def test_each_limit_is_taken_at_it_and_refused_one_over(call: Caller, unique_key: Names) -> None:
    def post(path: str, body: bytes, kind: str = "application/json") -> Reply:
        return call("POST", path, body, content_type=kind)

    spaced = json.dumps({"key": unique_key(), "value": 1}).encode()
    assert post("/add", spaced.ljust(BODY_MAX)).status == 200
    assert_error(post("/add", spaced.ljust(BODY_MAX + 1)), 413, "payload_too_large")
    assert post("/batch", (b"[%s]" % spaced).ljust(BATCH_MAX)).status == 200
    assert_error(post("/batch", (b"[%s]" % spaced).ljust(BATCH_MAX + 1)), 413, "payload_too_large")
    chunked = b"%x\r\n%s\r\n0\r\n\r\n"
    for size, status in ((BODY_MAX, 200), (BODY_MAX + 1, 413)):  # whose length is not said beforehand
        head = add_request(b"", 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        assert call.raw(head + chunked % (size, spaced.ljust(size))).status == status
    for size, status in ((VALUE_MAX, 200), (VALUE_MAX + 1, 400)):
        assert call.add(unique_key(), b'"%s"' % (b"x" * (size - 2))).status == status
    item = json.dumps({"key": unique_key(), "value": 1}).encode()
    for many, status in ((1000, 200), (1001, 413)):
        assert post("/batch", b"[%s]" % b",".join([item] * many)).status == status
        assert post("/batch", b"\n".join([item] * many), NDJSON).status == status
    for depth, status in ((VALUE_MAX_DEPTH, 200), (VALUE_MAX_DEPTH + 1, 400)):
        for value in (deep(depth), deep(depth, b'{"[{":', b"}"), b'["[[[",%s]' % deep(depth - 1)):
            assert call.add(unique_key(), value).status == status
    mark = unique_key("")[-12:]
    for longest in (mark.ljust(128, "k"), mark + "\u1ea1" * 81 + "k", mark + "\U0001d400" * 61):
        assert len(longest) == 128 or len(longest.encode()) == 256
        assert call.add(longest, "1").status == 200
        assert call.get(longest).status == 200
        assert_error(call.add(longest + "k", "1"), 400, "invalid_key")


def test_a_million_elements_are_refused_quickly(app: Server, call: Caller) -> None:
    with at_most(5, app):
        refuse_a_million(call)


def refuse_a_million(call: Caller) -> None:
    for body in (b"[" + b"1," * 500_000 + b"1]", b"1\n" * 500_000):
        for kind in ("application/json", NDJSON):
            assert call("POST", "/batch", body, content_type=kind).status in (400, 413, 200)
    assert_error(call("POST", "/batch", b"[" * 1_000_000), 400, "invalid_value")
    assert_error(call("POST", "/batch", b'{"a":' * 200_000), 400, "invalid_request")
    assert_error(call("POST", "/batch", b"{}"), 400, "invalid_request")
    assert_error(call("POST", "/batch", b'[x"' + b'\\"' * 500_000), 400, "invalid_json")


def test_afterwards_each_read_returns_its_own_key(app: Server, call: Caller, unique_key: Names) -> None:
    """The poison test: bad input through every pooled connection, then 100 unique reads through them all."""
    keys = [unique_key(f"k{number}") for number in range(100)]
    call("POST", "/batch", json.dumps([{"key": key, "value": key} for key in keys]))

    def poison(number: int) -> None:
        caller = Caller(app.url, app.token, check=False)
        with caller:
            for bad in random.Random(number).sample(BAD, 12):
                for name in (None, f"{unique_key()}-{number}"):
                    assert caller("POST", "/add", bad.body, idempotency_key=name).status == bad.status
            for method, path, status, _ in random.Random(number).sample(ADDRESSES, 12):
                assert caller(method, path, b"{}" if method == "POST" else None).status == status

    def read(key: str) -> tuple[str, list[str], str, str]:
        caller = Caller(app.url, check=False)
        with caller:
            return (
                caller.get(key).json()["value"],
                [tick["value"] for tick in caller("GET", f"/history/{quote(key)}").json()["data"]],
                caller("GET", f"/keys?values=1&prefix={quote(key)}&limit=1").json()["data"][0]["value"],
                caller("GET", f"/mget?key={quote(key)}").json()["data"][0]["value"],
            )

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(poison, range(24)))
        assert list(threads.map(read, keys)) == [(key, [key], key, key) for key in keys]
    assert "nobody foresaw" not in app.log()


KEYS = st.text(
    st.one_of(st.characters(), st.sampled_from("aZ0_.:@+-\u0300\u1ea1\uac00\u1100\u1161")), min_size=1, max_size=40
)


def accepted(text: str) -> str | None:
    try:
        return parse_key(text)
    except InvalidKey:
        return None


@given(KEYS)
def test_what_the_grammar_takes_it_takes_again_unchanged(text: str) -> None:
    key = accepted(text)
    if key is None:
        return
    assert parse_key(key) == key == unicodedata.normalize("NFC", text)
    assert len(key) <= 128
    assert len(key.encode()) <= 256
    assert not set(key) & set(' /\\?#%"<>&\x00\n')


@settings(max_examples=60, deadline=None)
@given(st.lists(KEYS, min_size=1, max_size=8, unique=True))
def test_a_key_goes_round_through_address_store_and_listing(app: Server, texts: list[str]) -> None:
    with Caller(app.url, app.token, check=False) as call:
        body = "\n".join(json.dumps({"key": text, "value": text}) for text in texts)
        results = call("POST", "/batch", body, content_type=NDJSON).json()["results"]
        assert [result["key"] for result in results] == list(map(accepted, texts))
        for text, result in zip(texts, results, strict=True):
            path = quote(text.encode(errors="surrogatepass"), safe="")
            if result["key"] is None:
                assert call("GET", f"/get/{path}").status == 400
                continue
            found = call("GET", f"/get/{path}?min_rev={result['rev']}").json()
            assert found["key"] == result["key"]
            assert result["key"] in call("GET", f"/keys?prefix={path}").json()["data"]


def strict(text: str) -> object:
    def refuse(name: str) -> None:
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse, parse_int=str, parse_float=str)


JSON_BYTES = st.one_of(
    st.binary(max_size=60),
    st.text(st.sampled_from('{}[]",:\\u0dD8cC1.eE+-NaInfity \n\t"key"value'), max_size=60).map(str.encode),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text()),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)


def outcome(decode: Callable[[], list[Write]]) -> list[Write] | KvcastError:
    try:
        return decode()
    except KvcastError as error:
        return error


def is_client_error(found: list[Write] | KvcastError) -> bool:
    return isinstance(found, KvcastError) and found.status == 400 and found.message.endswith(".")


@settings(max_examples=400)
@given(JSON_BYTES)
def test_the_decoder_takes_json_unchanged_and_refuses_the_rest_as_a_client_error(text: bytes) -> None:
    found = outcome(lambda: [decode_write(b'{"key":"k","value":%s}' % text, VALUE_MAX)])
    if isinstance(found, KvcastError):
        assert is_client_error(found)
        return
    kept = found[0].value
    value = strict(kept)  # RFC 8259 and nothing beyond
    json.dumps(value, ensure_ascii=False).encode()
    if b"\n" not in text and b"\r" not in text:
        assert kept.encode() == text.strip(b" \t\n\r")
    else:
        assert "\n" not in kept
        assert value == strict(text.decode())


@settings(max_examples=400)
@given(st.sampled_from([b"", b'{"key":"a","value":', b"["]), JSON_BYTES)
def test_the_decoders_never_raise_anything_else(start: bytes, text: bytes) -> None:
    body = start + text
    for found in (
        outcome(lambda: [decode_write(body, VALUE_MAX)]),
        outcome(lambda: [decode_write(part, VALUE_MAX) for part in split_batch(body, ndjson=False)]),
        outcome(lambda: [decode_write(part, VALUE_MAX) for part in split_batch(body, ndjson=True)]),
    ):
        assert isinstance(found, list) or is_client_error(found)
