"""kvcast as a client sees it through the ingress."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any, NamedTuple

from websockets.sync.client import connect

from kvcast.messages import Change
from tests.calls import Caller, Reply

HISTORY_MOST = 10_000


class Greeting(NamedTuple):
    """server: the pod that answered; cookie: what it set, or None."""

    server: str
    cookie: str | None


class Site(Caller):
    """Calls by the host that the ingress routes by; holds every answer to openapi.json."""

    def __init__(self, url: str, host: str, token: str) -> None:
        super().__init__(url, token)
        self.host = host
        self.token = token

    def __call__(
        self, method: str, path: str, body: bytes | str | None = None, /, **headers: str | None
    ) -> Reply:
        return super().__call__(method, path, body, **{"host": self.host, **headers})

    def call_plainly(self, method: str, path: str, body: str | None = None) -> Reply:
        """Also where the ingress itself may answer, which no description of ours covers."""
        reply = Caller(f"http://{self.address[0]}:{self.address[1]}", self.token, check=False)(
            method, path, body, host=self.host
        )
        return reply if reply.headers.get("content-type") == "application/json" else reply._replace(status=0)

    def row(self, key: str, least: int = 0) -> Change:
        """What `/get` answers with `min_rev`."""
        answer = self.get(key, f"?min_rev={least}").json()
        return Change(key, json.dumps(answer["value"]).encode(), answer["category"], answer["rev"], 0, "")

    def ticks(self, key: str) -> list[Change]:
        answer = self("GET", f"/history/{key}?limit={HISTORY_MOST}").json()
        return [Change(key, json.dumps(one["value"]).encode(), "default", one["rev"], 0, "") for one in answer["data"]]

    def greet(self, cookie: str | None = None) -> Greeting:
        """Open a WebSocket, and leave."""
        with self.socket(cookie) as opened:
            hello = json.loads(opened.recv(10))
            response = opened.response
            assert response is not None
            return Greeting(_hello(hello)["server"], _pair(response.headers.get("Set-Cookie")))

    @contextmanager
    def socket(self, cookie: str | None = None) -> Iterator[Any]:
        headers = {"Cookie": cookie} if cookie else {}
        connection = socket.create_connection(self.address, timeout=15)
        with connect(f"ws://{self.host}/ws", sock=connection, additional_headers=headers, compression=None) as opened:
            yield opened

    def greet_events(self, cookie: str | None = None) -> Greeting:
        """The same by GET /sse."""
        connection = HTTPConnection(*self.address, timeout=15)
        headers = {"Host": self.host, **({"Cookie": cookie} if cookie else {})}
        connection.request("GET", "/sse?key=affinity", headers=headers)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        line = next(line for line in response if line.startswith(b"data:"))
        connection.close()
        return Greeting(_hello(json.loads(line[5:]))["server"], _pair(response.headers.get("Set-Cookie")))


def _hello(message: Any) -> dict[str, Any]:
    frames = message if isinstance(message, list) else [message]
    return next(frame for frame in frames if frame["op"] == "hello")


def _pair(header: str | None) -> str | None:
    return header.split(";")[0] if header else None
