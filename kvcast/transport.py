"""HTTP for the client: one keep-alive pool, errors by name, and the one retry policy."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
import urllib3

from kvcast.errors import InvalidRequest, KvcastError, OutcomeUnknown, SettingsError, Unavailable
from kvcast.retries import may_repeat_reading, with_retries

_GATEWAY_STATUSES = (502, 504)
_NOTHING_SENT = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.SSLError,
)


class Unreachable(Unavailable):
    """No connection to the server: nothing was sent."""

    code = "unreachable"


class ErrorBody(msgspec.Struct):
    """The `error` object of an answer or a batch line."""

    code: str
    message: str
    detail: Any = None


class _ErrorAnswer(msgspec.Struct):
    error: ErrorBody


def _subclasses(base: type[KvcastError]) -> list[type[KvcastError]]:
    return [found for child in base.__subclasses__() for found in (child, *_subclasses(child))]


_ANSWERED = [found for found in _subclasses(KvcastError) if found is not SettingsError]
_BY_CODE = {found.code: found for found in _ANSWERED}
_BY_STATUS = {found.status: found for found in reversed(_ANSWERED)}  # the most general one of a status stays


def error_of(code: str, message: str, status: int | None = None, **more: Any) -> KvcastError:
    """The error class that `code` names, else the one of `status` (codes grow; classes stay few)."""
    found = _BY_CODE.get(code) or _BY_STATUS.get(status or 0) or KvcastError
    return found(message, code=code, **more)


def error_of_answer(status: int, retry_after: str, body: bytes) -> KvcastError:
    """What an HTTP answer that is no success says; retry_after: its header, or ''."""
    seconds = int(retry_after) if retry_after.isascii() and retry_after.isdigit() else None
    try:
        error = msgspec.json.decode(body, type=_ErrorAnswer).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        if status in _GATEWAY_STATUSES:
            return OutcomeUnknown(f"A proxy answered {status} for the server; try again.")
        return error_of(
            "unexpected_answer",
            f"The server answered {status} without the JSON error of kvcast; is the URL a kvcast server's?",
            status,
            retry_after_seconds=seconds,
        )
    return error_of(error.code, error.message, status, detail=error.detail, retry_after_seconds=seconds)


def parse_url(url: str) -> str:
    """`url` without a trailing slash. Raises InvalidRequest when it is not http:// or https:// with a host."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment:
        raise InvalidRequest(f"{url!r} is no server's URL; give one such as http://127.0.0.1:8000.", code="invalid_url")
    return url.rstrip("/")


class Transport:
    """Calls one server. Safe to use from several threads."""

    def __init__(
        self, url: str, token: str | None = None, *, timeout_seconds: float = 10.0, retry_seconds: float = 10.0
    ) -> None:
        """url: http(s)://host[:port]; timeout_seconds: to connect and for each read of an answer;
        retry_seconds: how long a failed call is repeated, 0 for never."""
        if token and not token.isprintable():
            raise InvalidRequest("The token holds a line break or another control character; give it bare.")
        self.url = parse_url(url)
        self.token = token
        self.retry_seconds = retry_seconds
        self.timeout_seconds = timeout_seconds
        self._pool = urllib3.PoolManager(
            retries=False, timeout=urllib3.Timeout(connect=timeout_seconds, read=timeout_seconds), maxsize=8
        )

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The body of the answer; what failed in passing is repeated, an unknown outcome too.

        So a call that writes must carry an Idempotency-Key. Raises KvcastError.
        """
        gives_up_at = time.monotonic() + self.retry_seconds
        starts_at = 0.0

        def attempt() -> bytes:
            time.sleep(max(0.0, starts_at - time.monotonic()))
            return self.call_once(method, path, query=query, body=body, headers=headers)

        def repeat(error: BaseException) -> bool:
            nonlocal starts_at
            starts_at = time.monotonic() + (getattr(error, "retry_after_seconds", None) or 0)
            return may_repeat_reading(error) and starts_at < gives_up_at

        return with_retries(attempt, attempts=100, most_seconds=max(0.001, self.retry_seconds), only_if=repeat)()

    def call_once(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Like `call`, but tried once."""
        sent = {"Accept": "application/json", **(headers or {})}
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}".encode().decode("latin-1")  # headers go out as Latin-1
        url = self.url + path + ("?" + urlencode(query) if query else "")
        try:
            response = self._pool.request(method, url, body=body, headers=sent, redirect=False)
        except _NOTHING_SENT as error:
            raise unreachable(self.url, error) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise OutcomeUnknown(
                f"The connection to {self.url} broke before the answer came ({_reason(error)}); try again.",
                retry_after_seconds=0,
            ) from None
        if response.status >= 300:
            raise error_of_answer(response.status, response.headers.get("Retry-After", ""), response.data)
        return response.data

    def ssl_context(self) -> ssl.SSLContext | None:
        """For the WebSocket of the same server."""
        return ssl.create_default_context() if self.url.startswith("https://") else None

    def close(self) -> None:
        self._pool.clear()


def unreachable(url: str, error: BaseException) -> Unreachable:
    return Unreachable(
        f"Cannot reach {url} ({_reason(error)}); start the server there or give another URL.", retry_after_seconds=0
    )


def _reason(error: BaseException) -> str:
    """The innermost cause in its own words: urllib3 wraps it two or three times."""
    while isinstance(cause := error.__cause__ or error.__context__, Exception):
        error = cause
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
