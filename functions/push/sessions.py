"""One WebSocket from hello to close."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import gevent
from simple_websocket import ConnectionClosed, Server
from wsproto.utilities import LocalProtocolError

from kvcast.errors import InvalidRequest, KvcastError, TooManyRequests, Unauthorized
from kvcast.messages import (
    CLOSE_BAD_MESSAGE,
    CLOSE_RESTART,
    CLOSE_TOO_BIG,
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
from functions.push.parts import Parts
from functions.push.sockets import ViewerSocket
from functions.push.viewer import Viewer

CLIENT_FRAME_MOST_BYTES = 4096
MESSAGES_PER_SECOND = 50
MESSAGES_AT_ONCE = 100
AUTH_SECONDS = 5.0  # for the first frame, where reads need a token
_PING = b"\x89\x00"


class Session:
    """Reads what the client says; what it is told goes through the flusher."""

    def __init__(self, parts: Parts, ws: Server, socket: ViewerSocket, address: str) -> None:
        self._parts = parts
        self._ws = ws
        self._socket = socket
        self._address = address
        self._closing = False
        self._hearing = False  # meanwhile nobody reads, so a pong may wait
        self._token: Token | None = None
        self._named: str | None = None  # the key of /ws/<key>, until it may be subscribed to
        self._allowance = float(MESSAGES_AT_ONCE)
        self._allowance_at = time.monotonic()
        self.viewer = Viewer(parts.flusher.wake, queue_max=parts.settings.socket_queue_max)

    def run(self, key: str | None, opened: Callable[[Session], None], closed: Callable[[Session], None]) -> None:
        """Serve until either side closes. opened and closed are called around it."""
        try:
            self._parts.admit(self._address)
        except TooManyRequests as error:
            self._ws.close(CLOSE_TOO_MANY, error.message)
            return
        opened(self)
        CONNECTIONS.labels("websocket").inc()
        self._socket.on_free = lambda: self._parts.flusher.wake(self.viewer)
        self._socket.on_stuck = lambda: CLOSED.labels(str(CLOSE_TOO_SLOW)).inc()
        self._socket.before_recv = self._hear
        self._parts.hub.add(self.viewer)
        self._parts.flusher.attach(self.viewer, self._socket, self._too_slow)
        try:
            self.viewer.send(self._parts.hello())
            self._named = key
            if self._parts.closed:
                gevent.spawn_later(AUTH_SECONDS, self._expect_token)
            else:
                self._subscribe_named()
            self._ws.thread.run()
        except ConnectionClosed:
            pass
        finally:
            self._parts.flusher.detach(self.viewer)
            self._parts.hub.remove(self.viewer)
            self._parts.leave(self._address)
            CONNECTIONS.labels("websocket").dec()
            closed(self)

    def _subscribe_named(self) -> None:
        key, self._named = self._named, None
        if key is not None:
            self._handle(Subscribe(keys=[key]))

    def _expect_token(self) -> None:
        if self._token is None:
            self.close(CLOSE_UNAUTHORIZED, "reading needs a token here; send it first, as auth")

    def check_token(self) -> None:
        """Let the client go where its token was revoked or has expired."""
        if self._token is not None and not self._parts.keyring.holds(self._token):
            self.close(CLOSE_UNAUTHORIZED, "the token is no longer valid here")

    def close(self, code: int, reason: str) -> None:
        """Say goodbye; the greenlet that reads then ends."""
        if self._closing or not self._ws.connected:
            return
        self._closing = True
        CLOSED.labels(str(code)).inc()
        if code == CLOSE_RESTART:
            self._parts.handed_over("websocket")
        with suppress(OSError, ConnectionClosed, LocalProtocolError):  # the last: it is closing already
            self._ws.close(code, reason)
        self._ws.connected = False
        self._socket.stop_receiving()

    def beat(self, frame: Frame, *, ping: bool) -> None:
        """Send the heartbeat; with `ping`, expect an answer before the next one."""
        self.viewer.send(frame)
        if not ping or self._socket.busy or self._hearing:
            return
        if not self._ws.pong_received:
            gevent.spawn(self.close, CLOSE_TOO_SLOW, "no answer to a ping")
            return
        self._ws.pong_received = False
        self._socket.send_now(_PING)

    def _too_slow(self) -> None:
        # The close frame waits behind what is being sent, so not in the greenlet that serves everybody.
        gevent.spawn(self.close, CLOSE_TOO_SLOW, "too many changes wait; read faster, or use mode latest")

    def _hear(self) -> None:
        """Do what the client has asked for. Raises ConnectionClosed where that ends the connection."""
        while self._ws.input_buffer:
            self._hearing = True
            text = self._ws.input_buffer.pop(0)
            try:
                if not isinstance(text, str):
                    raise InvalidRequest("A binary frame has no meaning here; send JSON as text.", code="bad_message")
                if len(text.encode()) > CLIENT_FRAME_MOST_BYTES:  # simple-websocket counts characters
                    self.close(CLOSE_TOO_BIG, "Message is too big")
                    raise ConnectionClosed
                messages = decode_client_frame(text)
                self._spend(max(1, len(messages)))
                for message in messages:
                    self._handle(message)
            except TooManyRequests as error:
                self._refuse(error, CLOSE_TOO_MANY)
            except InvalidRequest as error:
                self._refuse(error, CLOSE_BAD_MESSAGE)
        self._hearing = False

    def _refuse(self, error: KvcastError, code: int) -> NoReturn:
        self._socket.send(control_frame("error", **error.body()).websocket)
        self.close(code, error.error_code)
        raise ConnectionClosed

    def _spend(self, messages: int) -> None:
        now = time.monotonic()
        self._allowance = min(
            MESSAGES_AT_ONCE, self._allowance + (now - self._allowance_at) * MESSAGES_PER_SECOND
        )
        self._allowance_at = now
        self._allowance -= messages
        if self._allowance < 0:
            raise TooManyRequests(f"More than {MESSAGES_PER_SECOND} messages a second; name many keys in one.")

    def _handle(self, message: ClientMessage) -> None:
        if isinstance(message, Ping):
            self.viewer.send(control_frame("hb", time=time.time()))
        elif isinstance(message, Auth):
            try:
                self._token = self._parts.keyring.find(message.token)
            except Unauthorized as error:
                self._refuse(error, CLOSE_UNAUTHORIZED)
            self._subscribe_named()
        else:
            try:
                if isinstance(message, Unsubscribe):
                    self._parts.unsubscribe(self.viewer, message)
                else:
                    self._parts.subscribe(self.viewer, message, self._token)
            except Unauthorized as error:
                self._refuse(error, CLOSE_UNAUTHORIZED)
            except KvcastError as error:  # it asked for something that cannot be; the rest stays
                self.viewer.send(control_frame("error", **error.body()))
