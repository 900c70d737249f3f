"""What doctor looks at, in the order in which a fault would spread."""

from __future__ import annotations

import argparse
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kvcast.cli.connection import RETRY_SECONDS, find_login
from kvcast.cli.doctor import Finding, State
from kvcast.cli.journey import follow
from kvcast.cli.login import may_write
from kvcast.cli.status import readiness
from kvcast.cli.stores import examine_stores
from kvcast.errors import KvcastError, Unauthorized

if TYPE_CHECKING:
    from kvcast.client import Client

SKEW_WARN_SECONDS = 1.0
SKEW_FAIL_SECONDS = 30.0


def examine(arguments: argparse.Namespace) -> Iterator[Finding]:
    """Every finding, as soon as it is there."""
    clocks: dict[str, float] = {}
    yield from examine_stores(clocks)
    try:
        yield from _server(arguments, clocks)
    except KvcastError as error:
        yield Finding("fail", "server", error.message)
    if clocks:
        yield _skew(clocks)


def _server(arguments: argparse.Namespace, clocks: dict[str, float]) -> Iterator[Finding]:
    from kvcast.client import Client

    login = find_login(arguments)
    client = Client(login.url, login.token, retry_seconds=RETRY_SECONDS)
    began = time.monotonic()
    ready, probes = readiness(client)
    took = (time.monotonic() - began) * 1000
    if ready:
        yield Finding("ok", "server", f"{client.url} ({login.source}) answered in {took:.0f} ms and is ready.")
    else:
        yield Finding("fail", "server", f"{client.url} ({login.source}) answered in {took:.0f} ms; it is not ready.")
    for name, outcome in probes.items():
        if outcome != "ok":
            yield Finding("fail", name, f"The server says: {outcome}")
    if client.url.startswith("http://") and not _is_loopback(client.url):
        yield Finding("warn", "server", "The connection is not encrypted, nor is the token on it; use https://.")
    key = f"{arguments.key_prefix}kvcast.doctor.{secrets.token_hex(6)}"
    token = _token(client, key)
    yield token
    yield from follow(client, key, clocks, may_write=token.state == "ok")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _token(client: Client, key: str) -> Finding:
    if client.transport.token is None:
        mend = "run `kvcast login`, or set KVCAST_TOKEN."
        return Finding("warn", "token", f"None is set, so nothing can be written; {mend}")
    try:
        if may_write(client, key):
            return Finding("ok", "token", f"The server knows it; its scopes allow to write {key}.")
    except Unauthorized as error:
        return Finding("fail", "token", f"{error.message} Run `kvcast login` with a token of this server.")
    except KvcastError as error:
        return Finding("fail", "token", f"It could not be checked: {error.message}")
    mend = "use one with scope write, or name a prefix that it may write with --key-prefix."
    return Finding("warn", "token", f"The server knows it, but its scopes do not allow to write {key}; {mend}")


def _skew(clocks: Mapping[str, float]) -> Finding:
    """The clocks of the server and the database against ours, and against each other."""
    ahead = {"this machine": 0.0, **clocks}
    between = max(ahead.values()) - min(ahead.values())
    told = ", ".join(f"{whose} {seconds:+.3f} s" for whose, seconds in clocks.items())
    if between < SKEW_WARN_SECONDS:
        return Finding("ok", "clocks", f"They agree: against this machine {told}.")
    mend = "run an NTP client on each machine; times shown to people are off by this much."
    state: State = "fail" if between >= SKEW_FAIL_SECONDS else "warn"
    return Finding(state, "clocks", f"They differ: against this machine {told}; {mend}")
