"""What a viewer listens to: a WebSocket or server-sent events, as messages of the server."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from typing import Protocol
from urllib.parse import urlencode, urlsplit

import msgspec
from gevent import socket
from websockets.client import ClientProtocol
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from tests.checker.load.http import CONNECT_SECONDS, address
from tests.checker.records import Open

FRAME_MAX_BYTES = 2**26
_PIECE = 1 << 18
_ASKED = ("keys", "prefixes", "categories", "since", "epoch", "max_rate")


class Frame(msgspec.Struct):
    """A message of the server, whatever its op."""

    op: str
    key: str = ""
    rev: int = 0
    value: msgspec.Raw = msgspec.Raw(b"null")
    epoch: str = ""
    server: str = ""
    heartbeat: float = 10.0
    keys: list[str] = []
    absent: list[str] = []
    recovered: bool = True
    code: str = ""


_object = msgspec.json.Decoder(Frame)
_array = msgspec.json.Decoder(list[Frame])


class Refusal(Exception):
    """The server answered something else than a stream."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class Ended(Exception):
    """code: of the close frame; 0: the stream ended as HTTP ends; None: it broke."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class Stream(Protocol):
    def messages(self) -> Iterator[list[Frame]]:
        """Raises Ended, or TimeoutError when nothing came for as long as `listen_for` allows."""

    def listen_for(self, seconds: float) -> None: ...

    def close(self) -> None: ...


class WebSocket:
    """Raises Refusal, OSError."""

    def __init__(self, url: str) -> None:
        self._protocol = ClientProtocol(parse_uri("ws" + url.removeprefix("http") + "/ws"), max_size=FRAME_MAX_BYTES)
        self._socket = socket.create_connection(address(url), CONNECT_SECONDS)
        self._socket.settimeout(10.0)
        try:
            self._protocol.send_request(self._protocol.connect())
            self._send()
            self._early: list[object] = []
            while not self._early:
                self._early = self._events()
        except Ended:
            raise ConnectionResetError from None
        except BaseException:
            self._socket.close()
            raise
        response = self._early.pop(0)
        assert isinstance(response, Response)
        if response.status_code != 101:
            self._socket.close()
            raise Refusal(response.status_code)

    def subscribe(self, wanted: Open) -> None:
        message = {"op": "sub", "mode": wanted.mode}
        self._until_closed()
        message |= {name: getattr(wanted, name) for name in _ASKED}
        self._protocol.send_text(msgspec.json.encode({name: part for name, part in message.items() if part}))
        self._send()

    def messages(self) -> Iterator[list[Frame]]:
        events, self._early = self._early, []
        while True:
            for event in events:
                if isinstance(event, WebSocketFrame) and event.opcode is Opcode.TEXT:
                    data = bytes(event.data)
                    yield _array.decode(data) if data[:1] == b"[" else [_object.decode(data)]
            self._until_closed()
            events = self._events()

    def _until_closed(self) -> None:
        if self._protocol.close_rcvd is not None:
            raise Ended(self._protocol.close_rcvd.code)

    def listen_for(self, seconds: float) -> None:
        self._socket.settimeout(seconds)

    def _events(self) -> list[object]:
        try:
            data = self._socket.recv(_PIECE)
        except TimeoutError:
            raise
        except OSError:
            data = b""
        if not data:
            raise Ended(None)
        self._protocol.receive_data(data)
        self._send()
        return list(self._protocol.events_received())

    def _send(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._socket.sendall(data)

    def close(self) -> None:
        self._socket.close()


def resumes_by_id(wanted: Open) -> bool:
    """Of a single key browsers say by themselves where they were."""
    return bool(len(wanted.keys) == 1 and wanted.since and wanted.epoch)


class EventStream:
    """Raises Refusal, OSError, http.client.HTTPException."""

    def __init__(self, url: str, wanted: Open) -> None:
        parameters: list[tuple[str, str]] = [("mode", wanted.mode)]
        for name, one in (("keys", "key"), ("prefixes", "prefix"), ("categories", "category")):
            parameters += [(one, text) for text in getattr(wanted, name)]
        parameters += [("since", f"{key}:{rev}") for key, rev in wanted.since.items()]
        parameters += [(name, str(part)) for name in ("epoch", "max_rate") if (part := getattr(wanted, name))]
        headers = {}
        if resumes_by_id(wanted):
            [rev] = wanted.since.values()
            headers["Last-Event-ID"] = f"{wanted.epoch}-{rev}"
            parameters = [(name, part) for name, part in parameters if name not in ("since", "epoch")]
        host, port = address(url)
        connection = http.client.HTTPConnection(host, port)
        self._socket = connection.sock = socket.create_connection((host, port), CONNECT_SECONDS)
        self._socket.settimeout(10.0)
        try:
            connection.request("GET", urlsplit(url).path + "/sse?" + urlencode(parameters), headers=headers)
            self._response = connection.getresponse()
        except BaseException:
            self._socket.close()
            raise
        if self._response.status != 200:
            self.close()
            raise Refusal(self._response.status)

    def messages(self) -> Iterator[list[Frame]]:
        while True:
            try:
                line = self._response.readline()
            except TimeoutError:
                raise
            except (OSError, http.client.HTTPException, ValueError):
                raise Ended(None) from None
            if not line:
                raise Ended(0 if self._response.isclosed() else None)
            if line.startswith(b"data:"):
                yield [_object.decode(line[5:])]

    def listen_for(self, seconds: float) -> None:
        self._socket.settimeout(seconds)

    def close(self) -> None:
        self._response.close()
        self._socket.close()
