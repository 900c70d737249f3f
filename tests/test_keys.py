"""The grammar of keys, categories and prefixes."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvcast.errors import InvalidKey
from kvcast.keys import after_prefix, parse_category, parse_key, parse_prefix

LETTERS = st.text(st.characters(categories=["L", "Nd"]), min_size=1, max_size=30)


@pytest.mark.parametrize(
    "text", ["gold", "vàng-SJC", "crypto.BTC:usd@x+y_z-1", "...", ".a", "金", "a" * 128, "ạ" * 85, "٣"]
)
def test_a_key(text: str) -> None:
    assert parse_key(text) == parse_category(text) == parse_prefix(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"), (".", "browsers"), ("..", "browsers"), ("a" * 129, "long"), ("ạ" * 86, "long"), ("a b", "' '"),
        ("a/b", "'/'"), ("a\n", r"'\\n'"), ("\x00", r"'\\x00'"), ("a\ufffd", "\ufffd"), ("😀", "😀"),
        ("\ud800", "surrogate"), ("\u0301", "position 0"), ("a\u200bb", r"u200b"), ("a\u00a0b", r"xa0"),
        ("é" * 10_000_000, "long"), ("a" * 10_000_000, "long"),
    ],
    ids=range(17),
)
def test_what_is_no_key_is_refused_with_the_reason(text: str, said: str) -> None:
    for parse, what in ((parse_key, "key"), (parse_category, "category")):
        with pytest.raises(InvalidKey, match=said) as refused:
            parse(text)
        assert what in refused.value.message


def test_a_prefix_may_be_what_a_key_may_not() -> None:
    assert [parse_prefix(text) for text in ("", ".", "..")] == ["", ".", ".."]


def test_forms_of_one_text_are_one_key() -> None:
    for text in ("vàng", "Đồng", "가격", "Å"):
        forms = {unicodedata.normalize(form, text) for form in ("NFC", "NFD")}
        assert {parse_key(form) for form in forms} == {unicodedata.normalize("NFC", text)}
    longest = unicodedata.normalize("NFD", "ế" * 85)
    assert parse_key(longest) == "ế" * 85


@given(st.text(max_size=40))
def test_any_text_is_a_key_in_nfc_or_is_refused(text: str) -> None:
    try:
        key = parse_key(text)
    except InvalidKey:
        return
    assert key == parse_key(key) == unicodedata.normalize("NFC", text)
    assert key.encode().decode() == key


@given(LETTERS, st.lists(LETTERS, max_size=8))
def test_the_bound_above_a_prefix_parts_the_keys_with_it_from_the_rest(prefix: str, others: list[str]) -> None:
    bound = after_prefix(prefix)
    assert bound is not None
    for text in (prefix, *others, *(prefix + other for other in others)):
        assert text.startswith(prefix) == (prefix.encode() <= text.encode() < bound.encode())


def test_the_bound_skips_surrogates_and_ends_at_the_last_character() -> None:
    assert after_prefix("a") == "b"
    assert after_prefix("a\ud7ff") == "a\ue000"
    assert after_prefix("a" + chr(sys.maxunicode)) == "b"
    assert after_prefix("") is None
    assert after_prefix(chr(sys.maxunicode)) is None
