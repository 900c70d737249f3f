"""Rate limits: Flask-Limiter on the routes, and the same counters for the fast path in front of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import ceil
from typing import Any

import limits
from flask import Flask, request
from flask_limiter import Limiter
from flask_limiter.errors import RateLimitExceeded

from kvcast.bus.counters import STORAGE_URI
from kvcast.errors import TooManyRequests, Unauthorized
from kvcast.tokens import Keyring
from kvcast.web.answers import Environ, Headers

_NAMES_MOST = 10_000


class Limit:
    """One limit of one scope, for a client: its token where it has a good one, else its address."""

    def __init__(self, limiter: Limiter, keyring: Keyring, scope: str, rate: str) -> None:
        self._limiter = limiter
        self._keyring = keyring
        self._item = limits.parse(rate)
        self._expiry_seconds = self._item.get_expiry()
        self._names: dict[str, str] = {}
        self.scope = scope
        self.rate = rate

    def client(self, environ: Environ) -> str:
        # A bad token must not buy a fresh allowance, so it counts for the address.
        try:
            token = self._keyring.identify(environ.get("HTTP_AUTHORIZATION"))
        except Unauthorized:
            token = None
        return f"token:{token.name}" if token else f"address:{environ.get('REMOTE_ADDR', '')}"

    def hit(self, environ: Environ) -> tuple[Headers, TooManyRequests | None]:
        """Count one call; return the RateLimit headers, and the refusal where the limit is passed."""
        count, resets_at = self.count(self.counted_as(environ))
        return rate_headers(*self.told(count, resets_at)), self.refusal(count, resets_at)

    def count(self, counted_as: str) -> tuple[int, float]:
        """Count one call; return the calls in this window, and when it ends, in Unix seconds."""
        counters = self._limiter.limiter.storage
        return counters.incr(counted_as, self._expiry_seconds), counters.get_expiry(counted_as)

    def told(self, count: int, resets_at: float) -> tuple[int, int, int]:
        """What the RateLimit headers say: the limit, the calls that remain, the seconds until they are full again."""
        amount = self._item.amount
        return told(amount, amount - count, resets_at)

    def refusal(self, count: int, resets_at: float) -> TooManyRequests | None:
        return None if count <= self._item.amount else too_many(self._item, resets_at)

    def counted_as(self, environ: Environ) -> str:
        """As `limits` names the count, so that Flask-Limiter's is the same; making it costs more than counting."""
        client = self.client(environ)
        name = self._names.get(client)
        if name is None:
            if len(self._names) >= _NAMES_MOST:
                self._names.clear()
            name = self._names[client] = self._item.key_for(client, self.scope)
        return name

    def decorate(self, view: Callable[..., Any]) -> Callable[..., Any]:
        """The same limit on a Flask view."""
        shared = self._limiter.shared_limit(self.rate, scope=self.scope, key_func=lambda: self.client(request.environ))
        return shared(view)


def install_limiter(app: Flask, *, redis_url: str) -> Limiter:
    """Flask-Limiter on `app`. redis_url: where counts are shared; empty counts in this process."""
    limiter = Limiter(
        key_func=lambda: f"address:{request.remote_addr}",
        app=app,
        storage_uri=STORAGE_URI,
        storage_options={"redis_url": redis_url},
        strategy="fixed-window",
    )

    @app.after_request
    def add_headers(response: Any) -> Any:
        current = limiter.current_limit
        if current is not None:
            figures = told(current.limit.amount, current.remaining, current.window.reset_time)
            for name, value in rate_headers(*figures):
                response.headers[name] = value
        return response

    return limiter


def from_exceeded(limiter: Limiter, error: RateLimitExceeded) -> TooManyRequests:
    """What Flask-Limiter refuses, in our words."""
    current = limiter.current_limit
    return too_many(error.limit.limit, current.window.reset_time if current else time.time() + 1)


def told(amount: int, remaining: int, resets_at: float) -> tuple[int, int, int]:
    """What `rate_headers` take. remaining: may be below 0; resets_at: Unix seconds."""
    return amount, max(0, remaining), max(0, ceil(resets_at - time.time()))


def rate_headers(amount: int, remaining: int, seconds: int) -> Headers:
    """https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ in its widespread form."""
    return [
        ("RateLimit-Limit", str(amount)), ("RateLimit-Remaining", str(remaining)), ("RateLimit-Reset", str(seconds)),
    ]


def too_many(rate: limits.RateLimitItem, reset_time: float) -> TooManyRequests:
    return TooManyRequests(
        f"More than {rate.amount} per {rate.GRANULARITY.name} from one client; "
        "wait as long as Retry-After says, or send values together to /batch.",
        retry_after_seconds=max(1, ceil(reset_time - time.time())),
    )
