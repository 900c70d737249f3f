"""The grammar of keys, categories and prefixes."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from kvcast.errors import InvalidKey

KEY_MAX_CHARACTERS = 128
KEY_MAX_BYTES = 256
_ALLOWED = re.compile(r"[\w.:@+-]*")
GRAMMAR = "1 to 128 letters, digits or any of . _ : @ + - (at most 256 bytes of UTF-8)"


def _normalised(text: str, what: str) -> str:
    if not text.isascii():
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise InvalidKey(f"The {what} holds a lone surrogate; send well-formed UTF-8.") from None
        if size > 4 * KEY_MAX_BYTES:  # so that normalising is never asked to chew on a megabyte
            raise InvalidKey(f"The {what} is too long; use {GRAMMAR}.")
        text = unicodedata.normalize("NFC", text)
    if len(text) > KEY_MAX_CHARACTERS or len(text.encode()) > KEY_MAX_BYTES:
        raise InvalidKey(f"The {what} is too long; use {GRAMMAR}.")
    match = _ALLOWED.match(text)
    end = match.end() if match else 0
    if end != len(text):
        raise InvalidKey(f"The {what} holds {text[end]!r} at position {end}; use {GRAMMAR}.")
    return text


@lru_cache(maxsize=65_536)
def parse_key(text: str, what: str = "key") -> str:
    """Return `text` in NFC when it is a key.

    Raises InvalidKey, whose message says what is wrong and what is allowed.
    """
    text = _normalised(text, what)
    if not text:
        raise InvalidKey(f"The {what} is empty; use {GRAMMAR}.")
    if text in (".", ".."):
        raise InvalidKey(f"The {what} may not be {text!r}, which browsers remove from an address.")
    return text


def parse_category(text: str) -> str:
    """The same grammar as a key."""
    return parse_key(text, "category")


def parse_prefix(text: str) -> str:
    """Like a key, but it may be empty (every key) and may be '.' or '..'."""
    return _normalised(text, "prefix")


def after_prefix(prefix: str) -> str | None:
    """The smallest text in code-point order that is above every key with `prefix`; None for no bound."""
    for end in range(len(prefix), 0, -1):
        following = ord(prefix[end - 1]) + 1
        if 0xD800 <= following <= 0xDFFF:  # surrogates are no text
            following = 0xE000
        if following <= 0x10FFFF:
            return prefix[: end - 1] + chr(following)
    return None
