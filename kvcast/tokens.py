"""Who may do what: bearer tokens with scopes, each optionally bound to a key prefix.

A token is stored as the SHA-256 of its bytes. Tokens are random (`new_token` has 256 bits), so a slow
hash would add nothing but cost on every request.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import secrets
import time
from collections.abc import Iterable
from typing import Literal, Protocol

import msgspec

from kvcast.errors import Forbidden, InvalidKey, SettingsError, Unauthorized
from kvcast.keys import parse_prefix

Scope = Literal["read", "write", "admin"]
_INCLUDES: dict[str, frozenset[str]] = {
    "read": frozenset({"read"}),
    "write": frozenset({"read", "write"}),
    "admin": frozenset({"read", "write", "admin"}),
}
_UNKNOWN = "The token is not known here; send `Authorization: Bearer TOKEN` with a valid one."
_JWT_DOTS = 2
_ACCEPTED_MOST = 1000  # the same token may come in headers of different spelling
_ENTRY = re.compile(r"(?P<name>[\w.-]{1,64})\s+(?P<grants>\S+)\s+sha256:(?P<digest>[0-9a-f]{64})")


class Token(msgspec.Struct, frozen=True):
    """name: for people and logs; grants: (scope, prefix) pairs; digest: SHA-256 of the token, empty of a JWT.

    expires_at: Unix seconds; signed_by: the identity of the key that signed a JWT.
    """

    name: str
    grants: tuple[tuple[str, str], ...]
    digest: bytes
    expires_at: float = math.inf
    signed_by: bytes = b""

    def allows(self, scope: Scope, key: str | None = None) -> bool:
        """Whether one of the grants covers `scope`, for `key` where one is named."""
        for granted, prefix in self.grants:  # any() of a generator takes three times as long, for each row
            if scope in _INCLUDES[granted] and (not prefix or (key is not None and key.startswith(prefix))):
                return True
        return False

    def entry(self) -> str:
        """The line that KVCAST_TOKENS takes."""
        grants = ",".join(f"{scope}:{prefix}" if prefix else scope for scope, prefix in self.grants)
        return f"{self.name} {grants} sha256:{self.digest.hex()}"


def digest_of(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _sent(header: str) -> str:
    """The text of a header, which WSGI hands over as Latin-1 and clients send as UTF-8."""
    return header.encode("latin-1", "replace").decode("utf-8", "surrogateescape")


def new_token() -> str:
    return secrets.token_urlsafe(32)


def parse_grants(text: str) -> tuple[tuple[str, str], ...]:
    """`write:crypto.,read` -> (("write", "crypto."), ("read", "")). Raises SettingsError."""
    grants = []
    for grant in text.split(","):
        scope, _, prefix = grant.partition(":")
        if scope not in _INCLUDES:
            raise SettingsError(f"{scope!r} is no scope; use read, write or admin, each with an optional :prefix.")
        try:
            grants.append((scope, parse_prefix(prefix)))
        except InvalidKey as error:
            raise SettingsError(f"The grant {grant!r} has a bad prefix. {error.message}") from None
    return tuple(grants)


def parse_tokens(text: str) -> tuple[Token, ...]:
    """Read KVCAST_TOKENS: entries `NAME SCOPE[:PREFIX][,...] sha256:HEX`, one a line or parted by `;`."""
    tokens = []
    for line in re.split(r"[\n;]", text):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ENTRY.fullmatch(line.strip())
        if match is None:
            raise SettingsError(
                "KVCAST_TOKENS: an entry is not `NAME SCOPE[:PREFIX][,...] sha256:HEX`; `kvcast token` makes one."
            )
        tokens.append(Token(match["name"], parse_grants(match["grants"]), bytes.fromhex(match["digest"])))
    return tuple(tokens)


def admin_token(plain: str) -> Token:
    return Token("admin", (("admin", ""),), digest_of(plain))


class Verifies(Protocol):
    """What checks tokens that others sign: kvcast.jwts.Verifier. identities: of the keys of now."""

    identities: frozenset[bytes]

    def verify(self, text: str) -> Token: ...


class Keyring:
    """The accepted tokens. Lookups take the same time whichever token is right."""

    def __init__(self, tokens: tuple[Token, ...], verifier: Verifies | None = None) -> None:
        self.generation = 0  # another one after each change, for who remembers what was found here
        self.replace(tokens, verifier)

    def replace(self, tokens: tuple[Token, ...], verifier: Verifies | None = None) -> None:
        """Accept these from now on, and no others."""
        self.generation += 1
        self._tokens = tokens
        self._verifier = verifier
        # Accepted headers only, so a guess is never compared with anything but by its hash.
        self._accepted: dict[str, Token] = {}

    def tokens(self) -> tuple[Token, ...]:
        """Those of the settings, of now."""
        return self._tokens

    def find(self, token: str) -> Token:
        """Raises Unauthorized."""
        digest = digest_of(token)
        found = None
        for candidate in self._tokens:
            if hmac.compare_digest(candidate.digest, digest):
                found = candidate
        if found is None and self._verifier is not None and token.count(".") == _JWT_DOTS:
            found = self._verifier.verify(token)
        if found is None:
            raise Unauthorized(_UNKNOWN)
        return found

    def holds(self, token: Token) -> bool:
        """Whether `token`, found here before, would be found again."""
        if token.signed_by:
            known = self._verifier is not None and token.signed_by in self._verifier.identities
            return known and token.expires_at > time.time()
        return token in self._tokens

    def identify(self, authorization: str | None) -> Token | None:
        """The token of an Authorization header; None where there is no header. Raises Unauthorized."""
        if not authorization:
            return None
        accepted = self._accepted
        known = accepted.get(authorization)
        if known is not None and (not known.signed_by or known.expires_at > time.time()):
            return known
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized(_UNKNOWN)
        found = self.find(_sent(token.strip()))
        if len(accepted) >= _ACCEPTED_MOST:
            accepted.clear()
        accepted[authorization] = found
        return found


def require_reading(
    token: Token | None, keys: Iterable[str], prefixes: Iterable[str] = (), categories: Iterable[str] = ()
) -> None:
    """Raises Unauthorized or Forbidden unless `token` may read all of this. A category may hold any key."""
    token = require_known(token, "read")
    for key in keys:
        require(token, "read", key)
    for prefix in prefixes:  # all that begins with it begins with a grant's prefix then
        require(token, "read", prefix or None)
    for _ in categories:
        require(token, "read")


def require_known(token: Token | None, scope: Scope) -> Token:
    """Raises Unauthorized."""
    if token is None:
        raise Unauthorized(f"This needs a token with scope {scope}; send `Authorization: Bearer TOKEN`.")
    return token


def require(token: Token | None, scope: Scope, key: str | None = None) -> Token:
    """Return `token` when it allows the call. Raises Unauthorized or Forbidden."""
    token = require_known(token, scope)
    if not token.allows(scope, key):
        where = f" for key {key!r}" if key is not None else ""
        raise Forbidden(f"The token {token.name!r} has no scope {scope}{where}; use one that has.")
    return token
