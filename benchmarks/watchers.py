"""Clients that want to know a key's value: by a WebSocket, or by asking once a second. They count what goes over it."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from benchmarks.figures import quantile
from benchmarks.protocols import Protocol

TIMEOUT_SECONDS = 10.0
_TIME = re.compile(rb'"(T\d+\.\d+)"')
_LENGTH = re.compile(rb"(?i)content-length: (\d+)")
_ETAG = re.compile(rb"(?i)etag: (\S+)")


class Wire:
    """A connection, and the bytes that went over it: what the program wrote and read, without TCP's own."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=TIMEOUT_SECONDS)
        self.bytes = 0

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)
        self.bytes += len(data)

    def receive(self) -> bytes:
        """Raises ConnectionError where the server hung up."""
        data = self._socket.recv(65_536)
        if not data:
            raise ConnectionError("The server hung up.")
        self.bytes += len(data)
        return data

    def hang_up(self) -> None:
        """From another thread, which a waiting `receive` notices."""
        with contextlib.suppress(OSError):  # it was closed already
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()


class Watcher:
    """One client. delays: seconds from a value's making until it was here, of each value once."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.wire = Wire(address)
        self.delays: list[float] = []
        self.requests = 0
        self.failure = ""
        self._last = b""

    def note(self, data: bytes) -> None:
        """Take the values of the form "T<Unix seconds>" from `data`."""
        now = time.time()
        for value in _TIME.findall(data):
            if value != self._last:
                self._last = value
                self.delays.append(now - float(value[1:]))

    def start(self) -> None:
        """Be up to date before the clock runs."""
        raise NotImplementedError

    def go_on(self, ended: threading.Event) -> None:
        raise NotImplementedError


class Viewer(Watcher):
    def __init__(self, address: tuple[str, int], protocol: Protocol) -> None:
        super().__init__(address)
        self._address = address
        self._protocol = protocol

    def start(self) -> None:
        self.wire.send(self._protocol.handshake(self._address))
        self.requests += 1
        heard = b""
        for wanted, answer in self._protocol.steps:
            while wanted not in heard:
                heard += self.wire.receive()
            if answer:
                self.wire.send(answer)
        self.note(heard)

    def go_on(self, ended: threading.Event) -> None:
        while not ended.is_set():
            data = self.wire.receive()
            for asked, owed in self._protocol.answers:
                if asked in data:
                    self.wire.send(owed)
            self.note(data)


class Poller(Watcher):
    """conditional: says which version it has (If-None-Match), so that what it knows is not sent again."""

    def __init__(
        self, address: tuple[str, int], path: str, every_seconds: float, after_seconds: float, *, conditional: bool
    ) -> None:
        super().__init__(address)
        self._head = f"GET {path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n".encode()
        self._every_seconds = every_seconds
        self._after_seconds = after_seconds
        self._conditional = conditional
        self._etag = b""

    def start(self) -> None:
        self._ask()

    def go_on(self, ended: threading.Event) -> None:
        due = time.monotonic() + self._after_seconds
        while not ended.wait(max(0.0, due - time.monotonic())):
            self._ask()
            due += self._every_seconds

    def _ask(self) -> None:
        known = b"If-None-Match: " + self._etag + b"\r\n" if self._conditional and self._etag else b""
        self.wire.send(self._head + known + b"\r\n")
        self.requests += 1
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.wire.receive()
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 304")):
            raise ConnectionError(f"The server answered {head[:200]!r}.")
        length = _LENGTH.search(head)
        missing = (int(length[1]) if length else 0) - len(body)
        while missing > 0 and not head.startswith(b"HTTP/1.1 304"):
            more = self.wire.receive()
            body += more
            missing -= len(more)
        etag = _ETAG.search(head)
        self._etag = etag[1] if etag else b""
        self.note(body)


class Watchers:
    """`with Watchers(make) as watchers:` all of them, up to date and from then on counting, each in a thread."""

    def __init__(self, makers: Sequence[Callable[[], Watcher]]) -> None:
        self._makers = makers
        self._ended = threading.Event()
        self.all: list[Watcher] = []

    def __enter__(self) -> Watchers:
        try:
            for make in self._makers:
                self.all.append(make())
                self.all[-1].start()
                self.all[-1].delays.clear()
        except BaseException:
            self._close()
            raise
        self._threads = [threading.Thread(target=self._run, args=(watcher,), daemon=True) for watcher in self.all]
        for thread in self._threads:
            thread.start()
        return self

    def _run(self, watcher: Watcher) -> None:
        try:
            watcher.go_on(self._ended)
        except (OSError, ValueError) as error:
            if not self._ended.is_set():
                watcher.failure = str(error)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for watcher in self.all:
            watcher.wire.hang_up()
        for thread in self._threads:
            thread.join(TIMEOUT_SECONDS)
        self._close()

    def _close(self) -> None:
        for watcher in self.all:
            watcher.wire.close()

    def delay_ms(self, part: float) -> float:
        return 1000 * quantile(sorted(delay for watcher in self.all for delay in watcher.delays), part)
