"""Scopes, prefixes, and the tokens that settings name."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kvcast.errors import Forbidden, SettingsError, Unauthorized
from kvcast.tokens import Keyring, Token, admin_token, digest_of, new_token, parse_grants, parse_tokens, require


def token(grants: str, plain: str = "secret") -> Token:
    return Token("bot", parse_grants(grants), digest_of(plain))


@pytest.mark.parametrize(
    ("grants", "allowed", "refused"),
    [
        ("read", [("read", None), ("read", "a")], [("write", "a"), ("admin", None), ("write", None)]),
        ("write", [("write", "a"), ("read", "a"), ("write", None)], [("admin", "a")]),
        ("admin", [("admin", None), ("write", "a"), ("read", None)], []),
        ("write:crypto.", [("write", "crypto.btc"), ("read", "crypto."), ("write", "crypto.")],
         [("write", "crypto"), ("write", "Crypto.btc"), ("write", "gold"), ("write", "xcrypto.btc"), ("write", None),
          ("read", None)]),
        ("read,write:crypto.", [("read", "gold"), ("write", "crypto.btc")], [("write", "gold")]),
        ("write:a.,write:b.", [("write", "a.x"), ("write", "b.x")], [("write", "c.x")]),
    ],
)
def test_what_a_grant_allows(
    grants: str, allowed: list[tuple[str, str | None]], refused: list[tuple[str, str | None]]
) -> None:
    holder = token(grants)
    for scope, key in allowed:
        assert require(holder, scope, key) is holder  # type: ignore[arg-type]
    for scope, key in refused:
        with pytest.raises(Forbidden, match="bot"):
            require(holder, scope, key)  # type: ignore[arg-type]


def test_without_a_token_nothing_is_allowed() -> None:
    with pytest.raises(Unauthorized):
        require(None, "read")


def test_a_header_names_one_of_the_accepted_tokens() -> None:
    keyring = Keyring((admin_token("one"), token("read", "two"), token("read", "tökén ₫")))
    assert keyring.identify(None) is keyring.identify("") is None
    for header, grants in (("Bearer one", "admin"), ("bearer  two ", "read"), ("BEARER two", "read")):
        found = keyring.identify(header)
        assert found is not None
        assert found.grants[0][0] == grants
    assert keyring.identify("Bearer tökén ₫".encode().decode("latin-1")) is not None
    for header in ("Bearer", "Bearer three", "Bearer tökén ₫", "Basic one", "one", "Bearer o\x00ne", "Bearer \xff\xfe"):
        with pytest.raises(Unauthorized):
            keyring.identify(header)


ALIKE: list[Callable[[str], str]] = [
    str.lower, str.upper, str.casefold, str.strip, lambda text: text + " ", lambda text: text[:-1],
    lambda text: text + "\x00", lambda text: text[:64], lambda text: text[-64:],
    *(partial(unicodedata.normalize, form) for form in ("NFC", "NFD", "NFKC", "NFKD")),
]


@given(st.text(), st.sampled_from(ALIKE))
@example(" Tökén\u212b ", str.lower)
@example("x" * 65, ALIKE[7])
@example("\udc80", lambda _: "\udc81")
def test_only_the_same_text_is_the_same_token(one: str, alike: Callable[[str], str]) -> None:
    for other in (alike(one), *(also(one) for also in ALIKE)):
        assert (digest_of(one) == digest_of(other)) == (one == other)


def test_an_entry_is_read_back_as_it_was_written() -> None:
    tokens = (token("write:crypto.,read"), token("admin"), token("read:vàng"))
    assert parse_tokens("\n".join(one.entry() for one in tokens)) == tokens
    assert parse_tokens(" ; ".join(one.entry() for one in tokens)) == tokens
    assert parse_tokens(f"# rotated in May\n\n  {tokens[0].entry()}  \n") == tokens[:1]
    assert tokens[0].entry().endswith(hashlib.sha256(b"secret").hexdigest())


@pytest.mark.parametrize(
    "entry",
    ["bot", "bot write", "bot write sha256:12", "bot write secret", f"bot write sha256:{'G' * 64}", "bot write md5:00",
     f"bot own sha256:{'0' * 64}", f"bot write:a/b sha256:{'0' * 64}", f"a b write sha256:{'0' * 64}"],
)
def test_a_bad_entry_stops_the_start_and_keeps_its_secret(entry: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_tokens(entry)
    assert "secret" not in refused.value.message


def test_new_tokens_differ_and_fit_a_header() -> None:
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert all(one.isascii() and len(one) >= 43 and one.strip() == one for one in made)
