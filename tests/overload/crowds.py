"""Thousands of viewers in one thread, as cheap as greenlets are."""

from __future__ import annotations

import base64
import json
import os
import random
import resource
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import gevent
from gevent import socket
from gevent.pool import Pool

from tests.functions.push.raw import TEXT, frame

PATIENCE_SECONDS = 60.0
BACKOFF_SECONDS = 0.5  # doubled up to MOST_BACKOFF_SECONDS, with full jitter: as the clients of kvcast come back
MOST_BACKOFF_SECONDS = 10.0


def raise_open_files(wanted: int) -> None:
    """As far as this process may. Raises ValueError where that is less than `wanted`."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise ValueError(f"{wanted} open files are needed and {hard} allowed; raise the hard limit (ulimit -Hn).")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def handshake(host: str, port: int) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode()


class Crowd:
    """`with Crowd(url, 2000, keys) as crowd: crowd.connect()`. keys: that all watch; at_once: handshakes together."""

    def __init__(
        self, url: str, viewers: int, keys: Sequence[str], *, receive_buffer: int | None = None, at_once: int = 100
    ) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._frames = [  # a client's frame holds 4 KiB
            frame(TEXT, json.dumps({"op": "sub", "keys": keys[start : start + 100]}).encode())
            for start in range(0, len(keys), 100)
        ]
        self._viewers = viewers
        self._receive_buffer = receive_buffer
        self._at_once = at_once
        self.sockets: list[Any] = []
        self.times: list[float] = []  # seconds from the begin until each had its snapshot
        self.failures = 0

    def connect(self) -> float:
        """Until each has what it asked for; the seconds that it took."""
        return self._all(self._one, self._at_once)

    def come_back(self) -> float:
        """The same after all were cut off: all at once, each again and again with full jitter."""
        self.close()
        self.sockets, self.times = [], []
        return self._all(self._again, self._viewers)

    def _all(self, one: Any, at_once: int) -> float:
        pool = Pool(at_once)
        began = time.monotonic()
        for _ in range(self._viewers):
            pool.spawn(one, began)
        assert pool.join(PATIENCE_SECONDS), f"{len(self.times)} of {self._viewers} in {PATIENCE_SECONDS:g} s"
        return time.monotonic() - began

    def _again(self, began: float) -> None:
        wait = BACKOFF_SECONDS
        while True:
            gevent.sleep(random.uniform(0, wait))
            try:
                return self._one(began)
            except OSError:
                self.failures += 1
                wait = min(2 * wait, MOST_BACKOFF_SECONDS)

    def _one(self, began: float) -> None:
        sock = socket.socket()
        try:
            if self._receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
            sock.settimeout(PATIENCE_SECONDS)
            sock.connect(self._address)
            sock.sendall(handshake(*self._address))
            answered, text = 0, b""
            while b"\r\n\r\n" not in text:
                text += _more(sock)
            sock.sendall(b"".join(self._frames))
            while answered < len(self._frames):
                text = text[-12:] + _more(sock)
                answered += text.count(b'"op":"subbed"')
        except BaseException:
            sock.close()
            raise
        self.sockets.append(sock)
        self.times.append(time.monotonic() - began)

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()
        self.sockets.clear()
        gevent.sleep(0.01)  # gevent closes descriptors in its loop

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _more(sock: Any) -> bytes:
    data: bytes = sock.recv(65_536)
    if not data:
        raise ConnectionResetError("hung up on")
    return data
