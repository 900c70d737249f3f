"""Settings, read from the environment once and strictly: a bad value stops the start and names the mend."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from kvcast.errors import SettingsError
from kvcast.tokens import Token, admin_token, parse_tokens

CURES = frozenset({"publish", "guard", "sweep", "resync", "row_lock_rev", "discard", "drain", "l1_guard", "gap"})


def _text(raw: str) -> str:
    return raw


def _integer(least: int, most: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        if not re.fullmatch(r"[+-]?\d+", raw) or not least <= int(raw) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(raw)

    return parse


def _seconds(least: float, most: float) -> Callable[[str], float]:
    def parse(raw: str) -> float:
        try:
            value = float(raw)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise ValueError(f"a number of seconds from {least:g} to {most:g}")
        return value

    return parse


def _choice(*names: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        if raw.lower() not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return raw.lower()

    return parse


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        try:
            known = urlsplit(raw).scheme in schemes
        except ValueError:
            known = False
        if raw and not known:
            raise ValueError(f"a URL that starts with {' or '.join(s + '://' for s in schemes)}")
        return raw

    return parse


def _rate(raw: str) -> str:
    if not re.fullmatch(r"[1-9]\d* per (second|minute|hour)", raw):
        raise ValueError("a rate such as `1000 per second` (or minute, or hour)")
    return raw


def _origins(raw: str) -> frozenset[str]:
    origins = frozenset(item.rstrip("/") for item in re.split(r"[\s,]+", raw) if item)
    for origin in origins:
        if not re.fullmatch(r"https?://[A-Za-z0-9._:\[\]-]+", origin):
            raise ValueError("exact origins such as `https://example.org`, parted by spaces")
    return origins


def _cures(raw: str) -> frozenset[str]:
    names = frozenset(raw.replace(",", " ").split())
    if names - CURES:
        raise ValueError(f"names out of {', '.join(sorted(CURES))}")
    return names


def _setting(name: str, default: Any, parse: Callable[[str], Any], about: str, *, secret: bool = False) -> Any:
    metadata = {"name": name, "parse": parse, "about": about, "secret": secret}
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set. `Settings.from_environment()` reads it; tests build it directly."""

    host: str = _setting("HOST", "127.0.0.1", _text, "address to listen on")
    port: int = _setting("PORT", 8000, _integer(0, 65535), "port to listen on; 0 takes a free one")
    management_port: int = _setting(
        "KVCAST_MANAGEMENT_PORT", 0, _integer(0, 65535),
        "port of /healthz and /metrics for `kvcast serve`, which PORT then does not answer; 0: they are on PORT",
    )
    data: str = _setting("KVCAST_DATA", ".kvcast", _text, "folder of the local run's data")
    workers: int = _setting("KVCAST_WORKERS", 1, _integer(1, 64), "worker processes of a function")
    database_url: str = _setting(
        "DATABASE_URL", "", _url("postgresql", "postgres"), "PostgreSQL; empty: the local run starts its own",
        secret=True,
    )
    migration_url: str = _setting(
        "KVCAST_MIGRATION_URL", "", _url("postgresql", "postgres"),
        "PostgreSQL as the role that owns the schema; empty: DATABASE_URL", secret=True,
    )
    redis_url: str = _setting(
        "REDIS_URL", "", _url("redis", "rediss", "unix"), "Redis; empty: the local run starts its own", secret=True
    )
    admin_token: str = _setting(
        "KVCAST_ADMIN_TOKEN", "", _text, "token that may do everything; the local run makes and keeps one", secret=True
    )
    tokens: tuple[Token, ...] = _setting(
        "KVCAST_TOKENS", (), parse_tokens, "further tokens, as `kvcast token` prints them", secret=True
    )
    trusted_hops: int = _setting("KVCAST_TRUSTED_HOPS", 0, _integer(0, 10), "proxies in front, exactly")
    allowed_origins: frozenset[str] = _setting(
        "KVCAST_ALLOWED_ORIGINS", frozenset(), _origins, "further origins whose pages may call and open sockets"
    )
    embed_origins: frozenset[str] = _setting(
        "KVCAST_EMBED_ORIGINS", frozenset(), _origins, "origins whose pages may frame /viewer/<key>?embed=1"
    )
    write_limit: str = _setting("KVCAST_WRITE_LIMIT", "2000 per second", _rate, "writes of one client")
    batch_limit: str = _setting("KVCAST_BATCH_LIMIT", "200 per second", _rate, "batches of one client")
    read_limit: str = _setting("KVCAST_READ_LIMIT", "5000 per second", _rate, "reads of one client, per worker")
    history_days: int = _setting("KVCAST_HISTORY_DAYS", 7, _integer(0, 3650), "days that ticks are kept; 0 keeps none")
    history_window: int = _setting(
        "KVCAST_HISTORY_WINDOW", 1000, _integer(0, 100_000), "newest ticks of a key that Redis keeps"
    )
    cache_ttl_seconds: float = _setting(
        "KVCAST_CACHE_TTL_SECONDS", 3600.0, _seconds(60, 30 * 86_400), "how long Redis keeps a value after a write"
    )
    l1_max_bytes: int = _setting(
        "KVCAST_L1_MAX_BYTES", 64 * 2**20, _integer(0, 2**40), "hot values that a read worker holds"
    )
    value_max_bytes: int = _setting("KVCAST_VALUE_MAX_BYTES", 65_536, _integer(1, 2**20), "size of one value")
    body_max_bytes: int = _setting("KVCAST_BODY_MAX_BYTES", 131_072, _integer(1024, 2**24), "body, but for /batch")
    batch_max_bytes: int = _setting("KVCAST_BATCH_MAX_BYTES", 2**20, _integer(1024, 2**26), "body of /batch")
    batch_max_items: int = _setting("KVCAST_BATCH_MAX_ITEMS", 1000, _integer(1, 10_000), "elements of one batch")
    body_timeout_seconds: float = _setting(
        "KVCAST_BODY_TIMEOUT_SECONDS", 10.0, _seconds(0.1, 300), "how long a body may take to arrive"
    )
    queue_max_items: int = _setting(
        "KVCAST_QUEUE_MAX_ITEMS", 10_000, _integer(1, 10**6), "writes that may wait for a commit in one worker"
    )
    max_keys: int = _setting("KVCAST_MAX_KEYS", 10_000_000, _integer(1, 10**12), "keys in the whole store")
    pool_size: int = _setting("KVCAST_POOL_SIZE", 8, _integer(2, 200), "PostgreSQL connections of one worker")
    socket_max_keys: int = _setting("KVCAST_SOCKET_MAX_KEYS", 1000, _integer(1, 100_000), "keys one socket names")
    socket_max_covered: int = _setting(
        "KVCAST_SOCKET_MAX_COVERED", 100_000, _integer(1, 10**8), "keys that a prefix or category in a subscribe covers"
    )
    sockets_per_address: int = _setting(
        "KVCAST_SOCKETS_PER_ADDRESS", 1000, _integer(1, 10**6), "sockets of one address in one worker"
    )
    sockets_max: int = _setting("KVCAST_SOCKETS_MAX", 20_000, _integer(1, 10**6), "sockets of one worker")
    socket_queue_max: int = _setting(
        "KVCAST_SOCKET_QUEUE_MAX", 5000, _integer(16, 10**6), "frames that may wait for a slow viewer in mode every"
    )
    heartbeat_seconds: float = _setting("KVCAST_HEARTBEAT_SECONDS", 10.0, _seconds(0.1, 60), "between two hb")
    send_timeout_seconds: float = _setting(
        "KVCAST_SEND_TIMEOUT_SECONDS", 5.0, _seconds(0.1, 60),
        "how long a viewer may block before it is closed; other clients four times as long",
    )
    sweep_seconds: float = _setting("KVCAST_SWEEP_SECONDS", 1.0, _seconds(0.05, 60), "between two sweeps")
    drain_seconds: float = _setting("KVCAST_DRAIN_SECONDS", 20.0, _seconds(0, 300), "over which a drain closes sockets")
    server_name: str = _setting("KVCAST_SERVER_NAME", "", _text, "name in `hello`; empty: the host's name")
    deletion_cost: int = _setting(
        "KVCAST_DELETION_COST", 0, _integer(0, 1), "1: push tells Kubernetes how many connections its pod has"
    )
    log_level: str = _setting(
        "KVCAST_LOG_LEVEL", "info", _choice("debug", "info", "warning", "error"), "debug, info, warning or error"
    )
    log_format: Literal["json", "text"] = _setting(
        "KVCAST_LOG_FORMAT", "text", _choice("json", "text"), "json or text; the image sets json"
    )
    access_log: int = _setting(
        "KVCAST_ACCESS_LOG", 0, _integer(0, 1), "1 logs each request, and each frame that a logged write became"
    )
    disabled_cures: frozenset[str] = _setting(
        "KVCAST_TEST_DISABLE", frozenset(), _cures, "for tests only: cures to switch off"
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read every setting; `NAME_FILE` names a file that holds a secret. Raises SettingsError."""
        environment = os.environ if environment is None else environment
        values = {}
        for spec in fields(cls):
            raw = _raw(spec.metadata["name"], environment, secret=spec.metadata["secret"])
            if raw is not None:
                values[spec.name] = _parsed(spec.metadata, raw)
        return cls(**values)

    def environment(self) -> dict[str, str]:
        """The environment that makes a child process read these settings again."""
        result = {}
        for spec in fields(self):
            value = getattr(self, spec.name)
            default = None if spec.default is MISSING else spec.default
            if value != default:
                result[spec.metadata["name"]] = _rendered(value)
        return result

    def accepted_tokens(self) -> tuple[Token, ...]:
        return ((admin_token(self.admin_token),) if self.admin_token else ()) + self.tokens

    def cured(self, cure: str) -> bool:
        """Whether a cure of docs/guarantees.md is on, as it always is outside tests."""
        return cure not in self.disabled_cures


def _raw(name: str, environment: Mapping[str, str], *, secret: bool) -> str | None:
    value = environment.get(name)
    path = environment.get(f"{name}_FILE") if secret else None
    if path:
        if value:
            raise SettingsError(f"{name} and {name}_FILE are both set; keep one of them.")
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{name}_FILE: cannot read {path!r} ({error}); name a readable text file.") from None
    return value.strip() if value and value.strip() else None


def _parsed(metadata: Mapping[str, Any], raw: str) -> Any:
    try:
        return metadata["parse"](raw)
    except ValueError as error:
        shown = "its value" if metadata["secret"] else repr(raw)
        raise SettingsError(f"{metadata['name']}: {shown} is refused; give {error}.") from None


def _rendered(value: Any) -> str:
    if isinstance(value, frozenset):
        return " ".join(sorted(value))
    if isinstance(value, tuple):
        return "\n".join(token.entry() for token in value)
    return str(value)
