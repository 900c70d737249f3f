"""kvcast.messages against the wire examples that the browser's client is tested with, too."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvcast import messages
from kvcast.errors import InvalidRequest, InvalidValue, KvcastError
from kvcast.messages import Change, Subscribe

WIRE = Path(__file__).parent / "wire"
LIMIT = 65_536


def examples(file: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((WIRE / f"{file}.json").read_text(encoding="utf-8"))
    return rows


def named(rows: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("example", rows, ids=[row["name"] for row in rows])


OPS_WITH_KEY = ("snap", "upd", "del")
CHANGES = [row for row in examples("server-frames") if row["objects"][0]["op"] in OPS_WITH_KEY]
PLAIN = [row for row in examples("server-frames") if row["objects"][0]["op"] not in OPS_WITH_KEY]
ADDS = [row for row in examples("http") if row["request"]["path"] == "/add" and row["request"]["method"] == "POST"]
BODIES_TAKEN = [row for row in ADDS if row["response"]["status"] == 200]
BODIES_REFUSED = [row for row in ADDS if row["response"]["status"] == 400]
BATCHES = [row for row in examples("http") if row["request"]["path"] == "/batch"]
FRAMES_TAKEN = [row for row in examples("client-frames") if "messages" in row]
FRAMES_REFUSED = [row for row in examples("client-frames") if "error" in row]


def framed(entry: dict[str, Any]) -> bytes:
    change = Change(
        key=entry["key"],
        value=None if entry["op"] == "del" else entry["value"].encode(),
        category=entry.get("category", "default"),
        rev=int(entry["rev"]),
        prev=0,
        updated_at=entry.get("updatedAt", ""),
    )
    return change.frame("snap" if entry["op"] == "snap" else "upd")


@named(CHANGES)
def test_a_change_is_framed_as_the_example_says(example: dict[str, Any]) -> None:
    frames = [framed(entry) for entry in example["objects"]]
    whole = frames[0] if len(frames) == 1 else b"[" + b",".join(frames) + b"]"
    assert whole == example["text"].encode()


@named(PLAIN)
def test_a_frame_without_a_value_is_as_the_example_says(example: dict[str, Any]) -> None:
    assert messages.server_frame(**json.loads(example["text"])) == example["text"].encode()


def received(text: str) -> list[Any]:
    decoded = messages.decode_client_frame(text)
    return [message.parsed() if isinstance(message, Subscribe) else message for message in decoded]


@named(FRAMES_TAKEN)
def test_a_client_frame_is_decoded(example: dict[str, Any]) -> None:
    assert [msgspec.to_builtins(message) for message in received(example["text"])] == example["messages"]


@named(FRAMES_REFUSED)
def test_a_bad_client_frame_is_refused(example: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        received(example["text"])
    assert refusal.value.error_code == example["error"]
    assert refusal.value.message.endswith(".")


@named(BODIES_TAKEN)
def test_a_value_is_kept_as_it_was_written(example: dict[str, Any]) -> None:
    body = example["request"]["body"]
    write = messages.decode_write(body.encode(), LIMIT)
    assert f'"value":{write.value}' in body
    assert write.key == json.loads(body)["key"]
    assert write.category == json.loads(body).get("category")
    assert write.ttl == json.loads(body).get("ttl")


@named(BODIES_REFUSED)
def test_a_bad_body_is_refused_with_its_code(example: dict[str, Any]) -> None:
    with pytest.raises(KvcastError) as refusal:
        messages.decode_write(example["request"]["body"].encode(), LIMIT)
    assert refusal.value.status == 400
    assert refusal.value.error_code == json.loads(example["response"]["body"])["error"]["code"]


@named(BATCHES)
def test_a_batch_is_cut_into_its_elements(example: dict[str, Any]) -> None:
    ndjson = "ndjson" in example["request"]["headers"]["Content-Type"]
    parts = messages.split_batch(example["request"]["body"].encode(), ndjson)
    assert len(parts) == len(json.loads(example["response"]["body"])["results"])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_a_body_that_is_not_utf8_is_refused(encoding: str) -> None:
    with pytest.raises(InvalidRequest):
        messages.decode_write('{"key":"gold","value":"à"}'.encode(encoding), LIMIT)


def test_a_value_at_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    assert len(messages.decode_write(b'{"key":"k","value":"%s"}' % (b"x" * (LIMIT - 2)), LIMIT).value) == LIMIT
    with pytest.raises(InvalidValue) as refusal:
        messages.decode_write(b'{"key":"k","value":"%s"}' % (b"x" * (LIMIT - 1)), LIMIT)
    assert refusal.value.error_code == "value_too_large"


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_a_value_nested_to_the_limit_is_taken_and_one_deeper_is_not(opening: str, closing: str) -> None:
    def body(depth: int) -> bytes:
        return f'{{"key":"k","value":{opening * depth}{"[]" if opening == "[" else "0"}{closing * depth}}}'.encode()

    at_limit = 63 if opening == "[" else 64
    messages.decode_write(body(at_limit), LIMIT)
    with pytest.raises(InvalidValue):
        messages.decode_write(body(at_limit + 1), LIMIT)


def test_endless_nesting_is_refused_without_a_recursion_error() -> None:
    with pytest.raises(InvalidRequest):
        messages.decode_write(b'{"key":"k","value":' + b"[" * 100_000, LIMIT)
    with pytest.raises(InvalidRequest):
        messages.decode_client_frame("[" * 100_000)


def test_brackets_inside_a_string_are_no_nesting() -> None:
    assert messages.decode_write(b'{"key":"k","value":"%s"}' % (b"[" * 1000), LIMIT).value == '"%s"' % ("[" * 1000)


def test_line_breaks_outside_strings_go_and_digits_stay() -> None:
    assert messages.decode_write(b'{"key":"k","value":[\n1.50,\r\n"a\\nb"]}', LIMIT).value == '[1.50,"a\\nb"]'


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.just("k") | st.just("value"), inner, max_size=2),
    max_leaves=20,
)


@given(json_values, st.booleans(), st.sampled_from(["upd", "snap"]))
def test_any_value_crosses_body_record_and_frame_unchanged(value: Any, ascii_only: bool, op: Any) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    write = messages.decode_write(f'{{"value":{text},"key":"vàng"}}'.encode(), 1 << 20)
    change = Change("vàng", write.value.encode(), "default", 7, 6, "2026-01-05T12:00:00.123456Z", 5)
    assert messages.decode_record(messages.encode_record(change)) == change
    frame = json.loads(change.frame(op))
    assert write.value == text
    assert (frame["op"], frame["key"], frame["rev"]) == (op, "vàng", 7)
    assert json.dumps(frame["value"]) == json.dumps(value)


def test_a_deletion_crosses_a_record() -> None:
    change = Change("gold", None, "metal", 9, 8, "2026-01-05T12:00:00.123456Z")
    assert messages.decode_record(messages.encode_record(change)) == change


@given(st.binary(max_size=60))
def test_no_bytes_make_the_decoders_fail_otherwise(body: bytes) -> None:
    for decode in (lambda: messages.decode_write(body, LIMIT), lambda: messages.split_batch(body, ndjson=False)):
        with contextlib.suppress(InvalidRequest):
            decode()
    with contextlib.suppress(InvalidRequest):
        received(body.decode("utf-8", "replace"))
