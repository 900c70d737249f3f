"""Tokens that others sign: what is taken, what is refused, and that the reason never repeats the token."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from kvcast.config import Settings
from kvcast.errors import SettingsError, Unauthorized
from kvcast.jwts import LEEWAY_SECONDS
from kvcast.tokens import Keyring
from tests.polling import eventually
from tests.security.signing import SECRET, Signer, key_set, shared

RSA = Signer("RS256", "2026-01")
EC = Signer("ES256", "2026-02")


def keyring(**environment: str) -> Keyring:
    settings = Settings.from_environment(environment)
    return Keyring(settings.accepted_tokens(), settings.verifier())


BOTH = keyring(KVCAST_JWT_SECRET=SECRET, KVCAST_JWT_JWKS=key_set(RSA, EC), KVCAST_ADMIN_TOKEN="opaque")


def refusal(text: str, of: Keyring = BOTH) -> str:
    with pytest.raises(Unauthorized) as caught:
        of.identify(f"Bearer {text}")
    message = caught.value.message
    assert not any(part and part in message for part in text.split(".") if len(part) > 3), message
    return message


@pytest.mark.parametrize("sign", [shared, RSA.sign, EC.sign], ids=["HS256", "RS256", "ES256"])
def test_scopes_and_prefixes_are_as_those_of_our_own_tokens(sign: Any) -> None:
    token = BOTH.identify(f"Bearer {sign()}")
    assert token is not None
    assert token.name == "jwt:ann@desk"
    assert token.allows("read", "gold")
    assert token.allows("write", "crypto.btc")
    assert not token.allows("write", "gold")
    assert not token.allows("admin")
    assert BOTH.find("opaque").name == "admin"


def test_a_scope_of_another_service_grants_nothing() -> None:
    token = BOTH.find(shared(scope="openid email admin:write adminx"))
    assert not any(token.allows(scope, "gold") for scope in ("read", "write", "admin"))


@pytest.mark.parametrize("gone", ["exp", "aud", "sub"])
def test_each_claim_that_is_demanded(gone: str) -> None:
    changes: dict[str, Any] = {gone: None}
    assert gone in refusal(shared(**changes))


def test_times_are_kept_with_a_leeway() -> None:
    now = time.time()
    assert BOTH.find(shared(exp=now - LEEWAY_SECONDS / 2))
    assert "expired" in refusal(shared(exp=now - LEEWAY_SECONDS - 2))
    assert BOTH.find(shared(nbf=now + LEEWAY_SECONDS / 2))
    assert "not yet valid" in refusal(shared(nbf=now + LEEWAY_SECONDS + 5))
    assert BOTH.find(shared(iat=now + LEEWAY_SECONDS / 2))
    assert "not yet valid" in refusal(shared(iat=now + LEEWAY_SECONDS + 5))


def test_audience_and_issuer() -> None:
    assert "udience" in refusal(shared(aud="another"))
    assert BOTH.find(shared(aud=["another", "kvcast"]))
    strict = keyring(KVCAST_JWT_SECRET=SECRET, KVCAST_JWT_ISSUER="https://id.example", KVCAST_JWT_AUDIENCE="prices")
    assert strict.find(shared(aud="prices", iss="https://id.example"))
    assert "ssuer" in refusal(shared(aud="prices", iss="https://id.example.evil"), strict)
    assert "iss" in refusal(shared(aud="prices"), strict)


def segment(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", "HS384", "RS512", "PS256", "EdDSA"])
def test_no_other_algorithm_is_taken(algorithm: str) -> None:
    _, body, signature = shared().split(".")
    other = segment({"alg": algorithm, "typ": "JWT"})
    for forged in (f"{other}.{body}.", f"{other}.{body}.{signature}"):
        refusal(forged)


def test_a_header_without_an_algorithm_is_refused() -> None:
    _, body, signature = shared().split(".")
    refusal(f"{segment({'typ': 'JWT'})}.{body}.{signature}")


def test_an_exp_beyond_all_floats_is_far_away() -> None:
    token = BOTH.find(shared(exp=10**400))
    assert BOTH.holds(token)


def test_a_public_key_is_never_taken_for_a_secret() -> None:
    public = RSA.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    body = shared().split(".")[1]
    head = segment({"alg": "HS256", "kid": RSA.kid, "typ": "JWT"})
    for secret in (public, public.strip(), key_set(RSA).encode(), json.dumps(RSA.described()).encode()):
        signature = base64.urlsafe_b64encode(hmac.digest(secret, f"{head}.{body}".encode(), hashlib.sha256)).decode()
        refusal(f"{head}.{body}.{signature.rstrip('=')}")


def test_a_key_that_the_token_itself_brings_is_not_used() -> None:
    own = Signer("RS256", RSA.kid)
    for headers in ({"jwk": own.described()}, {"jku": "https://evil.example/jwks"}, {"x5u": "https://evil.example"}):
        refusal(jwt.encode({"sub": "x", "aud": "kvcast", "exp": time.time() + 60}, own.key, "RS256", headers=headers))


def test_a_changed_claim_or_signature_is_refused() -> None:
    head, body, signature = RSA.sign().split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    refusal(f"{head}.{segment(claims | {'scope': 'admin'})}.{signature}")
    refusal(f"{head}.{body}.{signature[:-4]}AAAA")
    refusal(f"{head}.{body}.")


def test_keys_rotate_and_a_token_of_the_old_one_ends() -> None:
    before, after = Signer("ES256", "a"), Signer("ES256", "b")
    ring = keyring(KVCAST_JWT_JWKS=key_set(before))
    sent = before.sign()
    old = ring.identify(f"Bearer {sent}")
    assert old is not None
    refusal(after.sign(), ring)
    settings = Settings.from_environment({"KVCAST_JWT_JWKS": key_set(before, after)})
    ring.replace((), settings.verifier())
    assert ring.holds(old)
    assert ring.find(after.sign())
    settings = Settings.from_environment({"KVCAST_JWT_JWKS": key_set(after)})
    ring.replace((), settings.verifier())
    assert not ring.holds(old)
    refusal(before.sign(), ring)
    refusal(sent, ring)  # which was accepted, and remembered


def test_what_was_accepted_is_not_remembered_beyond_its_time() -> None:
    header = f"Bearer {shared(exp=time.time() - LEEWAY_SECONDS + 3)}"
    found = BOTH.identify(header)
    assert found is not None
    assert found is BOTH.identify(header)
    assert BOTH.holds(found)

    def refused() -> bool:
        try:
            return BOTH.identify(header) is None
        except Unauthorized:
            return True

    eventually(refused)
    assert not BOTH.holds(found)


@pytest.mark.parametrize("subject", ["", "a b", "a\nb", "x" * 97, "\u200badmin", 7, None, ["a"]])
def test_a_subject_that_is_no_plain_name_is_refused(subject: Any) -> None:
    refusal(shared(sub=subject))


@given(st.text(max_size=40).map(lambda text: f"{text}.x.y") | st.text(alphabet='aA.=-_{}"', max_size=60))
def test_any_text_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(Unauthorized):
        BOTH.find(text)


def test_an_exp_that_is_no_time_is_refused() -> None:
    times: list[Any] = ["soon", math.nan, [1], {}, "1e400"]
    for exp in times:
        head, body = segment({"alg": "HS256"}), segment({"sub": "a", "aud": "kvcast", "exp": exp})
        signature = base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), f"{head}.{body}".encode(), hashlib.sha256))
        refusal(f"{head}.{body}.{signature.decode().rstrip('=')}")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"KVCAST_JWT_SECRET": "short"}, "KVCAST_JWT_SECRET is shorter than 32 bytes"),
        ({"KVCAST_JWT_JWKS": "{"}, "KVCAST_JWT_JWKS is no JWK Set"),
        ({"KVCAST_JWT_JWKS": "[]"}, "KVCAST_JWT_JWKS is no JWK Set"),
        ({"KVCAST_JWT_JWKS": '{"keys":[]}'}, "KVCAST_JWT_JWKS holds no key"),
        ({"KVCAST_JWT_JWKS": '{"keys":[{"kty":"oct","k":"AAAA"}]}'}, "a secret belongs into KVCAST_JWT_SECRET"),
        ({"KVCAST_JWT_JWKS": '{"keys":[{"kty":"RSA"}]}'}, "KVCAST_JWT_JWKS is no JWK Set"),
        ({"KVCAST_JWT_JWKS": json.dumps({"keys": [EC.described(private=True)]})}, "holds a private key"),
    ],
)
def test_a_bad_setting_is_refused_in_a_sentence(environment: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(environment).verifier()
    assert said in caught.value.message


def test_a_short_rsa_key_is_refused() -> None:
    short = json.loads(RSAAlgorithm.to_jwk(rsa.generate_private_key(65_537, 1024).public_key()))
    with pytest.raises(SettingsError, match="shorter than 2048 bits"):
        Settings.from_environment({"KVCAST_JWT_JWKS": json.dumps({"keys": [short]})}).verifier()
