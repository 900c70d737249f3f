"""A viewer that speaks WebSocket (RFC 6455) or SSE by hand, so that a test can also speak it wrongly, or not read."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.polling import HANG_SECONDS

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
Object = dict[str, Any]


class Closed(Exception):
    """code: of the close frame, 1006 where none came."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"closed with {code} {reason}")
        self.code = code
        self.reason = reason


class Refused(Exception):
    """The answer to a handshake that was not accepted."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status} {body!r}")
        self.status = status
        self.body = body


def frame(opcode: int, payload: bytes, *, end: bool = True, masked: bool = True, reserved: int = 0) -> bytes:
    head = bytes([(0x80 if end else 0) | reserved | opcode])
    size = len(payload)
    bit = 0x80 if masked else 0
    if size < 126:
        head += bytes([bit | size])
    elif size < 65_536:
        head += bytes([bit | 126]) + struct.pack(">H", size)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


class Connection:
    """One TCP connection that has sent a GET and has read the head of the answer."""

    def __init__(
        self, url: str, path: str, headers: Mapping[str, str], *, receive_buffer: int | None = None,
        within: float = HANG_SECONDS,
    ) -> None:
        parts = urlsplit(url)
        self.sock = socket.socket()
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(within)
        self.sock.connect((parts.hostname, parts.port))
        fields = {"Host": parts.netloc} | dict(headers)
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.data = b""
        while b"\r\n\r\n" not in self.data:
            self._more()
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        status, *given = head.decode().split("\r\n")
        self.status = int(status.split(" ")[1])
        self.headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in given)}

    def _more(self) -> None:
        try:
            data = self.sock.recv(65_536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Closed(1006)
        self.data += data

    def take(self, size: int) -> bytes:
        while len(self.data) < size:
            self._more()
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def line(self) -> bytes:
        while b"\n" not in self.data:
            self._more()
        line, _, self.data = self.data.partition(b"\n")
        return line.rstrip(b"\r")

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Reader(Connection):
    """Objects one after the other, however they are framed."""

    def next(self, within: float = HANG_SECONDS) -> Object:
        raise NotImplementedError

    def change(self) -> Object:
        """The next object that is no heartbeat, which comes at any time."""
        while (found := self.next())["op"] == "hb":
            pass
        return found

    def until(self, op: str, within: float = HANG_SECONDS, **members: Any) -> list[Object]:
        """Every object up to and with the first that has `op` and `members`; no heartbeat, unless that is wanted."""
        ends = time.monotonic() + within
        seen: list[Object] = []
        while True:
            try:
                found = self.next(max(0.01, ends - time.monotonic()))
            except TimeoutError:
                raise AssertionError(f"no {op} {members} within {within:g} s, but {seen[-5:]}") from None
            if found["op"] == "hb" != op:
                continue
            seen.append(found)
            if found["op"] == op and members.items() <= found.items():
                return seen

    def last(self, op: str, within: float = HANG_SECONDS, **members: Any) -> Object:
        return self.until(op, within, **members)[-1]

    def silent_for(self, seconds: float) -> None:
        """Assert that nothing but heartbeats comes."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            try:
                got = self.next(left)
            except TimeoutError:
                return
            assert got["op"] == "hb", got


class WebSocket(Reader):
    """`objects` come one by one; pings are answered unless `pongs` is False."""

    def __init__(
        self, url: str, path: str = "/ws", headers: Mapping[str, str] | None = None, *,
        receive_buffer: int | None = None, pongs: bool = True, greeted: bool = True,
    ) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        handshake = {
            "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key,
        }
        super().__init__(url, path, handshake | dict(headers or {}), receive_buffer=receive_buffer)
        if self.status != 101:
            body = self.take(int(self.headers["content-length"]))
            self.close()
            raise Refused(self.status, body)
        self._pongs = pongs
        self._objects: deque[Object] = deque()
        self._parts = b""
        self.pongs_heard: list[bytes] = []
        self.hello: Object = self.next() if greeted else {}

    def send(self, *messages: Mapping[str, Any]) -> None:
        for message in messages:
            self.sock.sendall(frame(TEXT, json.dumps(message).encode()))

    def subscribe(self, *keys: str, **members: Any) -> list[Object]:
        """Everything up to and with `subbed`."""
        self.send({"op": "sub", "keys": list(keys)} | members)
        return self.until("subbed")

    def frame(self, within: float = HANG_SECONDS) -> tuple[int, bytes]:
        """(first byte, payload) of the next frame. Raises TimeoutError, with nothing lost."""
        self.sock.settimeout(within)
        while (size := self._whole()) is None:
            self._more()
        head, length = size
        data = self.take(head + length)
        assert not data[1] & 0x80, "a server never masks"
        return data[0], data[head:]

    def _whole(self) -> tuple[int, int] | None:
        if len(self.data) < 2:
            return None
        length, head = self.data[1] & 0x7F, 2
        if length > 125:
            head = 4 if length == 126 else 10
            if len(self.data) < head:
                return None
            length = int.from_bytes(self.data[2:head], "big")
        return (head, length) if len(self.data) >= head + length else None

    def next(self, within: float = HANG_SECONDS) -> Object:
        """The next object. Raises Closed, or TimeoutError."""
        ends = time.monotonic() + within
        while not self._objects:
            first, payload = self.frame(max(0.01, ends - time.monotonic()))
            opcode = first & 0x0F
            if opcode == CLOSE:
                raise Closed(int.from_bytes(payload[:2], "big"), payload[2:].decode())
            if opcode == PING and self._pongs:
                self.sock.sendall(frame(PONG, payload))
            elif opcode == PONG:
                self.pongs_heard.append(payload)
            elif opcode == TEXT:
                assert first == 0x80 | TEXT, "one whole frame for a message, no extension"
                decoded = json.loads(payload)
                self._objects.extend(decoded if isinstance(decoded, list) else [decoded])
        return self._objects.popleft()

    def closed(self, within: float = HANG_SECONDS) -> Closed:
        """Read to the end; how it ended."""
        ends = time.monotonic() + within
        try:
            while True:
                self.next(max(0.01, ends - time.monotonic()))
        except Closed as closed:
            return closed


class EventStream(Reader):
    """GET /sse. `ids` holds the id of every event that had one."""

    def __init__(self, url: str, query: str, headers: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(url, f"/sse?{query}", headers or {}, **options)
        if self.status != 200:
            body = self.take(int(self.headers["content-length"]))
            self.close()
            raise Refused(self.status, body)
        self.ids: list[str] = []
        self._events = b""

    def next(self, within: float = HANG_SECONDS) -> Object:
        """The next event. Raises Closed at the end of the stream, TimeoutError with nothing lost but time."""
        ends = time.monotonic() + within
        while b"\n\n" not in self._events:
            self.sock.settimeout(max(0.01, ends - time.monotonic()))
            self._chunk()
        event, _, self._events = self._events.partition(b"\n\n")
        fields = dict(line.split(": ", 1) for line in event.decode().split("\n"))
        if "id" in fields:
            self.ids.append(fields["id"])
        decoded: Object = json.loads(fields["data"])
        return decoded

    def _chunk(self) -> None:
        while b"\r\n" not in self.data:
            self._more()
        size = int(self.data.partition(b"\r\n")[0], 16)
        head = self.data.index(b"\r\n") + 2
        while len(self.data) < head + size + 2:
            self._more()
        chunk = self.take(head + size + 2)
        if not size:
            raise Closed(1000)
        self._events += chunk[head:-2]
