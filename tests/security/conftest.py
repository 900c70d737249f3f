"""Servers that only the tests of this folder need."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest


@pytest.fixture
def database_in_the_clear() -> Iterator[int]:
    """The port of a PostgreSQL that has no TLS, as far as its first answer goes. Fails what sends more."""
    listener = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def answer() -> None:
        client, _ = listener.accept()
        with client:
            client.settimeout(5)
            client.recv(8)
            client.sendall(b"N")
            heard.append(client.recv(1024))

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    thread.join(5)
    listener.close()
    assert heard in ([b""], [b"X\x00\x00\x00\x04"])  # Terminate, at most
