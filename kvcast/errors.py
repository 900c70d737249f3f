"""Every error that kvcast raises or answers.

    KvcastError
    ├── InvalidRequest            400  ├── InvalidKey  ├── InvalidValue
    ├── Unauthorized              401
    ├── Forbidden                 403
    ├── NotFound                  404  └── KeyNotFound
    ├── MethodNotAllowed          405
    ├── Conflict                  409
    ├── PreconditionFailed        412
    ├── PayloadTooLarge           413
    ├── UnsupportedMediaType      415
    ├── TooManyRequests           429
    ├── InternalError             500
    └── Unavailable               503  ├── StorageUnavailable
                                       ├── OutcomeUnknown
                                       ├── BusUnavailable
                                       └── Overloaded

`code` is for programs, the message is a sentence for people that names the mend, and `permanent` says
whether repeating the same call can ever help.
"""

from __future__ import annotations

from typing import Any, ClassVar


class KvcastError(Exception):
    """Base of all. `detail` is JSON-able; `retry_after_seconds` is sent as Retry-After."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    permanent: ClassVar[bool] = True

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        detail: Any = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.error_code = code or self.code
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds
        if retry_after_seconds is None and not self.permanent:
            self.retry_after_seconds = 1

    def body(self) -> dict[str, Any]:
        """The `error` object of an answer, a batch line or a WebSocket message."""
        body: dict[str, Any] = {"code": self.error_code, "message": self.message}
        if self.detail is not None:
            body["detail"] = self.detail
        return body


class SettingsError(KvcastError):
    """A setting stops the start; the message names the variable and the mend."""

    code = "invalid_setting"


class InvalidRequest(KvcastError):
    code = "invalid_request"
    status = 400


class InvalidKey(InvalidRequest):
    code = "invalid_key"


class InvalidValue(InvalidRequest):
    code = "invalid_value"


class Unauthorized(KvcastError):
    code = "unauthorized"
    status = 401


class Forbidden(KvcastError):
    code = "forbidden"
    status = 403


class NotFound(KvcastError):
    code = "not_found"
    status = 404


class KeyNotFound(NotFound):
    code = "key_not_found"


class MethodNotAllowed(KvcastError):
    code = "method_not_allowed"
    status = 405


class Conflict(KvcastError):
    code = "conflict"
    status = 409


class PreconditionFailed(KvcastError):
    code = "precondition_failed"
    status = 412


class PayloadTooLarge(KvcastError):
    code = "payload_too_large"
    status = 413


class UnsupportedMediaType(KvcastError):
    code = "unsupported_media_type"
    status = 415


class TooManyRequests(KvcastError):
    code = "too_many_requests"
    status = 429
    permanent = False


class InternalError(KvcastError):
    code = "internal_error"
    status = 500


class Unavailable(KvcastError):
    code = "unavailable"
    status = 503
    permanent = False


class StorageUnavailable(Unavailable):
    """PostgreSQL did not take the statement: nothing was applied."""

    code = "storage_unavailable"


class RowLocked(StorageUnavailable):
    """Somebody else's transaction has held a row for longer than the statement would wait for it."""


class OutcomeUnknown(Unavailable):
    """The connection broke between the statement and its answer: it may or may not have been applied."""

    code = "outcome_unknown"


class BusUnavailable(Unavailable):
    code = "bus_unavailable"


class Overloaded(Unavailable):
    code = "overloaded"
