"""What an endpoint gives back, before Flask or plain WSGI makes a response of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

import msgspec
from flask import Response
from werkzeug.exceptions import HTTPException

from kvcast.errors import (
    InternalError,
    InvalidRequest,
    KvcastError,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    TooManyRequests,
    UnsupportedMediaType,
)
from kvcast.messages import encode

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
_log = logging.getLogger(__name__)
STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
NOSNIFF = ("X-Content-Type-Options", "nosniff")
JSON = ("Content-Type", "application/json")
NOTHING_HERE = NotFound("There is nothing at this address; GET /docs lists what there is.")


class Answer(msgspec.Struct):
    """status: HTTP status; headers: without Content-Length, which is added; body: bytes."""

    status: int
    headers: Headers
    body: bytes

    def to_response(self) -> Response:
        response = Response(self.body, STATUS_LINES[self.status])
        response.headers.clear()
        for name, value in self.headers:
            response.headers.add(name, value)
        if self.status != HTTPStatus.NOT_MODIFIED:
            response.headers["Content-Length"] = str(len(self.body))
        response.headers.add(*NOSNIFF)
        return response

    def to_wsgi(self, start_response: Callable[..., Any], further: Headers) -> Iterable[bytes]:
        headers = [*self.headers]
        if self.status != HTTPStatus.NOT_MODIFIED:
            headers.append(("Content-Length", str(len(self.body))))
        start_response(STATUS_LINES[self.status], [*headers, NOSNIFF, *further])
        return [self.body]


Endpoint = Callable[[Environ], Answer]


def json_answer(payload: Any, status: int = 200, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    return Answer(status, [JSON, *headers], encode(payload))


def error_answer(error: KvcastError) -> Answer:
    """The one body of every error; 429 and 503 carry Retry-After."""
    headers = []
    if error.retry_after_seconds is not None:
        headers.append(("Retry-After", str(error.retry_after_seconds)))
    if error.status == 401:
        headers.append(("WWW-Authenticate", 'Bearer realm="kvcast"'))
    return json_answer({"success": False, "error": error.body()}, error.status, headers)


def from_http_exception(error: HTTPException) -> KvcastError:
    """What Flask refuses by itself, in our words."""
    allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
    known: dict[int, KvcastError] = {
        404: NOTHING_HERE,
        405: MethodNotAllowed(f"This address takes only {allowed or 'other methods'}; use one of them."),
        413: PayloadTooLarge("The body is too large; send less at a time."),
        415: UnsupportedMediaType("Send the body as application/json."),
        429: TooManyRequests("Too many requests; wait as long as Retry-After says."),
    }
    fallback = InvalidRequest(error.description or "The request was not understood; GET /docs says what is.")
    return known.get(error.code or 400, fallback)


def unforeseen(error: BaseException) -> KvcastError:
    """A fault of ours: logged whole, answered without a word of it."""
    _log.error("A request failed for a reason that nobody foresaw", exc_info=error)
    return InternalError("Something went wrong here; it was logged. Try again, and report it if it stays.")
