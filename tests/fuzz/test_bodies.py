"""Bodies of /add and /batch, made of what is JSON and what is not: refused as the client's fault, or kept exactly."""

from __future__ import annotations

import json
import uuid

from hypothesis import example, given
from hypothesis import strategies as st

from tests.calls import Caller
from tests.conftest import Server
from tests.fuzz.examples import examples

NDJSON = "application/x-ndjson"
FORM = "application/x-www-form-urlencoded"
KEY = f"fuzz.{uuid.uuid4().hex[:8]}"
ATOMS = st.one_of(
    st.sampled_from([
        b"NaN", b"-Infinity", b"1e400", b"-1e-400", b"-0", b"1E+5", b"1.0", b"123456789012345678901234567890", b"01",
        b"1.", b".5",
        b"9007199254740993", b"1" * 400, b"0." + b"3" * 400, b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"',
        b'"\\u0000"',
        b'"\\u000"', b'"\xff"', b'"\xed\xa0\x80"', b'"\xef\xbb\xbf"', b'"\xef\xbf\xbd"', b"true", b"null", b"nul",
        b"'a'", b'"a', b"",
        b'"\\/\\b\\f"', b'"\x7f"', b'"\x00"', b'"\t"', b"/*c*/1", b"[1,]", b"[,1]", b"{}", b"[]", b'{"a":1,"a":2}',
        b'{"":{"":[]}}',
    ]),
    st.integers(0, 70).map(lambda depth: b"[" * depth + b"1" + b"]" * depth),
    st.integers(0, 70).map(lambda depth: b'{"a":' * depth + b"1" + b"}" * depth),
    st.text(max_size=10).map(lambda text: json.dumps(text).encode()),
    st.text(max_size=10).map(lambda text: json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    st.floats().map(lambda number: repr(number).encode()), st.integers().map(lambda number: str(number).encode()),
    st.binary(max_size=6),
)  # fmt: skip
SPACE = st.sampled_from([b"", b"", b"", b" ", b"\t", b"\n", b"\r\n", b"\x0b", b"\xc2\xa0", b"\xef\xbb\xbf"])
NAMES = st.sampled_from([
    b'"key"', b'"value"', b'"category"', b'"ttl"', b'"tll"', b'"Key"', b'"k\\u0065y"', b'""', b"key",
])  # fmt: skip
KEYS = st.sampled_from([
    *[json.dumps(KEY).encode()] * 6, b'"a/b"', b'""', b'"\\ud800"', b"7", b"null", b'"%s"' % (b"k" * 129),
])  # fmt: skip
OBJECTS = st.one_of(
    st.builds(lambda key, space, value: b'{"key":%s,%s"value":%s%s}' % (key, space, value, space), KEYS, SPACE, ATOMS),
    st.builds(lambda pairs: b"{" + b",".join(b"%s:%s" % pair for pair in pairs) + b"}",
              st.lists(st.tuples(NAMES, st.one_of(KEYS, ATOMS)), max_size=4)),
    ATOMS,
)  # fmt: skip
TYPES = st.sampled_from([
    "application/json", "application/json", "application/json; charset=UTF-8", "application/json; charset=latin-1",
    NDJSON, FORM,
    "multipart/form-data; boundary=a", "text/plain", "", "application/json, text/plain",
])  # fmt: skip
FORMS = st.sampled_from([
    b"key=a&value=1", b"key=a&key=b", b"value=%ff",
    b"--a\r\nContent-Disposition: form-data; name=key\r\n\r\na\r\n--a--",
])  # fmt: skip


BETWEEN = st.sampled_from([b"\n", b"\r\n", b",", b"\n\n"])
AROUND = st.sampled_from([b"[]", b"", b"[", b"{}"])


def spaced(before: bytes, body: bytes, after: bytes) -> bytes:
    return before + body + after


def reads_back(call: Caller, text: bytes, rev: int) -> None:
    """The value of `text`, an accepted body, is read as it was sent."""
    value = call.get(KEY, f"?min_rev={rev}").values()[0]
    sent = text.partition(b'"value":')[2]
    if text.count(b'"value"') == 1 and text.startswith(b'{"key":') and not set(sent) & set(b"\r\n"):
        assert value == sent.rstrip(b" \t")[:-1].strip(b" \t")


@examples(150)
@given(st.one_of(st.builds(spaced, SPACE, OBJECTS, SPACE), FORMS), TYPES)
@example(b'{"key":%s,"value":1e400}' % json.dumps(KEY).encode(), "application/json")
def test_a_write_is_kept_exactly_or_refused_as_the_clients_fault(target: Server, body: bytes, kind: str) -> None:
    with Caller(target.url, target.token) as call:
        reply = call("POST", "/add", body, content_type=kind)
        assert reply.status in (200, 400, 415), reply
        if reply.status == 200 and reply.json()["key"] == KEY and body[:1] == b"{":
            reads_back(call, body, reply.json()["rev"])


@examples(100)
@given(st.lists(OBJECTS, max_size=6), BETWEEN, AROUND, TYPES)
def test_a_batch_has_one_result_for_each_element_or_is_refused_whole(
    target: Server, parts: list[bytes], between: bytes, around: bytes, kind: str
) -> None:
    body = around[:1] + between.join(parts) + around[1:]
    with Caller(target.url, target.token) as call:
        reply = call("POST", "/batch", body, content_type=kind)
        assert reply.status in (200, 400, 415), reply
        if reply.status == 200 and kind == NDJSON:
            assert len(reply.json()["results"]) == sum(1 for line in body.split(b"\n") if line.strip())
