"""The plainest `POST /add`, without a greenlet that waits for its commit.

A whole group is answered in one pass, by whom it was published; the connections' greenlets wait for what comes next
meanwhile. What a header block says is looked up by the block, and answers are counted once a group. That took a write
from 99 to 47 us of the worker's processor time (docs/performance.md).

What needs a transaction of its own, or is wrong in itself, is left to the view, so that only the 200, the limit and the
queue that is full are answered here too: alike byte for byte, as tests/functions/test_plain_connection.py says, and in
the log.
"""

from __future__ import annotations

import time
from threading import Event

from kvcast.errors import KvcastError, OutcomeUnknown, Overloaded
from kvcast.loops import start_loop
from kvcast.messages import Change, Write, decode_write
from kvcast.storage.writes import traced
from kvcast.tokens import require
from kvcast.web import Environ, FunctionApp
from kvcast.web.answers import JSON, NOSNIFF, STATUS_LINES, error_answer
from kvcast.web.observing import REQUEST_ID
from kvcast.web.requests import require_json

from functions.callers import RATE_LINES, Callers, Tally, answer_lines
from functions.plain_connection import PlainConnection, header_lines
from functions.plain_requests import Plain
from functions.write.committer import LATE, SLOW, WAIT_SECONDS, Committer
from functions.write.unit import QUEUE_SECONDS, Result, Unit
from functions.write.views import ALONE, one_answer

ROUTE = "/add"
_NOT_PLAIN = (*ALONE, "HTTP_CONTENT_ENCODING")
_LOOK_SECONDS = 0.5
_OK = STATUS_LINES[200]
_OK_LINES = header_lines([JSON, ("Content-Length", "%d"), NOSNIFF]) + RATE_LINES


def _may_pass(environ: Environ) -> bool:
    require_json(environ)
    return not any(field in environ for field in _NOT_PLAIN)


class Lane:
    """The way of such requests from the socket to the committer and back."""

    def __init__(self, app: FunctionApp, committer: Committer) -> None:
        self._observer = app.observer
        self._body_most = app.settings.body_max_bytes
        self._value_most = app.settings.value_max_bytes
        self._limit = app.limit("write", app.settings.write_limit)
        self._committer = committer
        self._callers = Callers(app, self._limit, _may_pass)
        self._waiting: set[_Pending] = set()
        self._tally = Tally(app.observer, ROUTE)  # of the whole group

    def start(self) -> None:
        start_loop("late-answers", self._watch)

    def take(self, plain: Plain, connection: PlainConnection) -> _Pending | None:
        """Take the request on, or return None where the view has to answer it."""
        if plain.path != ROUTE or plain.method != "POST" or len(plain.body) > self._body_most:
            return None
        caller = self._callers.of(plain.block)
        if caller is None:
            return None
        try:
            write = decode_write(plain.body, self._value_most)
            require(caller.token, "write", write.key)
        except KvcastError:
            return None
        environ = self._callers.environ(plain, connection) if self._observer.traces else {**plain.varied}
        further = self._callers.further(caller, environ)
        count, resets_at = self._limit.count(caller.counted_as)
        if self._observer.traces:
            write = traced(write, environ[REQUEST_ID])
        pending = _Pending(write, self, connection, count, resets_at, further, environ)
        self._waiting.add(pending)
        try:
            refusal = self._limit.refusal(count, resets_at)
            if refusal is not None:
                raise refusal
            if self._observer.traces:
                self._observer.say(environ, key=write.key)
            self._committer.queue(pending)
        except KvcastError as error:
            pending.finish([error])
        return pending

    def answer(self, pending: _Pending, result: Result) -> None:
        """Send the answer. It must not wait: others of the group are answered after it."""
        self._waiting.discard(pending)
        seconds = time.perf_counter() - pending.received_at
        told = self._limit.told(pending.count, pending.resets_at)
        if isinstance(result, Change):
            body = one_answer([result])
            pending.send(_OK, _OK_LINES % (len(body), *told) + pending.further, body)
            if self._observer.traces:
                self._observer.say(pending.environ, rev=result.rev)
                self._observer.done(pending.environ, ROUTE, 200, seconds)
                return
            self._tally.add(200, seconds)
        else:
            answer = error_answer(result)
            pending.send(STATUS_LINES[answer.status], answer_lines(answer, told, pending.further), answer.body)
            self._observer.done(pending.environ, ROUTE, answer.status, seconds)

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
    """One request under way. count, resets_at: of its client's limit, as they were when it came.

    further: ends its answer's head; environ: what its line in the log is made of.
    """

    __slots__ = ("_begun", "_connection", "_event", "_is_sent", "_lane", "count", "environ", "further", "resets_at")

    def __init__(
        self, write: Write, lane: Lane, connection: PlainConnection, count: int, resets_at: float, further: str,
        environ: Environ,
    ) -> None:
        super().__init__([write])
        self.further = further
        self.environ = environ
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
