"""Tokens and keys that change while a function runs: the files that hold them are looked at again and again.

So a token is revoked, or a signing key rotated, without a restart: Kubernetes renews a mounted Secret by itself.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from kvcast.config import Settings
from kvcast.errors import SettingsError
from kvcast.loops import start_loop
from kvcast.tokens import Keyring, Token

NAMES = ("KVCAST_ADMIN_TOKEN", "KVCAST_TOKENS", "KVCAST_JWT_SECRET", "KVCAST_JWT_JWKS")
LOOK_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Renewal:
    """Keeps `keyring` as the files of `environment` say."""

    def __init__(self, keyring: Keyring, environment: Mapping[str, str] | None = None) -> None:
        self._keyring = keyring
        self._environment = os.environ if environment is None else environment
        self._paths = [Path(path) for name in NAMES if (path := self._environment.get(f"{name}_FILE"))]
        self._seen = self._look()

    def start(self) -> None:
        if self._paths:
            start_loop("token-renewal", self._run)

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            self.renew()

    def renew(self) -> None:
        """Read the files again if one has changed; where they cannot be used, what was read before stays."""
        found = self._look()
        if found == self._seen:
            return
        self._seen = found
        try:
            settings = Settings.from_environment(self._environment)
            before = self._keyring.tokens()
            self._keyring.replace(settings.accepted_tokens(), settings.verifier())
        except SettingsError as error:
            _log.error("The tokens were not read again, and those from before stay. %s", error.message)
        else:
            told = _difference(before, settings.accepted_tokens())
            _log.info("The tokens were read again, as one of their files has changed: %s.", told)

    def _look(self) -> list[bytes | None]:
        """What tells the files' contents. Their times would not: one changed twice in a tick of the clock keeps its."""
        found: list[bytes | None] = []
        for path in self._paths:
            try:
                found.append(sha256(path.read_bytes()).digest())
            except OSError:
                found.append(None)
        return found


def _difference(before: tuple[Token, ...], now: tuple[Token, ...]) -> str:
    """Which tokens are new and which are gone, by name. One whose text or grants have changed is both."""
    new = [one.name for one in now if one not in before]
    gone = [one.name for one in before if one not in now]
    told = [f"{kind} {', '.join(sorted(names))}" for kind, names in (("new", new), ("gone", gone)) if names]
    return "; ".join(told) or "no token is new or gone"
