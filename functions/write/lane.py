"""The plainest `POST /add`, without a greenlet that waits for its commit.

A whole group is answered in one pass, by whom it was published; the connections' greenlets wait for what comes next
meanwhile. What a header block says is looked up by the block, and answers are counted once a group. That took a write
from 99 to 47 us of the worker's processor time (docs/performance.md).

What is not plain, or wrong in itself, is left to the view, so that only the 200, the limit and the queue that is full
are answered here too: byte for byte alike, as tests/functions/test_plain_connection.py says.
"""

from __future__ import annotations

import time
from threading import Event
from typing import NamedTuple

import gevent

from kvcast.errors import KvcastError, OutcomeUnknown, Overloaded
from kvcast.loops import start_loop
from kvcast.messages import Change, Write, decode_write
from kvcast.tokens import Token, require
from kvcast.web import FunctionApp
from kvcast.web.answers import JSON, NOSNIFF, STATUS_LINES, error_answer
from kvcast.web.requests import require_json

from functions.plain_connection import PlainConnection, header_lines
from functions.plain_requests import Block, Plain
from functions.write.committer import LATE, QUEUE_SECONDS, SLOW, WAIT_SECONDS, Committer, Result, Unit
from functions.write.views import one_answer

ROUTE = "/add"
# a request with any other field is the view's: such a field may mean a condition, a note, a key to repeat by
_PLAIN_FIELDS = frozenset(
    {
        "HTTP_HOST", "HTTP_AUTHORIZATION", "HTTP_CONNECTION", "HTTP_USER_AGENT", "HTTP_ACCEPT", "HTTP_ACCEPT_ENCODING",
        "HTTP_ACCEPT_LANGUAGE", "CONTENT_TYPE", "CONTENT_LENGTH",
    }
)
_LOOK_SECONDS = 0.5
_CALLERS_MOST = 2000
_OK = STATUS_LINES[200]
_RATE_LINES = "RateLimit-Limit: %d\r\nRateLimit-Remaining: %d\r\nRateLimit-Reset: %d\r\n"
_OK_LINES = header_lines([JSON, ("Content-Length", "%d"), NOSNIFF]) + _RATE_LINES


class Caller(NamedTuple):
    """What a header block says. counted_as: the name under which its calls are limited."""

    token: Token
    counted_as: str


class Lane:
    """The way of such requests from the socket to the committer and back."""

    def __init__(self, app: FunctionApp, committer: Committer) -> None:
        self._keyring = app.keyring
        self._observer = app.observer
        self._body_most = app.settings.body_max_bytes
        self._value_most = app.settings.value_max_bytes
        self._limit = app.limit("write", app.settings.write_limit)
        self._committer = committer
        self._callers: dict[Block, Caller | None] = {}
        self._learned_of = app.keyring.generation
        self._waiting: set[_Pending] = set()
        self._seconds: list[float] = []  # of the answers that are not counted yet

    def start(self) -> None:
        start_loop("late-answers", self._watch)

    def take(self, plain: Plain, connection: PlainConnection) -> _Pending | None:
        """Take the request on, or return None where the view has to answer it."""
        if plain.path != ROUTE or plain.method != "POST" or len(plain.body) > self._body_most:
            return None
        block = plain.block
        if self._learned_of != self._keyring.generation:  # a token may have been revoked
            self._callers.clear()
            self._learned_of = self._keyring.generation
        caller = self._callers[block] if block in self._callers else self._learn(block)
        if caller is None:
            return None
        try:
            write = decode_write(plain.body, self._value_most)
            require(caller.token, "write", write.key)
        except KvcastError:
            return None
        count, resets_at = self._limit.count(caller.counted_as)
        pending = _Pending(write, self, connection, count, resets_at)
        self._waiting.add(pending)
        try:
            refusal = self._limit.refusal(count, resets_at)
            if refusal is not None:
                raise refusal
            self._committer.queue(pending)
        except KvcastError as error:
            pending.finish([error])
        return pending

    def _learn(self, block: Block) -> Caller | None:
        if len(self._callers) >= _CALLERS_MOST:
            self._callers.clear()
        caller = self._callers[block] = self._caller(block)
        return caller

    def _caller(self, block: Block) -> Caller | None:
        if not _PLAIN_FIELDS.issuperset(block.fields):
            return None
        environ = dict(block.fields)
        try:
            require_json(environ)
            token = self._keyring.identify(environ.get("HTTP_AUTHORIZATION"))
        except KvcastError:
            return None
        if token is None or token.signed_by:  # a JWT ends by itself, and what is remembered here would not
            return None
        return Caller(token, self._limit.counted_as(environ))

    def answer(self, pending: _Pending, result: Result) -> None:
        """Send the answer. It must not wait: others of the group are answered after it."""
        self._waiting.discard(pending)
        seconds = time.perf_counter() - pending.received_at
        told = self._limit.told(pending.count, pending.resets_at)
        if isinstance(result, Change):
            body = one_answer([result])
            pending.send(_OK, _OK_LINES % (len(body), *told), body)
            if not self._seconds:
                gevent.get_hub().loop.run_callback(self._count)  # when the whole group is answered
            self._seconds.append(seconds)
        else:
            answer = error_answer(result)
            lines = header_lines([*answer.headers, ("Content-Length", str(len(answer.body))), NOSNIFF])
            pending.send(STATUS_LINES[answer.status], lines + _RATE_LINES % told, answer.body)
            self._observer.done({}, ROUTE, answer.status, seconds)

    def _count(self) -> None:
        seconds, self._seconds = self._seconds, []
        self._observer.done_many(ROUTE, 200, seconds)

    def _watch(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            self.answer_late_ones()

    def answer_late_ones(self) -> None:
        """A timer for each request would cost more than its answer, so all of them are looked at."""
        now = time.perf_counter()
        for pending in [one for one in self._waiting if one.received_at < now - QUEUE_SECONDS]:
            if pending.begin():  # its turn has not come, and shall not any more
                pending.finish([Overloaded(SLOW)])
            elif pending.received_at < now - WAIT_SECONDS:
                pending.finish([OutcomeUnknown(LATE)])


class _Pending(Unit):
    """One request under way. count, resets_at: of its client's limit, as they were when it came."""

    __slots__ = ("_begun", "_connection", "_event", "_is_sent", "_lane", "count", "resets_at")

    def __init__(self, write: Write, lane: Lane, connection: PlainConnection, count: int, resets_at: float) -> None:
        super().__init__([write])
        self._connection = connection
        self.count = count
        self.resets_at = resets_at
        self._lane: Lane | None = lane
        self._begun = False
        self._is_sent = False
        self._event: Event | None = None

    def begin(self) -> bool:
        begun, self._begun = self._begun, True  # all of it happens in the worker's one thread
        return not begun

    def finish(self, results: list[Result]) -> None:
        lane, self._lane = self._lane, None
        if lane is not None:  # else it was late, and that was said
            lane.answer(self, results[0])

    def send(self, status: str, lines: str, body: bytes) -> None:
        self._connection.send_without_waiting(self._connection.head(status), lines, body, self._sent)

    def _sent(self) -> None:
        self._is_sent = True
        if self._event is not None:
            self._event.set()

    def wait(self) -> None:
        """Until the answer is sent, or its client has gone."""
        if not self._is_sent:
            self._event = Event()
            self._event.wait()
