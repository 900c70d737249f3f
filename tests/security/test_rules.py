"""docs/security.md names a test for each rule; and the rules that are best read off the code."""

from __future__ import annotations

import hmac
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kvcast.config import Settings
from kvcast.tokens import Keyring, Token, digest_of

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/security.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", DOCUMENT)


def test_each_rule_names_a_test() -> None:
    _, _, table = DOCUMENT.partition("## Each rule and its tests")
    rows = [row for row in table.splitlines() if row.startswith("| ")][1:]
    assert len(rows) > 20
    for row in rows:
        assert "::test_" in row, row


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_the_named_tests_are_there(path: str, name: str) -> None:
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


def test_the_example_of_a_jwt_makes_one_that_is_taken() -> None:
    (script,) = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-euc", f'{script}\necho "$KVCAST_JWT_SECRET"'], capture_output=True, text=True, check=True, timeout=120,
        env={**os.environ, "PATH": path},
    )
    text, secret = done.stdout.split()
    settings = Settings.from_environment({"KVCAST_JWT_SECRET": secret})
    token = Keyring(settings.accepted_tokens(), settings.verifier()).find(text)
    assert token.name == "jwt:feed-1"
    assert token.allows("write", "crypto.btc")
    assert not token.allows("write", "gold")


def test_tokens_are_compared_by_their_digests_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, whichever fits, each as bytes of one length: nothing is learnt from how long it takes."""
    compared: list[tuple[bytes, bytes]] = []
    genuine = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return genuine(one, other)

    monkeypatch.setattr("kvcast.tokens.hmac.compare_digest", watched)
    known = tuple(Token(name, (("read", ""),), digest_of(name)) for name in ("a", "b", "c"))
    ring = Keyring(known)
    for sent in ("a", "c"):
        compared.clear()
        assert ring.find(sent).name == sent
        assert [one for one, _ in compared] == [token.digest for token in known]
        assert {len(part) for pair in compared for part in pair} == {32}
