"""Many WebSocket viewers in a process of their own, which only counts: no packaged load tool counts deliveries.

A value is the text "T<Unix seconds>", so every protocol that carries it verbatim is counted alike.
"""

from __future__ import annotations

import multiprocessing
import re
import resource
import select
import socket
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import msgspec

from benchmarks.figures import quantile
from benchmarks.protocols import MARK, Protocol

AT_ONCE = 64  # handshakes under way together
PATIENCE_SECONDS = 60.0
TIMED_EVERY = 37  # viewers, of which one has its delays noted
_TIME = re.compile(rb'"T(\d+\.\d+)"')


class Seen(msgspec.Struct):
    """What the viewers saw since they were last asked. delays: sorted, in seconds; ends: each viewer's last value."""

    deliveries: int
    closed: int
    delays: list[float]
    ends: list[str]

    def delay_ms(self, part: float) -> float:
        return 1000 * quantile(self.delays, part)


class Viewers:
    """`with Viewers(address, protocols) as viewers:` one viewer for each protocol, all subscribed."""

    def __init__(self, address: tuple[str, int], protocols: Sequence[Protocol]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._count: Any = spawn.Value("q", 0, lock=False)
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_watch, args=(address, protocols, self._count, theirs), daemon=True)

    def __enter__(self) -> Viewers:
        self._process.start()
        self.connect_seconds: float = self._receive(PATIENCE_SECONDS * 2)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join()

    @property
    def deliveries(self) -> int:
        """Until now, over all viewers."""
        return int(self._count.value)

    def wait_for(self, deliveries: int, seconds: float) -> bool:
        """Whether that many came within `seconds`."""
        deadline = time.monotonic() + seconds
        while self.deliveries < deliveries and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.deliveries >= deliveries

    def seen(self) -> Seen:
        self._pipe.send("seen")
        answer: Seen = self._receive(PATIENCE_SECONDS)
        return answer

    def _receive(self, seconds: float) -> Any:
        if not self._pipe.poll(seconds):
            raise TimeoutError(f"The viewers did not answer within {seconds:g} s.")
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


def _watch(address: tuple[str, int], protocols: Sequence[Protocol], count: Any, pipe: Connection) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < len(protocols) + 100:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    began = time.monotonic()
    sockets: list[socket.socket] = []
    try:
        for start in range(0, len(protocols), AT_ONCE):
            sockets += _connect(address, protocols[start : start + AT_ONCE])
    except Exception as error:
        pipe.send(error)
        return
    pipe.send(time.monotonic() - began)
    _Counter(sockets, protocols, count, pipe).run_for_ever()


def _connect(address: tuple[str, int], protocols: Sequence[Protocol]) -> list[socket.socket]:
    sockets = []
    for protocol in protocols:
        sock = socket.create_connection(address, timeout=PATIENCE_SECONDS)
        sock.sendall(protocol.handshake(address))
        sockets.append(sock)
    heard = [b""] * len(sockets)
    for turn in range(max(len(protocol.steps) for protocol in protocols)):
        for number, (sock, protocol) in enumerate(zip(sockets, protocols, strict=True)):
            if turn < len(protocol.steps):
                wanted, answer = protocol.steps[turn]
                while wanted not in heard[number]:
                    received = sock.recv(65_536)
                    if not received:
                        raise ConnectionError(f"The server hung up on a viewer that waited for {wanted!r}.")
                    heard[number] += received
                if answer:
                    sock.sendall(answer)
    return sockets


class _Counter:
    def __init__(
        self, sockets: list[socket.socket], protocols: Sequence[Protocol], count: Any, pipe: Connection
    ) -> None:
        self._count = count
        self._pipe = pipe
        self._sockets = {sock.fileno(): sock for sock in sockets}
        self._answers = protocols[0].answers
        self._timed = {sock.fileno() for sock in sockets[::TIMED_EVERY]}
        self._tails = dict.fromkeys(self._sockets, b"")  # a mark may arrive in two parts
        self._ends = dict.fromkeys(self._sockets, b"")
        self._delays: list[float] = []
        self._counted = 0
        self._closed = 0
        self._poll = select.epoll()
        for fd, sock in self._sockets.items():
            sock.setblocking(False)
            self._poll.register(fd, select.EPOLLIN)
        self._poll.register(pipe.fileno(), select.EPOLLIN)

    def run_for_ever(self) -> None:
        while True:
            for fd, _ in self._poll.poll():
                sock = self._sockets.get(fd)
                if sock is None:
                    self._pipe.recv()
                    self._report()
                else:
                    self._take(fd, sock)
            self._count.value = self._counted

    def _take(self, fd: int, sock: socket.socket) -> None:
        try:
            data = sock.recv(262_144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._poll.unregister(fd)
            self._closed += 1
            return
        for asked, owed in self._answers:
            if asked in data:
                sock.send(owed)
        text = self._tails[fd] + data
        found = text.count(MARK)
        if found:
            self._counted += found
            self._ends[fd] = text
            if fd in self._timed:
                now = time.time()
                self._delays += [now - float(sent) for sent in _TIME.findall(text)]
        self._tails[fd] = data[-len(MARK) + 1 :]

    def _report(self) -> None:
        ends = [(_TIME.findall(text) or [b""])[-1].decode() for text in self._ends.values()]
        self._pipe.send(Seen(self._counted, self._closed, sorted(self._delays), ends))
        self._delays = []
