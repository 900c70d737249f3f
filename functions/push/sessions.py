"""One WebSocket from hello to close."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import gevent

from kvcast.errors import InvalidRequest, KvcastError, TooManyRequests, Unauthorized
from kvcast.messages import (
    CLOSE_BAD_MESSAGE,
    CLOSE_RESTART,
    CLOSE_TOO_MANY,
    CLOSE_TOO_SLOW,
    CLOSE_UNAUTHORIZED,
    Auth,
    ClientMessage,
    Ping,
    Subscribe,
    Unsubscribe,
    decode_client_frame,
)
from kvcast.metrics import CLOSED, CONNECTIONS
from kvcast.tokens import Token

from functions.push.frames import Frame, control_frame
from functions.push.incoming import Incoming
from functions.push.parts import Parts
from functions.push.sockets import RawSocket, ViewerSocket
from functions.push.viewer import Viewer

MESSAGES_PER_SECOND = 50
MESSAGES_AT_ONCE = 100
AUTH_SECONDS = 5.0  # for the first frame, where reads need a token
UNHEARD_MOST = 16  # messages that wait for the one before them; more stay with their sender
OWED_MOST_BYTES = 16_384  # answers to a client that sends and does not read
_PING = b"\x89\x00"
_log = logging.getLogger(__name__)


class Session:
    """Hears what the client says; what it is told goes through the flusher.

    The event loop calls `received`, `free`, `stuck` and `gone`. Only what the client asks for is done in a greenlet,
    which ends with it. ended: called once when the connection is closed.
    """

    __slots__ = (
        "_address", "_admitted", "_allowance", "_allowance_at", "_closing", "_ended", "_hearing", "_incoming", "_named",
        "_owed_bytes", "_parts", "_socket", "_token", "_unheard", "viewer",
    )  # fmt: skip

    def __init__(self, parts: Parts, sock: RawSocket, address: str, ended: Callable[[Session], None]) -> None:
        self._parts = parts
        self._address = address
        self._ended = ended
        self._admitted = False
        self._closing = False
        self._hearing = False
        self._unheard: list[str | bytes] = []
        self._owed_bytes = 0  # of answers, since the viewer is busy reading
        self._token: Token | None = None
        self._named: str | None = None  # the key of /ws/<key>, until it may be subscribed to
        self._allowance = float(MESSAGES_AT_ONCE)
        self._allowance_at = time.monotonic()
        self._incoming = Incoming()
        self._socket = ViewerSocket(sock, parts.settings.send_timeout_seconds, self)
        self.viewer = Viewer(parts.flusher.wake, queue_max=parts.settings.socket_queue_max)

    def start(self, greeting: bytes, key: str | None, opened: Callable[[Session], None]) -> None:
        """Send `greeting` and serve from now on. opened: called where the worker takes one more."""
        self._socket.send(greeting)
        if self._socket.over:
            return
        try:
            self._parts.admit(self._address)
        except TooManyRequests as error:
            self._incoming.close(CLOSE_TOO_MANY, error.message)
            self._leave()
            return
        self._admitted = True
        CONNECTIONS.labels("websocket").inc()
        self._parts.hub.add(self.viewer)
        self._parts.flusher.attach(self.viewer, self._socket, self._too_slow)
        self.viewer.send(self._parts.hello())
        self._named = key
        opened(self)
        if self._parts.closed:
            gevent.spawn_later(AUTH_SECONDS, self._expect_token)
        elif key is not None:
            self._hear_soon()

    def received(self, data: bytes) -> None:
        self._unheard += self._incoming.read(data)
        if self._incoming.closing:
            self._leave()
            return
        self._answer()
        self._hear_soon()
        self._pace()

    def free(self) -> None:
        self._owed_bytes = 0
        self._parts.flusher.wake(self.viewer)
        self._pace()

    def stuck(self) -> None:
        CLOSED.labels(str(CLOSE_TOO_SLOW)).inc()

    def gone(self) -> None:
        if not self._admitted:
            return
        self._let_go()
        self._parts.leave(self._address)
        CONNECTIONS.labels("websocket").dec()
        self._ended(self)

    def close(self, code: int, reason: str) -> None:
        """Say goodbye behind what is being sent."""
        if self._closing or self._socket.over:
            return
        CLOSED.labels(str(code)).inc()
        if code == CLOSE_RESTART:
            self._parts.handed_over("websocket")
        self._incoming.close(code, reason)
        self._leave()

    def check_token(self) -> None:
        """Let the client go where its token was revoked or has expired."""
        if self._token is not None and not self._parts.keyring.holds(self._token):
            self.close(CLOSE_UNAUTHORIZED, "the token is no longer valid here")

    def beat(self, frame: Frame, *, ping: bool) -> None:
        """Send the heartbeat; with `ping`, expect an answer before the next one."""
        if self._closing:
            return
        self.viewer.send(frame)
        if not ping or self._socket.busy or not self._socket.listening:  # its answer may wait behind the rest
            return
        if not self._incoming.ponged:
            self.close(CLOSE_TOO_SLOW, "no answer to a ping")
            return
        self._incoming.ponged = False
        self._socket.send(_PING)

    def _leave(self) -> None:
        """Our close frame is owed: it is the last that is sent."""
        self._let_go()
        self._socket.leave(self._incoming.owed())

    def _let_go(self) -> None:
        self._closing = True
        self._unheard.clear()
        self._parts.flusher.detach(self.viewer)
        self._parts.hub.remove(self.viewer)

    def _answer(self) -> None:
        owed = self._incoming.owed()
        if owed:
            self._socket.send(owed)
            self._owed_bytes += len(owed) if self._socket.busy else 0

    def _pace(self) -> None:
        self._socket.listen(len(self._unheard) < UNHEARD_MOST and self._owed_bytes < OWED_MOST_BYTES)

    def _expect_token(self) -> None:
        if self._token is None:
            self.close(CLOSE_UNAUTHORIZED, "reading needs a token here; send it first, as auth")

    def _too_slow(self) -> None:
        self.close(CLOSE_TOO_SLOW, "too many changes wait; read faster, or use mode latest")

    def _hear_soon(self) -> None:
        if not self._hearing and (self._unheard or self._named is not None):
            self._hearing = True
            gevent.spawn(self._hear)

    def _hear(self) -> None:
        """Do what the client has asked for, one after the other."""
        try:
            if not self._parts.closed:
                self._subscribe_named()
            while self._unheard:
                self._hear_one(self._unheard.pop(0))
        except TooManyRequests as error:
            self._refuse(error, CLOSE_TOO_MANY)
        except InvalidRequest as error:
            self._refuse(error, CLOSE_BAD_MESSAGE)
        except Unauthorized as error:
            self._refuse(error, CLOSE_UNAUTHORIZED)
        except Exception:  # the client then connects again
            _log.exception("A viewer's message could not be handled for a reason that nobody foresaw")
            self._socket.end()
        finally:
            self._hearing = False
        self._pace()

    def _hear_one(self, text: str | bytes) -> None:
        if not isinstance(text, str):
            raise InvalidRequest("A binary frame has no meaning here; send JSON as text.", code="bad_message")
        messages = decode_client_frame(text)
        self._spend(max(1, len(messages)))
        for message in messages:
            self._handle(message)

    def _refuse(self, error: KvcastError, code: int) -> None:
        if not self._closing:
            self._socket.send(control_frame("error", **error.body()).websocket)
            self.close(code, error.error_code)

    def _subscribe_named(self) -> None:
        key, self._named = self._named, None
        if key is not None:
            self._handle(Subscribe(keys=[key]))

    def _spend(self, messages: int) -> None:
        now = time.monotonic()
        self._allowance = min(MESSAGES_AT_ONCE, self._allowance + (now - self._allowance_at) * MESSAGES_PER_SECOND)
        self._allowance_at = now
        self._allowance -= messages
        if self._allowance < 0:
            raise TooManyRequests(f"More than {MESSAGES_PER_SECOND} messages a second; name many keys in one.")

    def _handle(self, message: ClientMessage) -> None:
        """Raises Unauthorized."""
        if isinstance(message, Ping):
            self.viewer.send(control_frame("hb", time=time.time()))
        elif isinstance(message, Auth):
            self._token = self._parts.keyring.find(message.token)
            self._subscribe_named()
        else:
            try:
                if isinstance(message, Unsubscribe):
                    self._parts.unsubscribe(self.viewer, message)
                else:
                    self._parts.subscribe(self.viewer, message, self._token)
            except Unauthorized:
                raise
            except KvcastError as error:  # it asked for something that cannot be; the rest stays
                if not self._closing:
                    self.viewer.send(control_frame("error", **error.body()))
