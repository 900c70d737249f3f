"""What the log says of tokens that were read again: names, and never what is secret."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from kvcast.config import Settings
from kvcast.renewal import Renewal
from kvcast.tokens import Keyring, Token, digest_of, parse_grants


def entry(name: str, plain: str, grants: str = "read") -> str:
    return Token(name, parse_grants(grants), digest_of(plain)).entry()


def write(path: Path, lines: list[str]) -> None:
    """As if every change happened in one tick of the file system's clock."""
    path.write_text("\n".join(lines))
    os.utime(path, (1, 1))


def test_it_names_the_tokens_that_are_new_and_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokens, admin = tmp_path / "tokens", tmp_path / "admin"
    admin.write_text("secret-admin")
    write(tokens, [entry("ann", "secret-1"), entry("bob", "secret-2"), entry("cid", "secret-3")])
    environment = {"KVCAST_TOKENS_FILE": str(tokens), "KVCAST_ADMIN_TOKEN_FILE": str(admin)}
    ring = Keyring(Settings.from_environment(environment).accepted_tokens())
    renewal = Renewal(ring, environment)
    steps = [
        ([entry("ann", "secret-1"), entry("eve", "secret-4"), entry("dan", "secret-5")], "new dan, eve; gone bob, cid"),
        ([entry("ann", "secret-1"), entry("dan", "secret-5")], "gone eve"),
        ([entry("ann", "secret-1", "write"), entry("dan", "secret-6")], "new ann, dan; gone ann, dan"),
        (["# a word", entry("ann", "secret-1", "write"), entry("dan", "secret-6")], "no token is new or gone"),
    ]
    logger = logging.getLogger("kvcast.renewal")
    logger.addHandler(caplog.handler)
    logger.setLevel(logging.INFO)
    try:
        for lines, told in steps:
            caplog.clear()
            write(tokens, lines)
            renewal.renew()
            assert [record.getMessage() for record in caplog.records][:1] == [
                f"The tokens were read again, as one of their files has changed: {told}."
            ]
            assert "secret" not in caplog.text
            assert not any(digest_of(f"secret-{number}").hex() in caplog.text for number in range(7))
    finally:
        logger.removeHandler(caplog.handler)
        logger.setLevel(logging.NOTSET)
