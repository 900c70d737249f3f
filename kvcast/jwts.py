"""JSON Web Tokens (RFC 7519) that others sign: who they are of, and what these may do.

Claims: `sub` names the bearer, `scope` (RFC 8693, section 4.2) holds grants parted by spaces, such as
`read write:crypto.`; `exp` and `aud` are demanded. HS256 is checked with a shared secret, RS256 and ES256 with the
public keys of a JWK Set (RFC 7517). The key is chosen by the algorithm, so a public key is never taken for a secret.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import jwt
import msgspec

from kvcast.errors import SettingsError, Unauthorized
from kvcast.tokens import Token, parse_grants

LEEWAY_SECONDS = 10  # by which the clocks of who signs and who checks may differ
SECRET_LEAST_BYTES = 32  # RFC 7518, section 3.2: no shorter than the hash
_RSA_LEAST_BITS = 2048  # RFC 7518, section 3.3
_BY_TYPE = {"RSA": "RS256", "EC": "ES256"}
_SUBJECT = re.compile(r"[\w.@:/|+-]{1,96}", re.ASCII)
_SCOPES_MOST = 100


class Key(msgspec.Struct, frozen=True):
    """kid: empty where it has none; material: what PyJWT checks with; identity: the same for the same key."""

    algorithm: str
    kid: str
    material: Any
    identity: bytes


class Verifier:
    """Checks JWTs against the keys of now."""

    def __init__(self, keys: tuple[Key, ...], audience: str, issuer: str) -> None:
        self._keys = keys
        self._audience = audience
        self._issuer = issuer
        self.identities = frozenset(key.identity for key in keys)

    def verify(self, text: str) -> Token:
        """Raises Unauthorized, which never repeats the token."""
        try:
            header = jwt.get_unverified_header(text)
        except jwt.InvalidTokenError:
            raise Unauthorized("The token is not known here, and it is no JWT; send a valid one.") from None
        for key in self._keys:
            if key.algorithm == header.get("alg") and ("kid" not in header or key.kid in ("", header["kid"])):
                claims = self._claims(text, key)
                if claims is not None:
                    return _token(claims, key)
        raise Unauthorized("The JWT is signed by no key that is known here, or with another algorithm.")

    def _claims(self, text: str, key: Key) -> dict[str, Any] | None:
        """What the JWT says, where `key` signed it."""
        try:
            claims: dict[str, Any] = jwt.decode(
                text, key.material, algorithms=[key.algorithm], audience=self._audience, issuer=self._issuer or None,
                leeway=LEEWAY_SECONDS, options={"require": ["exp", "aud", "sub"]},
            )
        except jwt.InvalidSignatureError:
            return None
        except jwt.ExpiredSignatureError:
            raise Unauthorized("The JWT has expired; get a new one.") from None
        except jwt.InvalidTokenError as error:
            # PyJWT's sentences name claims, and no values but of `iss` and `aud`, which are no secrets
            why = str(error).rstrip(".")
            raise Unauthorized(f"The JWT is refused: {why}; get one that is made for here.") from None
        return claims


def _token(claims: dict[str, Any], key: Key) -> Token:
    subject, scope = claims["sub"], claims.get("scope", "")
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        raise Unauthorized("The JWT's sub is no plain name of up to 96 letters, digits and .@:/|+-_ signs.")
    if not isinstance(scope, str) or len(scope.split()) > _SCOPES_MOST:
        raise Unauthorized("The JWT's scope is no text of scopes parted by spaces, such as `read write:crypto.`.")
    grants: list[tuple[str, str]] = []
    for part in scope.split():
        try:
            grants += parse_grants(part)
        except SettingsError:
            continue  # a scope of another service
    # A name that no token of ours can have: theirs hold no colon.
    return Token(f"jwt:{subject}", tuple(grants), b"", int(claims["exp"]) + LEEWAY_SECONDS, key.identity)


def shared_secret(secret: str) -> Key:
    """Raises SettingsError."""
    raw = secret.encode()
    if len(raw) < SECRET_LEAST_BYTES:
        raise SettingsError(
            f"KVCAST_JWT_SECRET is shorter than {SECRET_LEAST_BYTES} bytes; `openssl rand -hex 32` makes a long one."
        )
    return Key("HS256", "", raw, hashlib.sha256(raw).digest())


def public_keys(text: str) -> tuple[Key, ...]:
    """The keys of a JWK Set, as JSON. Raises SettingsError."""
    try:
        described = json.loads(text)["keys"]
        keys = tuple(_public_key(one) for one in described if one.get("use", "sig") == "sig")
    except SettingsError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
        raise SettingsError(
            f"KVCAST_JWT_JWKS is no JWK Set that can be read ({error!r}); see RFC 7517, section 5."
        ) from None
    if not keys:
        raise SettingsError("KVCAST_JWT_JWKS holds no key for signatures; add one of type RSA or EC.")
    return keys


def _public_key(described: dict[str, Any]) -> Key:
    algorithm = _BY_TYPE.get(described["kty"])
    if algorithm is None or described.get("alg", algorithm) != algorithm:
        raise SettingsError(
            "KVCAST_JWT_JWKS: a key is neither for RS256 nor for ES256; a secret belongs into KVCAST_JWT_SECRET."
        )
    if "d" in described:
        raise SettingsError("KVCAST_JWT_JWKS holds a private key; leave only the public part in it.")
    material = jwt.PyJWK(described, algorithm).key
    if algorithm == "RS256" and material.key_size < _RSA_LEAST_BITS:
        raise SettingsError(f"KVCAST_JWT_JWKS: an RSA key is shorter than {_RSA_LEAST_BITS} bits; use a longer one.")
    identity = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).digest()
    return Key(algorithm, described.get("kid", ""), material, identity)
