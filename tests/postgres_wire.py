"""A way to PostgreSQL that can be cut: for good, or right after the server has done what it was asked."""

from __future__ import annotations

import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, quote, urlsplit


class PostgresWire:
    """Forwards to the server of `database_url`, which names a Unix socket's folder; `self.url` is where to connect."""

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        self._target = parse_qs(parts.query)["host"][0] + "/.s.PGSQL.5432"
        self._folder = tempfile.TemporaryDirectory(prefix="kvcast-wire-")
        self.url = parts._replace(query=f"host={quote(self._folder.name)}").geturl()
        self._path = Path(self._folder.name) / ".s.PGSQL.5432"
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._fatal: bytes | None = None
        self.answers_lost = 0
        self.mend()

    def lose_answer(self, tag: bytes) -> None:
        """Break the next connection whose server reports that it has completed `tag`, before the client hears of it."""
        self._fatal = b"C" + (len(tag) + 5).to_bytes(4, "big") + tag + b"\0"

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        _close(self._listener)
        self._path.unlink(missing_ok=True)
        with self._lock:
            ends, self._open = self._open, []
        for end in ends:
            _close(end)

    def mend(self) -> None:
        """Take connections again, at the same address."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._target)
            except OSError:
                _close(client)
                _close(server)
                continue
            with self._lock:
                self._open += [client, server]
            if listener.fileno() < 0:  # cut meanwhile
                _close(client)
                _close(server)
            for source, target, answers in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=(source, target, answers), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        try:
            while data := source.recv(65_536):
                if answers and self._fatal is not None and self._fatal in data:
                    self._fatal = None
                    self.answers_lost += 1
                    break
                target.sendall(data)
        except OSError:
            pass
        _close(source)
        _close(target)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        self._folder.cleanup()


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
