"""JWTs and key sets as an identity provider makes them."""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

SECRET = "a-shared-secret-of-the-tests-with-enough-bytes"
AUDIENCE = "kvcast"


def claims(**changes: Any) -> dict[str, Any]:
    """Good ones; None takes one out."""
    good = {"sub": "ann@desk", "aud": AUDIENCE, "exp": time.time() + 300, "scope": "openid read write:crypto."}
    return {name: value for name, value in (good | changes).items() if value is not None}


class Signer:
    """A key pair of an identity provider."""

    def __init__(self, algorithm: str, kid: str) -> None:
        self.algorithm = algorithm
        self.kid = kid
        self.key: Any = (
            rsa.generate_private_key(65_537, 2048) if algorithm == "RS256" else ec.generate_private_key(ec.SECP256R1())
        )

    def sign(self, **changes: Any) -> str:
        return jwt.encode(claims(**changes), self.key, self.algorithm, headers={"kid": self.kid})

    def described(self, *, private: bool = False) -> dict[str, Any]:
        """As a member of a JWK Set."""
        kind = RSAAlgorithm if self.algorithm == "RS256" else ECAlgorithm
        text = kind.to_jwk(self.key if private else self.key.public_key())
        return {**json.loads(text), "kid": self.kid, "use": "sig", "alg": self.algorithm}


def key_set(*signers: Signer) -> str:
    return json.dumps({"keys": [signer.described() for signer in signers]})


def shared(algorithm: str = "HS256", secret: str = SECRET, **changes: Any) -> str:
    return jwt.encode(claims(**changes), secret, algorithm)
