"""What every session of a push worker uses."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from kvcast.bus.workers import WorkerReport
from kvcast.config import Settings
from kvcast.errors import Forbidden, InvalidRequest, TooManyRequests
from kvcast.messages import Subscribe, Unsubscribe
from kvcast.metrics import HANDED_OVER, RESUMED
from kvcast.tokens import Keyring, Token, require_reading
from kvcast.web import Environ

from functions.push.flusher import Flusher
from functions.push.frames import Frame, control_frame
from functions.push.hub import Hub
from functions.push.joining import Joiner
from functions.push.viewer import Viewer


@dataclass(frozen=True)
class Parts:
    settings: Settings
    keyring: Keyring
    hub: Hub
    joiner: Joiner
    flusher: Flusher
    server_name: str
    report: WorkerReport
    open_by_address: Counter[str] = field(default_factory=Counter)

    def hello(self) -> Frame:
        return control_frame(
            "hello",
            epoch=self.hub.epoch,
            heartbeat=self.settings.heartbeat_seconds,
            server=self.server_name,
            time=time.time(),
        )

    def admit(self, address: str) -> None:
        """Count a connection of `address`; `leave` must follow. Raises TooManyRequests."""
        if len(self.hub.viewers) >= self.settings.sockets_max:
            raise TooManyRequests("This server holds as many sockets as it may; connect again later.")
        if self.open_by_address[address] >= self.settings.sockets_per_address:
            raise TooManyRequests("Too many sockets from one address; share one socket between pages.")
        self.open_by_address[address] += 1

    def leave(self, address: str) -> None:
        self.open_by_address[address] -= 1
        if not self.open_by_address[address]:
            del self.open_by_address[address]

    @property
    def closed(self) -> bool:
        """Whether reading needs a token."""
        return self.settings.read_auth == "token"

    def subscribe(self, viewer: Viewer, wanted: Subscribe, token: Token | None) -> None:
        """Raises InvalidRequest with what is over a limit, Unauthorized, Forbidden, or what joining raises."""
        wanted = wanted.parsed()
        self.check_reading(wanted, token)
        names = len(wanted.keys) + len(wanted.prefixes) + len(wanted.categories)
        if not names:
            raise InvalidRequest("The subscribe names nothing; give keys, prefixes or categories.", code="bad_message")
        check_pace(wanted)
        known = (
            sum(key in viewer.keys for key in wanted.keys)
            + sum(prefix in viewer.prefixes for prefix in wanted.prefixes)
            + sum(category in viewer.categories for category in wanted.categories)
        )
        most = self.settings.socket_max_keys
        if viewer.watched + names - known > most:
            raise InvalidRequest(
                f"One socket watches at most {most} names; use a prefix, or unsub some.", code="too_many_keys"
            )
        if not viewer.watched and wanted.since and wanted.epoch in (None, self.hub.epoch):
            RESUMED.inc()
            self.report.add("resumed")
        self.joiner.join(viewer, wanted)

    def check_reading(self, wanted: Subscribe, token: Token | None) -> None:
        """Raises Unauthorized or Forbidden where reads need a token, and `token` does not cover all that is wanted."""
        if self.closed:
            require_reading(token, (*wanted.keys, *wanted.since), wanted.prefixes, wanted.categories)

    def handed_over(self, kind: str) -> None:
        """A viewer was sent elsewhere. kind: websocket or sse."""
        HANDED_OVER.labels(kind).inc()
        self.report.add("handedOver")

    def unsubscribe(self, viewer: Viewer, unwanted: Unsubscribe) -> None:
        """Raises InvalidKey."""
        unwanted = unwanted.parsed()
        self.hub.unwatch(viewer, unwanted.keys, unwanted.prefixes, unwanted.categories)


def check_pace(wanted: Subscribe) -> None:
    """Raises InvalidRequest."""
    if wanted.mode == "every" and wanted.max_rate:
        raise InvalidRequest("max_rate skips values, so it goes with mode latest only.", code="bad_message")


def public_scheme(environ: Environ, trusted_hops: int) -> str | None:
    """How browsers speak to the outermost of the trusted proxies; None where none says it. Traefik says wss and ws."""
    said = environ.get("HTTP_X_FORWARDED_PROTO", "").lower().split(",")
    if not trusted_hops or len(said) < trusted_hops:
        return None
    return {"https": "https", "wss": "https", "http": "http", "ws": "http"}.get(said[-trusted_hops].strip())


def check_origin(origin: str | None, host: str, scheme: str | None, allowed: frozenset[str]) -> None:
    """A browser's socket must come from our own pages or an allowed origin. Raises Forbidden.

    A client that sends no Origin is no browser, whose user another site could misuse. scheme: of our pages. Where that
    is https, whoever is between a browser and `http://` of our name could put a page there. The other way round a
    proxy is mistaken: a browser opens no ws:// from an https:// page.
    """
    if origin is None or origin.rstrip("/").lower() in allowed:
        return
    theirs, _, authority = origin.partition("://")
    schemes = ("https",) if scheme == "https" else ("http", "https")
    if theirs not in schemes or authority.lower() != host.lower():
        raise Forbidden("Pages of this origin may not open a socket here; add it to KVCAST_ALLOWED_ORIGINS.")
