"""A way to a real server that can be cut, stalled, and made to lose answers."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.ports import port_of_our_own


class Network:
    """Forwards TCP to the server at `url`; `self.url` is where clients go."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = (parts.hostname, parts.port)
        self._held = contextlib.ExitStack()
        self._port = self._held.enter_context(port_of_our_own())
        self.url = f"http://127.0.0.1:{self._port}"
        self._open: list[socket.socket] = []
        self._flows = threading.Event()
        self._flows.set()
        self._lock = threading.Lock()
        self.answers_to_lose = 0
        self.connections = 0
        self._listener = self._listen()

    def _listen(self) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", self._port))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:
                self._shut(client)
                continue
            with self._lock:
                self.connections += 1
                self._open += [client, server]
            if listener.fileno() < 0:  # cut meanwhile
                self._shut(client)
                self._shut(server)
            threading.Thread(target=self._pump, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, True), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        try:
            while data := source.recv(65_536):
                self._flows.wait()
                if answers and self._loses():
                    break
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            self._shut(end)

    def _loses(self) -> bool:
        with self._lock:
            if self.answers_to_lose == 0:
                return False
            self.answers_to_lose -= 1
            return True

    @staticmethod
    def _shut(end: socket.socket) -> None:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()

    def drop(self) -> None:
        """Break every connection; new ones may follow."""
        with self._lock:
            ends, self._open = self._open, []
        for end in ends:
            self._shut(end)

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self._shut(self._listener)
        self.drop()

    def mend(self) -> None:
        """Take connections again, at the same address."""
        self._listener = self._listen()

    def stall(self) -> None:
        """Keep connections open and let nothing through."""
        self._flows.clear()

    def flow(self) -> None:
        self._flows.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flow()
        self.cut()
        self._held.close()
