"""Who sends requests that are answered without a view: what a header block says of it is looked up by the block."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import gevent

from kvcast.errors import KvcastError
from kvcast.tokens import Token
from kvcast.web import Answer, Environ, FunctionApp
from kvcast.web.answers import NOSNIFF
from kvcast.web.cors import allowing
from kvcast.web.limiting import Limit
from kvcast.web.observing import Observer

from functions.plain_connection import PlainConnection, header_lines
from functions.plain_requests import Block, Plain

RATE_LINES = "RateLimit-Limit: %d\r\nRateLimit-Remaining: %d\r\nRateLimit-Reset: %d\r\n"  # of what Limit.told tells
_CALLERS_MOST = 2000


class Caller(NamedTuple):
    """counted_as: the name under which its calls are limited; empty: its address decides. further: ends each head."""

    token: Token | None
    counted_as: str
    further: str


class Callers:
    """Those of one function, as long as its tokens stay the same.

    may_pass: whether requests with such fields may be answered without a view; where it raises KvcastError, neither.
    """

    def __init__(self, app: FunctionApp, limit: Limit, may_pass: Callable[[Environ], bool]) -> None:
        self._keyring = app.keyring
        self._observer = app.observer
        self._allowed_origins = app.settings.allowed_origins
        self._limit = limit
        self._may_pass = may_pass
        self._name_client = app.behind_proxies(lambda _environ, _start: [])
        self._known: dict[Block, Caller | None] = {}
        self._known_of = app.keyring.generation

    def of(self, block: Block) -> Caller | None:
        """None where a view has to answer."""
        if self._known_of != self._keyring.generation:  # a token may have been revoked
            self._known.clear()
            self._known_of = self._keyring.generation
        return self._known[block] if block in self._known else self._learn(block)

    def further(self, caller: Caller, environ: Environ) -> str:
        """What ends the head of the answer to a request of this `environ`."""
        if self._observer.traces or "HTTP_X_REQUEST_ID" in environ:
            return header_lines(self._observer.named(environ)) + caller.further
        return caller.further

    def environ(self, plain: Plain, connection: PlainConnection) -> Environ:
        """As much of it as a line in the log tells, and as tells the client."""
        environ: Environ = {
            "REQUEST_METHOD": plain.method, "PATH_INFO": plain.path, "REMOTE_ADDR": connection.address, **plain.varied
        }
        self._name_client(environ, _nothing)
        return environ

    def _learn(self, block: Block) -> Caller | None:
        if len(self._known) >= _CALLERS_MOST:
            self._known.clear()
        caller = self._known[block] = self._caller(block)
        return caller

    def _caller(self, block: Block) -> Caller | None:
        environ: Environ = dict(block.fields)
        try:
            if not self._may_pass(environ):
                return None
            token = self._keyring.identify(environ.get("HTTP_AUTHORIZATION"))
        except KvcastError:
            return None
        if token is not None and token.signed_by:  # a JWT ends by itself, and what is remembered here would not
            return None
        further = header_lines(allowing(environ, self._allowed_origins))
        return Caller(token, self._limit.counted_as(environ) if token else "", further)


class Tally:
    """Answers of one route, counted once for all that are ready together. then: is told how many."""

    def __init__(self, observer: Observer, route: str, then: Callable[[int], object] = lambda _number: None) -> None:
        self._observer = observer
        self._route = route
        self._then = then
        self._seconds: dict[int, list[float]] = {}  # by status

    def add(self, status: int, seconds: float) -> None:
        if not self._seconds:
            gevent.get_hub().loop.run_callback(self._count)
        self._seconds.setdefault(status, []).append(seconds)

    def _count(self) -> None:
        ready, self._seconds = self._seconds, {}
        for status, seconds in ready.items():
            self._then(len(seconds))
            self._observer.done_many(self._route, status, seconds)


def answer_lines(answer: Answer, told: tuple[int, int, int], further: str) -> str:
    """The head of `answer`. told: by its client's limit."""
    lines = header_lines([*answer.headers, ("Content-Length", str(len(answer.body))), NOSNIFF])
    return lines + RATE_LINES % told + further


def _nothing(*_arguments: object) -> None:
    pass
