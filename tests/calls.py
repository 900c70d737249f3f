"""HTTP as a client that may misbehave: exact bytes out, whole answers back, each held to the description."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote, urlsplit

from tests.contracts.test_openapi import DOCUMENT, check, operation_of, resolved

JSON_TYPE = "application/json"


class Reply(NamedTuple):
    """headers: by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def values(self) -> list[bytes]:
        """The JSON text of each `value` in the answer, as it went over the wire."""
        return re.findall(rb'"value":(.*?),"(?:category|rev)":', self.body, re.DOTALL)


class Caller:
    """Calls a server, on one connection inside `with`. `check=True` holds every answer to openapi.json."""

    def __init__(self, url: str, token: str | None = None, *, check: bool = True) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self.address = (parts.hostname, parts.port)
        self._connection = http.client.HTTPConnection(*self.address, timeout=60)
        self._token = token
        self._check = check
        self._keep = False

    def __enter__(self) -> Self:
        self._keep = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def __call__(
        self, method: str, path: str, body: bytes | str | None = None, /, **headers: str | None
    ) -> Reply:
        """headers: `if_match='"4"'` sends If-Match; None leaves out what else would be sent, such as content_type."""
        sent: dict[str, str | None] = {}
        if self._token is not None:
            sent["authorization"] = f"Bearer {self._token}"
        if body is not None:
            sent["content_type"] = JSON_TYPE
        text = body.encode() if isinstance(body, str) else body
        lines = {name.replace("_", "-"): value for name, value in (sent | headers).items() if value is not None}
        reply = self._exchange(method, path, text, lines)
        if self._check:
            assert_described(method, path, reply)
        return reply

    def _exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        try:
            self._connection.request(method, path, body, headers)
            return reply_of(self._connection.getresponse())
        finally:
            if not self._keep:
                self._connection.close()

    def add(self, key: str, value: str | bytes, /, *, more: str = "", **headers: str | None) -> Reply:
        """POST /add of the JSON text `value`; more: further members, as text."""
        text = value if isinstance(value, bytes) else value.encode()
        body = b'{"key":%s,"value":%s%s}' % (json.dumps(key).encode(), text, more.encode())
        return self("POST", "/add", body, **headers)

    def rev_of(self, key: str, value: str | bytes = "1", /, *, more: str = "") -> int:
        """Write, expecting success."""
        reply = self.add(key, value, more=more)
        assert reply.status == 200, reply
        return int(reply.json()["rev"])

    def get(self, key: str, query: str = "", /, **headers: str | None) -> Reply:
        return self("GET", f"/get/{quote(key, safe='')}{query}", **headers)

    def raw(self, request: bytes, *, end: bool = False) -> Reply:
        """Send exactly `request` on a connection of its own; end: and close our half of it."""
        with socket.create_connection(self.address, timeout=60) as connection:
            connection.sendall(request)
            if end:
                connection.shutdown(socket.SHUT_WR)
            response = http.client.HTTPResponse(connection)
            response.begin()
            return reply_of(response)


def reply_of(response: http.client.HTTPResponse) -> Reply:
    return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


def assert_described(method: str, path: str, reply: Reply) -> None:
    """The answer is one that openapi.json describes for this call."""
    if not reply.body:
        return
    operation = operation_of(method, path)
    described = operation["responses"] if operation else {}
    answer = resolved(described.get(str(reply.status), DOCUMENT["components"]["responses"]["Error"]))
    content = answer.get("content", {})
    assert reply.headers["content-type"].split(";")[0] in content, reply
    if JSON_TYPE in content:
        check(reply.json(), content[JSON_TYPE].get("schema", {}))


def assert_error(reply: Reply, status: int, code: str) -> str:
    """The one JSON error, with a sentence; return the sentence."""
    assert reply.headers["content-type"] == JSON_TYPE, reply
    assert reply.headers["x-content-type-options"] == "nosniff"
    answer = reply.json()
    assert answer.keys() == {"success", "error"}
    assert answer["success"] is False
    assert answer["error"].keys() <= {"code", "message", "detail"}
    message = answer["error"]["message"]
    assert (reply.status, answer["error"]["code"]) == (status, code), message
    assert re.fullmatch(r".*[a-z].*[.)]", message, re.DOTALL), message
    assert ("retry-after" in reply.headers) == (status in (429, 503))
    if "retry-after" in reply.headers:
        assert int(reply.headers["retry-after"]) >= 1
    assert ("www-authenticate" in reply.headers) == (status == 401)
    return str(message)
