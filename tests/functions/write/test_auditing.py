"""Which writes leave a row in the audit, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.calls import Caller, assert_error

Names = Callable[..., str]


def rows(call: Caller, key: str) -> list[dict[str, Any]]:
    """What was recorded of `key`, oldest first."""
    reply = call("GET", "/audit?limit=500")
    assert reply.status == 200, reply
    return [row for row in reversed(reply.json()["data"]) if row["key"] == key]


def newest(call: Caller) -> dict[str, Any]:
    row: dict[str, Any] = call("GET", "/audit?limit=1").json()["data"][0]
    return row


def test_create_replace_and_delete_are_recorded_with_their_revs(call: Caller, unique_key: Names) -> None:
    created = call.add(unique_key(), "1", if_none_match="*").json()["rev"]
    replaced = call.add(unique_key(), "2", if_match=f'"{created}"').json()["rev"]
    deleted = call("DELETE", f"/keys/{quote(unique_key())}", kvcast_note=quote("hết hạn")).json()["rev"]
    found = rows(call, unique_key())
    assert [(row["action"], row["rev"], row["note"]) for row in found] == [
        ("create", created, None), ("replace", replaced, None), ("delete", deleted, "hết hạn"),
    ]
    assert {(row["token"], row["count"], row["client"]) for row in found} == {("admin", 1, "127.0.0.1")}


def test_what_was_refused_is_not_recorded(call: Caller, unique_key: Names) -> None:
    rev = call.rev_of(unique_key())
    assert_error(call.add(unique_key(), "2", if_none_match="*"), 412, "precondition_failed")
    assert_error(call.add(unique_key(), "2", if_match=f'"{rev + 1_000_000}"'), 412, "precondition_failed")
    assert_error(call("DELETE", f"/keys/{quote(unique_key('absent'))}"), 404, "key_not_found")
    assert rows(call, unique_key()) == rows(call, unique_key("absent")) == []


def test_a_plain_write_is_recorded_only_with_a_note(call: Caller, unique_key: Names) -> None:
    call.rev_of(unique_key())
    call.add(unique_key(), "2", idempotency_key=unique_key("id"))
    assert rows(call, unique_key()) == []
    rev = call.add(unique_key(), "3", kvcast_note="by%20hand").json()["rev"]
    assert [(row["action"], row["rev"], row["note"]) for row in rows(call, unique_key())] == [("add", rev, "by hand")]


def test_a_batch_with_a_note_is_one_row_with_its_count(call: Caller, unique_key: Names) -> None:
    body = ",".join(f'{{"key":"{key}","value":1}}' for key in (unique_key("a"), "a/b", unique_key("b")))
    before = newest(call)["id"] if call("GET", "/audit?limit=1").json()["data"] else 0
    call("POST", "/batch", f"[{body}]")
    note = quote(f"Nhập {unique_key()}.csv")
    results = call("POST", "/batch", f"[{body}]", kvcast_note=note).json()["results"]
    row = newest(call)
    assert (row["action"], row["key"], row["count"], row["rev"]) == ("batch", None, 2, results[-1]["rev"])
    assert row["note"] == f"Nhập {unique_key()}.csv"
    ids = [entry["id"] for entry in call("GET", "/audit?limit=9").json()["data"] if entry["id"] > before]
    assert ids == [row["id"]], "the batch without a note left a row too"


def test_a_repeated_request_is_recorded_once(call: Caller, unique_key: Names) -> None:
    for _ in range(2):
        reply = call.add(unique_key(), "1", if_none_match="*", idempotency_key=unique_key("id"))
        assert reply.status == 200
    assert len(rows(call, unique_key())) == 1


@pytest.mark.parametrize("note", ["%ff", "%c3", "a%0Ab", "a%00", "x" * 201, "%E2%80%AEgnp.exe", "\u00e9"])
def test_a_note_that_cannot_be_kept_refuses_the_write(call: Caller, unique_key: Names, note: str) -> None:
    assert_error(call.add(unique_key(), "1", kvcast_note=note), 400, "invalid_request")
    assert_error(call("POST", "/batch", f'[{{"key":"{unique_key()}","value":1}}]', kvcast_note=note), 400,
                 "invalid_request")
    assert_error(call.get(unique_key()), 404, "key_not_found")


def test_two_hundred_characters_beyond_ascii_are_kept(call: Caller, unique_key: Names) -> None:
    call.add(unique_key(), "1", kvcast_note=quote("ạ" * 200))
    assert rows(call, unique_key())[0]["note"] == "ạ" * 200
