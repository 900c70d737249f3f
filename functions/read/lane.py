"""`GET /get/<key>` of a value that is in memory, answered without Flask, a WSGI environ or a list of headers.

What is not in memory, or wrong in itself, is left to the view, so that only the 200, the 304 and the limit are answered
here too: alike byte for byte, as tests/functions/read/test_lane.py says, and in the log. Answers are counted once for
all that were ready together.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from kvcast.errors import KvcastError
from kvcast.tokens import require_reading
from kvcast.web import Environ, FunctionApp
from kvcast.web.answers import JSON, NOSNIFF, STATUS_LINES, error_answer
from kvcast.web.requests import etags

from functions.callers import RATE_LINES, Callers, Tally, answer_lines
from functions.plain_connection import ANSWERED, Pending, PlainConnection, header_lines
from functions.plain_requests import Plain
from functions.read.l1 import Entry
from functions.read.lookup import Lookup

ROUTE = "/get/<path:key>"
_PATH = "/get/"
_OK = STATUS_LINES[200]
_UNCHANGED = STATUS_LINES[304]
_ETAG_LINES = header_lines([("ETag", "%s"), ("X-Cache", "l1")])
_OK_LINES = header_lines([JSON]) + _ETAG_LINES + header_lines([("Content-Length", "%d"), NOSNIFF]) + RATE_LINES
_UNCHANGED_LINES = _ETAG_LINES + header_lines([NOSNIFF]) + RATE_LINES


class Lane:
    """lookup: gives the one of now, which is another after a restore."""

    def __init__(self, app: FunctionApp, lookup: Callable[[], Lookup]) -> None:
        self._observer = app.observer
        self._lookup = lookup
        self._needs_token = app.settings.read_auth == "token"
        self._limit = app.limit("read", app.settings.read_limit)
        self._callers = Callers(app, self._limit, lambda _environ: True)
        self._tally = Tally(app.observer, ROUTE, lambda number: lookup().count_held(number))

    def take(self, plain: Plain, connection: PlainConnection) -> Pending | None:
        """Answer the request, or return None where the view has to."""
        if not plain.path.startswith(_PATH) or plain.method != "GET":
            return None
        started = time.perf_counter()
        caller = self._callers.of(plain.block)
        entry = self._lookup().held(plain.path[len(_PATH) :])
        if caller is None or entry is None:
            return None
        try:
            if self._needs_token:
                require_reading(caller.token, (entry.change.key,))
            status = 304 if _is_known(entry, plain) else 200
        except KvcastError:
            return None
        environ = self._callers.environ(plain, connection)
        further = self._callers.further(caller, environ)
        count, resets_at = self._limit.count(caller.counted_as or self._limit.counted_as(environ))
        told = self._limit.told(count, resets_at)
        refusal = self._limit.refusal(count, resets_at)
        if refusal is not None:
            answer = error_answer(refusal)
            self._observer.done(environ, ROUTE, answer.status, time.perf_counter() - started)
            head = connection.head(STATUS_LINES[answer.status])
            connection.send(head, answer_lines(answer, told, further), answer.body)
        else:
            self._note(status, environ, time.perf_counter() - started)
            self._send(connection, entry, status, told, further)
        return ANSWERED

    @staticmethod
    def _send(
        connection: PlainConnection, entry: Entry, status: int, told: tuple[int, int, int], further: str
    ) -> None:
        if status == 200:
            connection.send(
                connection.head(_OK), _OK_LINES % (entry.etag, len(entry.body), *told) + further, entry.body
            )
        else:
            connection.send(connection.head(_UNCHANGED), _UNCHANGED_LINES % (entry.etag, *told) + further, b"")

    def _note(self, status: int, environ: Environ, seconds: float) -> None:
        if self._observer.traces:
            self._lookup().count_held(1)
            self._observer.done(environ, ROUTE, status, seconds)
        else:
            self._tally.add(status, seconds)


def _is_known(entry: Entry, plain: Plain) -> bool:
    """Whether the client has this rev, as If-None-Match says. Raises InvalidRequest."""
    given = plain.block.fields.get("HTTP_IF_NONE_MATCH")
    if given is None or given == entry.etag:
        return given is not None
    matched = etags(plain.block.fields, "HTTP_IF_NONE_MATCH", weak_allowed=True)
    return matched == "*" or (isinstance(matched, list) and entry.change.rev in matched)
