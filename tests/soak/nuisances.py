"""Clients that do everything wrong, in turn, for ever: what they leave behind would be a leak."""

from __future__ import annotations

import itertools
import random
import socket
import threading
from collections import Counter
from types import TracebackType
from typing import Self

from tests.calls import Caller
from tests.functions.push.raw import PING, TEXT, Closed, EventStream, Refused, WebSocket, frame

from benchmarks.worlds import Server

PAUSE_SECONDS = 0.05
BAD_BODIES = [b'{"key":"a","value":NaN}', b"[" * 5000, b'{"key":"a"', b'{"key":"\\ud800"}', b"a=1"]
BAD_FRAMES = [frame(TEXT, b"\xff"), frame(0x3, b""), frame(PING, b"", end=False)]


class Nuisances:
    """Inside `with`; outcomes: how often each was answered how."""

    def __init__(self, write: Server, read: Server, push: Server, token: str) -> None:
        self.outcomes: Counter[str] = Counter()
        self._write = Caller(write.url, token, check=False)
        self._stranger = Caller(write.url, check=False)
        self._read = Caller(read.url, check=False)
        self._push = push
        self._random = random.Random(1)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(30)

    def _run(self) -> None:
        kinds = (
            self._bad_body, self._stranger_writes, self._absent, self._bad_address, self._half_request,
            self._bad_frame, self._leaves_mid_frame, self._event_stream, self._bad_handshake, self._stale_compare,
        )  # fmt: skip
        for kind in itertools.cycle(kinds):
            if self._ended.wait(PAUSE_SECONDS):
                return
            name = kind.__name__.strip("_").replace("_", " ")
            try:
                outcome = kind()
            except Closed as closed:
                outcome = closed.code
            except (OSError, Refused) as error:
                outcome = getattr(error, "status", type(error).__name__)
            self.outcomes[f"{name}: {outcome}"] += 1

    def _bad_body(self) -> int:
        body = self._random.choice(BAD_BODIES)
        return self._write("POST", self._random.choice(["/add", "/batch"]), body).status

    def _stranger_writes(self) -> int:
        return self._stranger("POST", "/add", b'{"key":"a","value":1}').status

    def _absent(self) -> int:
        return self._read("GET", f"/get/absent.{self._random.randrange(10**9)}").status

    def _bad_address(self) -> int:
        return self._read("GET", self._random.choice(["/get/%00", "/nothing", "/keys?limit=x", "/get/a%2Fb"])).status

    def _stale_compare(self) -> int:
        return self._write("POST", "/add", b'{"key":"soak.compared","value":1}', if_match='"1"').status

    def _half_request(self) -> str:
        with socket.create_connection(self._write.address, timeout=5) as connection:
            connection.sendall(b"POST /add HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
        return "left"

    def _bad_frame(self) -> int:
        with WebSocket(self._push.url) as viewer:
            viewer.sock.sendall(self._random.choice(BAD_FRAMES))
            return viewer.closed().code

    def _leaves_mid_frame(self) -> str:
        with WebSocket(self._push.url) as viewer:
            viewer.sock.sendall(frame(TEXT, b'{"op":"sub","keys":["soak.compared"]}')[: self._random.randrange(1, 40)])
        return "left"

    def _event_stream(self) -> str:
        with EventStream(self._push.url, "key=soak.compared") as stream:
            stream.until("subbed")
        return "left"

    def _bad_handshake(self) -> int:
        with WebSocket(self._push.url, headers={"Origin": "https://evil.example"}):
            return 101
