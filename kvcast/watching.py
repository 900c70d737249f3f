"""`watch`: an iterator over changes that survives every lost connection and never goes back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Event
from time import monotonic, time
from types import TracebackType
from typing import Literal, Self

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from kvcast import messages
from kvcast.errors import Forbidden, InvalidRequest, KvcastError, TooManyRequests, Unauthorized, Unavailable
from kvcast.keys import parse_category, parse_key, parse_prefix
from kvcast.retries import full_jitter_seconds
from kvcast.seen import Seen, Wanted
from kvcast.transport import Transport, error_of, error_of_answer, unreachable
from kvcast.updates import Frame, Notice, Update, decode_frame, update_of

FIRST_WAIT_SECONDS = 0.5
MOST_WAIT_SECONDS = 10.0
FRAME_MAX_BYTES = 2**27  # a frame may join the values of all the keys of a socket

_CLOSE_ERRORS: dict[int, type[KvcastError]] = {
    messages.CLOSE_BAD_MESSAGE: InvalidRequest,
    messages.CLOSE_UNAUTHORIZED: Unauthorized,
    messages.CLOSE_FORBIDDEN: Forbidden,
    messages.CLOSE_TOO_MANY: TooManyRequests,
}


class Watch:
    """See Client.watch. Iterate it in one thread; `close` may be called from any."""

    def __init__(
        self,
        transport: Transport,
        keys: Iterable[str],
        *,
        prefixes: Iterable[str],
        categories: Iterable[str],
        mode: Literal["latest", "every"],
        max_rate: float | None,
        since: Mapping[str, int] | None,
        epoch: str | None,
        silence_seconds: float,
        on_notice: Callable[[Notice], None] | None,
    ) -> None:
        self._transport = transport
        self._wanted = Wanted(
            tuple(dict.fromkeys(map(parse_key, keys))),
            tuple(dict.fromkeys(map(parse_prefix, prefixes))),
            tuple(dict.fromkeys(map(parse_category, categories))),
            mode,
            max_rate,
        )
        if not (self._wanted.keys or self._wanted.prefixes or self._wanted.categories):
            raise InvalidRequest("Nothing is watched; name a key, a prefix or a category.")
        self._seen = Seen(since, epoch)
        self._silence_seconds = silence_seconds
        self._on_notice = on_notice or (lambda notice: None)
        self._closed = Event()
        self._socket: ClientConnection | None = None
        self._failures = 0
        self._served = False
        self._unanswered = 0  # subscriptions of this connection whose `subbed` has not come
        self._updates = self._run()
        self.clock_ahead_seconds: float | None = None  # the server's clock against ours, as of its last hello or hb

    @property
    def epoch(self) -> str | None:
        """What the revs seen belong to; give it with them as `since` to resume in another process."""
        return self._seen.epoch

    @property
    def since(self) -> dict[str, int]:
        return self._seen.resumable(self._wanted.keys)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Update:
        return next(self._updates)

    def close(self) -> None:
        """End the iteration, also one that waits in another thread."""
        self._closed.set()
        if self._socket is not None:
            self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> Iterator[Update]:
        gives_up_at = monotonic() + self._transport.retry_seconds
        while not self._closed.is_set():
            try:
                with self._connect() as socket:
                    self._socket = socket
                    yield from self._updates_of(socket)
            except (KvcastError, ConnectionClosed, InvalidHandshake, OSError, EOFError, msgspec.DecodeError) as error:
                if self._closed.is_set():
                    return
                failure = self._failure(error)
                if failure.permanent or not (self._served or monotonic() < gives_up_at):
                    raise failure from None
                self._on_notice(Notice("disconnected", failure.message))
            self._failures += 1
            self._closed.wait(full_jitter_seconds(self._failures, FIRST_WAIT_SECONDS, MOST_WAIT_SECONDS))

    def _connect(self) -> ClientConnection:
        return connect(
            "ws" + self._transport.url.removeprefix("http") + "/ws",
            ssl=self._transport.ssl_context(),
            compression=None,
            proxy=None,
            open_timeout=self._transport.timeout_seconds,
            ping_interval=None,  # the server's heartbeat tells of a dead connection
            close_timeout=1,
            max_size=FRAME_MAX_BYTES,
        )

    def _updates_of(self, socket: ClientConnection) -> Iterator[Update]:
        if self._transport.token:
            socket.send(messages.encode({"op": "auth", "token": self._transport.token}).decode())
        while not self._closed.is_set():
            for frame in decode_frame(socket.recv(timeout=self._silence_seconds)):
                if frame.op in ("snap", "upd", "del"):
                    if not frame.recovered:
                        self._on_notice(Notice("gap", f"Ticks of {frame.key} were missed."))
                    if self._seen.newer(frame.key, frame.rev):
                        yield update_of(frame)
                else:
                    self._control(socket, frame)

    def _control(self, socket: ClientConnection, frame: Frame) -> None:
        if frame.time is not None:
            self.clock_ahead_seconds = frame.time - time()
        if frame.op == "hello":
            self._seen.greeted(frame.epoch)
            self._seen.resume_began()
            subscriptions, complete = self._wanted.messages(self._seen)
            self._unanswered = len(subscriptions)
            for subscription in subscriptions:
                socket.send(subscription.decode())
            if self._wanted.mode == "every" and not complete:
                self._on_notice(Notice("gap", "Too many keys to resume each tick; their current values follow."))
        elif frame.op == "subbed":
            self._failures, self._served = 0, True
            self._unanswered -= 1
            if not self._unanswered:
                self._seen.resume_ended()
            self._on_notice(Notice("connected", f"Watching {self._transport.url}."))
            if frame.absent:
                self._on_notice(Notice("absent", f"Not there yet: {', '.join(frame.absent)}.", frame.absent))
            if not frame.recovered:
                self._on_notice(Notice("gap", "Ticks were missed while the connection was away."))
        elif frame.op == "error":
            raise error_of(frame.code, frame.message, 400)

    def _failure(self, error: Exception) -> KvcastError:
        if isinstance(error, KvcastError):
            return error
        if isinstance(error, ConnectionClosed):
            code = error.rcvd.code if error.rcvd else 1006
            reason = error.rcvd.reason if error.rcvd else ""
            kind = _CLOSE_ERRORS.get(code, Unavailable)
            return kind(f"The server closed the connection ({code}{': ' if reason else ''}{reason}).")
        if isinstance(error, InvalidStatus):
            response = error.response
            return error_of_answer(response.status_code, response.headers.get("Retry-After", ""), bytes(response.body))
        if isinstance(error, TimeoutError) and self._served:
            return Unavailable(f"Nothing was heard for {self._silence_seconds:g} s.")
        return unreachable(self._transport.url, error)
