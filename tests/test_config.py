"""Settings: strict, with the name and the mend in every refusal, and the same again in a child process."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from kvcast.config import CURES, Settings
from kvcast.errors import SettingsError
from kvcast.tokens import Token, digest_of

TOKENS = "\n".join(Token(name, (("write", "a."), ("read", "")), digest_of(name)).entry() for name in ("ann", "bob"))
EVERYTHING = {
    "HOST": "::1", "PORT": "0", "KVCAST_DATA": "/data", "KVCAST_WORKERS": "64", "DATABASE_URL": "postgresql://h/d",
    "KVCAST_MIGRATION_URL": "postgres://o@h/d", "REDIS_URL": "rediss://h", "KVCAST_ADMIN_TOKEN": "tökén",
    "KVCAST_TOKENS": TOKENS, "KVCAST_TRUSTED_HOPS": "2",
    "KVCAST_ALLOWED_ORIGINS": "https://a.example, http://b.example:8080/",
    "KVCAST_EMBED_ORIGINS": "https://frames.example", "KVCAST_WRITE_LIMIT": "1 per hour",
    "KVCAST_BATCH_LIMIT": "2 per minute", "KVCAST_READ_LIMIT": "3 per second", "KVCAST_HISTORY_DAYS": "0",
    "KVCAST_HISTORY_WINDOW": "0", "KVCAST_CACHE_TTL_SECONDS": "60.5", "KVCAST_L1_MAX_BYTES": "0",
    "KVCAST_VALUE_MAX_BYTES": "1", "KVCAST_BODY_MAX_BYTES": "1024", "KVCAST_BATCH_MAX_BYTES": "1024",
    "KVCAST_BATCH_MAX_ITEMS": "1", "KVCAST_BODY_TIMEOUT_SECONDS": "0.1", "KVCAST_QUEUE_MAX_ITEMS": "1",
    "KVCAST_MAX_KEYS": "1", "KVCAST_POOL_SIZE": "2", "KVCAST_SOCKET_MAX_KEYS": "1", "KVCAST_SOCKET_MAX_COVERED": "1",
    "KVCAST_SOCKETS_PER_ADDRESS": "1", "KVCAST_SOCKETS_MAX": "1", "KVCAST_SOCKET_QUEUE_MAX": "16",
    "KVCAST_HEARTBEAT_SECONDS": "0.1", "KVCAST_SEND_TIMEOUT_SECONDS": "0.1", "KVCAST_SWEEP_SECONDS": "0.05",
    "KVCAST_DRAIN_SECONDS": "0", "KVCAST_SERVER_NAME": "push-1", "KVCAST_LOG_LEVEL": "debug",
    "KVCAST_ACCESS_LOG": "1", "KVCAST_LOG_FORMAT": "json", "KVCAST_DELETION_COST": "1",
    "KVCAST_MANAGEMENT_PORT": "8001",
    "KVCAST_TEST_DISABLE": "guard, sweep",
}
SECRETS = ("DATABASE_URL", "KVCAST_MIGRATION_URL", "REDIS_URL", "KVCAST_ADMIN_TOKEN", "KVCAST_TOKENS")


def refusal(environment: Mapping[str, str]) -> str:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment(environment)
    return refused.value.message


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()
    assert Settings().environment() == {}
    assert Settings.from_environment(dict.fromkeys(EVERYTHING, "  ")) == Settings()


def test_every_setting_is_read_and_reaches_a_child() -> None:
    assert set(EVERYTHING) == {spec.metadata["name"] for spec in fields(Settings)}
    settings = Settings.from_environment(EVERYTHING)
    assert all(getattr(settings, spec.name) != spec.default for spec in fields(Settings))
    assert settings.environment().keys() == EVERYTHING.keys()
    assert Settings.from_environment(settings.environment()) == settings


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "65536"), ("PORT", "-1"), ("PORT", "8000.0"), ("PORT", "0x10"), ("PORT", "eighty"),
        ("KVCAST_WORKERS", "0"), ("KVCAST_WORKERS", "65"), ("KVCAST_TRUSTED_HOPS", "-1"),
        ("KVCAST_TRUSTED_HOPS", "11"), ("KVCAST_ACCESS_LOG", "yes"), ("KVCAST_BODY_TIMEOUT_SECONDS", "0"),
        ("KVCAST_BODY_TIMEOUT_SECONDS", "nan"), ("KVCAST_BODY_TIMEOUT_SECONDS", "inf"),
        ("KVCAST_BODY_TIMEOUT_SECONDS", "10s"), ("KVCAST_VALUE_MAX_BYTES", "1048577"),
        ("KVCAST_VALUE_MAX_BYTES", "64k"), ("KVCAST_WRITE_LIMIT", "0 per second"), ("KVCAST_WRITE_LIMIT", "many"),
        ("KVCAST_WRITE_LIMIT", "1/second"), ("KVCAST_READ_LIMIT", "1 per day"), ("KVCAST_ALLOWED_ORIGINS", "*"),
        ("KVCAST_ALLOWED_ORIGINS", "example.org"), ("KVCAST_ALLOWED_ORIGINS", "https://*.example.org"),
        ("KVCAST_ALLOWED_ORIGINS", "https://a.example/path"), ("KVCAST_TEST_DISABLE", "gravity"),
        ("DATABASE_URL", "mysql://h/d"), ("DATABASE_URL", "h/d"), ("REDIS_URL", "http://h"),
        ("REDIS_URL", "redis//h"), ("KVCAST_MIGRATION_URL", "sqlite:///x"), ("KVCAST_TOKENS", "bot write secret"),
        ("KVCAST_LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_value_is_refused_with_its_name_and_the_mend(name: str, value: str) -> None:
    message = refusal({name: value})
    assert message.startswith(name)
    assert message.endswith(".")
    assert re.search("; give (a|one of|names|exact)|makes one", message)
    if name in SECRETS:
        assert value not in message


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_may_stand_in_a_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "secret"
    path.write_text(EVERYTHING[name] + "\n", encoding="utf-8")
    from_file = Settings.from_environment({f"{name}_FILE": str(path)})
    assert from_file == Settings.from_environment({name: EVERYTHING[name]})
    assert "both set" in refusal({f"{name}_FILE": str(path), name: EVERYTHING[name]})
    assert f"{name}_FILE" in refusal({f"{name}_FILE": str(tmp_path / "absent")})
    path.write_bytes(b"\xff\xfe")
    assert f"{name}_FILE" in refusal({f"{name}_FILE": str(path)})


def test_what_is_no_secret_has_no_file(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("1")
    assert Settings.from_environment({"PORT_FILE": str(tmp_path / "port")}).port == 8000


def test_secrets_are_not_shown() -> None:
    shown = repr(Settings.from_environment(EVERYTHING))
    assert "tökén" not in shown
    assert "postgresql://" not in shown
    assert digest_of("ann").hex() not in shown


def test_the_admin_token_is_one_of_the_accepted() -> None:
    accepted = Settings.from_environment({"KVCAST_ADMIN_TOKEN": "x", "KVCAST_TOKENS": TOKENS}).accepted_tokens()
    assert [token.name for token in accepted] == ["admin", "ann", "bob"]
    assert Settings().accepted_tokens() == ()


def test_a_cure_is_on_unless_a_test_switches_it_off() -> None:
    settings = Settings.from_environment({"KVCAST_TEST_DISABLE": "guard sweep"})
    assert {cure for cure in CURES if not settings.cured(cure)} == {"guard", "sweep"}
    assert all(map(Settings().cured, CURES))
