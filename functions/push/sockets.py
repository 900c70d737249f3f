"""One viewer's socket: whole frames, in order, and never a wait for the one who flushes.

simple-websocket calls `send` once and takes what the kernel takes for all of it: a frame of 4 MB arrived short. So it
is given this object in place of the socket. And it would read in a second greenlet for each viewer: with what it is
given for a thread and an event, the greenlet that serves the request reads (49 KiB a viewer became 36).
"""

from __future__ import annotations

import socket as stdlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent
from gevent.lock import Semaphore


class ReadHere:
    """What simple-websocket takes for a thread; whoever serves the viewer calls `run`."""

    name = ""

    def __init__(self, target: Callable[[], None]) -> None:
        self.run = target

    def start(self) -> None:
        pass


class NobodyWaits:
    """What simple-websocket takes for an event."""

    def set(self) -> None:
        pass


class ViewerSocket:
    """Wraps gevent's socket.

    on_free is called when a write that had to wait is through, on_stuck when the viewer did not read for
    `timeout_seconds`; before_recv before each wait for more. All are set by whoever serves the viewer.
    """

    def __init__(self, sock: Any, timeout_seconds: float) -> None:
        self._sock = sock
        self._raw = sock._sock  # gevent's send costs twice what the plain one does
        self._timeout_seconds = timeout_seconds
        self.on_free: Callable[[], None] = _nothing
        self.on_stuck: Callable[[], None] = _nothing
        self.before_recv: Callable[[], None] = _nothing
        self._turn = Semaphore()
        self.broken = False
        if sock.family in (stdlib.AF_INET, stdlib.AF_INET6):
            sock.setsockopt(stdlib.IPPROTO_TCP, stdlib.TCP_NODELAY, 1)

    @property
    def busy(self) -> bool:
        return self._turn.locked()

    def send_now(self, data: bytes) -> None:
        """Send without waiting; what the kernel does not take now goes on in the background. Not while `busy`."""
        if self.broken:
            return
        try:
            sent = self._raw.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._break()
            return
        if sent < len(data):
            self._turn.acquire()
            gevent.spawn(self._finish, data[sent:])

    def send(self, data: bytes) -> int:
        """What simple-websocket calls: returns when all of `data` is with the kernel. Raises OSError."""
        with self._turn:
            if self.broken:
                raise OSError("the viewer is gone")
            self._send_all(data)
        self.on_free()
        return len(data)

    def recv(self, size: int) -> bytes:
        self.before_recv()
        received: bytes = self._sock.recv(size)
        return received

    def stop_receiving(self) -> None:
        """Whoever waits in recv gets the end of file; what is being sent still goes out."""
        with suppress(OSError):
            self._raw.shutdown(stdlib.SHUT_RD)

    def close(self) -> None:
        self._break()

    def _finish(self, data: bytes) -> None:
        try:
            self._send_all(data)
        except OSError:
            return
        finally:
            self._turn.release()
        self.on_free()

    def _send_all(self, data: bytes) -> None:
        try:
            with gevent.Timeout(self._timeout_seconds, TimeoutError("the viewer does not read")):
                self._sock.sendall(data)
        except TimeoutError:
            self.on_stuck()
            self._break()
            raise
        except OSError:
            self._break()
            raise

    def _break(self) -> None:
        if not self.broken:
            self.broken = True
            with suppress(OSError):
                self._sock.shutdown(stdlib.SHUT_RDWR)  # wakes whoever waits in recv


def _nothing() -> None:
    pass
