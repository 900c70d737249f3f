"""One viewer's socket: whole frames, in order, and never a wait, not even a greenlet that could wait.

A viewer that nobody says anything to costs what is held here and no stack: the event loop calls when bytes arrive or
when a buffer has room again (35.5 KiB a viewer became 4.3, docs/performance.md).
"""

from __future__ import annotations

import _socket
import logging
import socket as stdlib
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import Any, Protocol

import gevent

RawSocket = _socket.socket  # what gevent's own are built on: it waits for nothing and holds no watchers

_RECEIVE_BYTES = 4096
_PIECES_AT_ONCE = 500  # the system takes 1,024
_READ, _WRITE = 1, 2  # libev's names of events
_LINGER_SECONDS = 2.0  # after the goodbye, for the client to hang up: a reset would take the goodbye from it
_LINGER_BYTES = 1_048_576  # that a client may still say meanwhile, unheard
_log = logging.getLogger(__name__)


class Owner(Protocol):
    """Who is told; nothing here may wait."""

    def received(self, data: bytes) -> None: ...
    def free(self) -> None:
        """No longer busy."""

    def stuck(self) -> None:
        """The viewer took too long to read; it is gone."""

    def gone(self) -> None:
        """The socket is closed. Called once."""


def taken_over(client: Any) -> RawSocket:
    """The connection of gunicorn's `client`, which is left without it."""
    sock = RawSocket(fileno=client.detach())
    sock.setblocking(False)
    return sock


class ViewerSocket:
    """timeout_seconds: how long what was sent may wait in us for the viewer to read."""

    __slots__ = (
        "_deadline", "_leaving", "_left", "_loop", "_owner", "_reader", "_sent_bytes", "_sock", "_timeout_seconds",
        "_unheard_bytes", "_writer",
    )  # fmt: skip

    def __init__(self, sock: RawSocket, timeout_seconds: float, owner: Owner) -> None:
        self._sock: RawSocket | None = sock
        self._timeout_seconds = timeout_seconds
        self._owner = owner
        self._loop = gevent.get_hub().loop
        self._left: deque[bytes] | None = None  # what the kernel has not taken yet; no copies, as all viewers share it
        self._sent_bytes = 0  # of the first of them
        self._leaving = False
        self._unheard_bytes = 0  # since it is leaving
        self._writer: Any = None
        self._deadline: Any = None
        self._reader: Any = self._loop.io(sock.fileno(), _READ)
        self._reader.start(self._receive)
        if sock.family in (stdlib.AF_INET, stdlib.AF_INET6):
            sock.setsockopt(stdlib.IPPROTO_TCP, stdlib.TCP_NODELAY, 1)

    @property
    def busy(self) -> bool:
        """Whether the viewer has still to read before more can go out."""
        return self._left is not None

    @property
    def over(self) -> bool:
        return self._sock is None

    @property
    def listening(self) -> bool:
        return self._reader is not None and bool(self._reader.active)

    def send(self, *pieces: bytes) -> None:
        """What the kernel does not take now goes out later, in order."""
        if self._sock is None or self._leaving:
            return
        if self._left is not None:
            self._left += pieces
            return
        data = b"".join(pieces)
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.end()
            return
        if sent < len(data):
            self._left = deque(pieces)
            self._pass(sent)
            self._writer = self._loop.io(self._sock.fileno(), _WRITE)
            self._writer.start(self._send_left)
            self._expect(self._timeout_seconds, self._give_up)

    def _pass(self, sent: int) -> None:
        assert self._left is not None
        sent += self._sent_bytes
        while self._left and sent >= len(self._left[0]):
            sent -= len(self._left.popleft())
        self._sent_bytes = sent

    def listen(self, wanted: bool) -> None:
        """Whether `received` shall be called; otherwise what the client says waits with it."""
        if self._sock is None or wanted == self._reader.active:
            return
        if wanted:
            self._reader.start(self._receive)
        else:
            self._reader.stop()

    def leave(self, goodbye: bytes) -> None:
        """Send `goodbye`, as the last. The socket closes when the client hangs up, or soon without that."""
        self.send(goodbye)
        if self._sock is None or self._leaving:
            return
        self.listen(True)
        self._leaving = True
        if self._left is None:
            self._wait_for_the_end()
        else:
            self._expect(self._timeout_seconds, self._give_up)

    def end(self) -> None:
        """Close now."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        for watcher in (self._reader, self._writer, self._deadline):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._reader = self._writer = self._deadline = self._left = None
        with suppress(OSError):
            sock.close()
        self._owner.gone()

    def _receive(self) -> None:
        if self._sock is None:
            return
        try:
            data = self._sock.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if self._leaving:
            self._unheard_bytes += len(data)
        if not data or self._unheard_bytes > _LINGER_BYTES:
            self.end()
        elif not self._leaving:
            self._hand_over(data)

    def _hand_over(self, data: bytes) -> None:
        try:
            self._owner.received(data)
        except Exception:  # the client then connects again
            _log.exception("What a viewer said could not be taken for a reason that nobody foresaw")
            self.end()

    def _send_left(self) -> None:
        if self._sock is None or self._left is None:
            return
        try:
            first, *more = islice(self._left, _PIECES_AT_ONCE)
            self._pass(self._sock.sendmsg([memoryview(first)[self._sent_bytes :], *more]))
        except BlockingIOError:
            return
        except OSError:
            self.end()
            return
        if self._left:
            return
        self._left = None
        for watcher in (self._writer, self._deadline):
            watcher.stop()
            watcher.close()
        self._writer = self._deadline = None
        if self._leaving:
            self._wait_for_the_end()
        else:
            self._owner.free()

    def _wait_for_the_end(self) -> None:
        assert self._sock is not None
        with suppress(OSError):
            self._sock.shutdown(stdlib.SHUT_WR)
        self._expect(_LINGER_SECONDS, self.end)

    def _give_up(self) -> None:
        self._send_left()  # the loop may have been late, and not the viewer
        if self._left is not None:
            if not self._leaving:
                self._owner.stuck()
            self.end()

    def _expect(self, seconds: float, otherwise: Any) -> None:
        if self._deadline is not None:
            self._deadline.stop()
            self._deadline.close()
        self._deadline = self._loop.timer(seconds)
        self._deadline.start(otherwise, update=True)
