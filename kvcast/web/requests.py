"""Reading a request out of its WSGI environ, with every limit."""

from __future__ import annotations

import re
from contextlib import nullcontext
from datetime import UTC, datetime
from io import BytesIO
from urllib.parse import parse_qsl

from gevent import Timeout
from gunicorn.http.errors import ParseException

from kvcast.errors import InvalidKey, InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from kvcast.keys import parse_key
from kvcast.messages import MESSAGE_MAX_REV
from kvcast.web.answers import Environ

_JSON_TYPE = re.compile(r'application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?', re.IGNORECASE)
_NDJSON_TYPE = re.compile(
    r'application/(x-ndjson|ndjson|jsonl|x-jsonlines)\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?', re.IGNORECASE
)
_ETAG = re.compile(r'\s*(W/)?"([^"]*)"\s*')
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def path_text(environ: Environ) -> str:
    """The path as text; raises InvalidKey for bytes that are no UTF-8, which must not meet as U+FFFD."""
    raw: str = environ.get("PATH_INFO", "")
    if raw.isascii():
        return raw
    try:
        return raw.encode("latin-1").decode()
    except UnicodeError:
        raise InvalidKey("The address is not UTF-8; percent-encode the key's UTF-8 bytes.") from None


def key_in_path(environ: Environ, prefix: str) -> str:
    return parse_key(path_text(environ)[len(prefix) :])


def read_body(environ: Environ, most_bytes: int, timeout_seconds: float) -> bytes:
    """The whole body. Raises PayloadTooLarge, UnsupportedMediaType, or InvalidRequest when it stops or is late."""
    if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise UnsupportedMediaType("The body is compressed; send it as it is, without Content-Encoding.")
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isdigit() and int(length) > most_bytes:
        raise _too_large(most_bytes)
    late = InvalidRequest(f"The body took over {timeout_seconds:g} s to arrive; send it faster.", code="slow_body")
    source = environ["wsgi.input"]
    is_here = isinstance(source, BytesIO)
    with nullcontext() if is_here else Timeout(timeout_seconds, late):
        try:
            body: bytes = source.read(int(length) if length.isdigit() else most_bytes + 1)
        except OSError as error:
            raise InvalidRequest(f"The body ended early ({error}); send all of it.") from None
        except ParseException as error:
            raise InvalidRequest(f"The body is not chunked as HTTP asks for ({error}); send it anew.") from None
    if len(body) > most_bytes:
        raise _too_large(most_bytes)
    if length.isdigit() and len(body) < int(length):
        raise InvalidRequest("The body is shorter than its Content-Length; send all of it.")
    return body


def _too_large(most_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body may have at most {most_bytes} bytes; send less at a time.")


def is_ndjson(environ: Environ) -> bool:
    """Whether the body is NDJSON rather than JSON. Raises UnsupportedMediaType when it is neither."""
    content_type = environ.get("CONTENT_TYPE", "")
    if _NDJSON_TYPE.fullmatch(content_type):
        return True
    require_json(environ, " or application/x-ndjson")
    return False


def require_json(environ: Environ, alternative: str = "") -> None:
    content_type = environ.get("CONTENT_TYPE", "")
    if content_type != "application/json" and not _JSON_TYPE.fullmatch(content_type):
        raise UnsupportedMediaType(
            f"The Content-Type is {content_type or 'missing'}; send application/json{alternative}, in UTF-8."
        )


def query(environ: Environ, *allowed: str) -> dict[str, list[str]]:
    """The query's parameters. Raises InvalidRequest for one that is not `allowed` or not UTF-8."""
    try:
        pairs = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except (UnicodeDecodeError, ValueError):
        raise InvalidRequest("The query is not percent-encoded UTF-8 or has over 1,000 parameters.") from None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in allowed:
            raise InvalidRequest(f"Unknown parameter {name!r}; there are: {', '.join(allowed) or 'none'}.")
        found.setdefault(name, []).append(value)
    return found


def single(parameters: dict[str, list[str]], name: str) -> str | None:
    values = parameters.get(name)
    if values is None:
        return None
    if len(values) > 1:
        raise InvalidRequest(f"The parameter {name} was given {len(values)} times; give it once.")
    return values[0]


def whole_number(parameters: dict[str, list[str]], name: str, default: int, least: int, most: int) -> int:
    text = single(parameters, name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,19}", text) or not least <= int(text) <= most:
        raise InvalidRequest(f"The parameter {name} is {text!r}; give a whole number from {least} to {most}.")
    return int(text)


def moment(parameters: dict[str, list[str]], name: str) -> str | None:
    """A point in time as PostgreSQL takes it, from ISO 8601 or Unix seconds. Raises InvalidRequest."""
    text = single(parameters, name)
    if text is None:
        return None
    try:
        if re.fullmatch(r"[0-9]{1,11}(\.[0-9]{1,6})?", text):
            found = datetime.fromtimestamp(float(text), UTC)
        else:
            found = datetime.fromisoformat(text.replace(" ", "+"))  # a + that was not percent-encoded
        found = found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)  # PostgreSQL knows no offset above 16 h
    except (ValueError, OverflowError, OSError):
        raise InvalidRequest(
            f"The parameter {name} is {text!r}; give a time such as 2026-01-31T12:00:00Z, or Unix seconds."
        ) from None
    return found.isoformat()


def min_rev(parameters: dict[str, list[str]]) -> int:
    return whole_number(parameters, "min_rev", 0, 0, MESSAGE_MAX_REV)


def etags(environ: Environ, header: str, *, weak_allowed: bool) -> list[int] | str | None:
    """The revs of an If-Match or If-None-Match header: a list, "*", or None where there is no header.

    An ETag that is not ours matches nothing, and so is left out. Raises InvalidRequest when it is malformed.
    """
    text = environ.get(header)
    if text is None:
        return None
    if text.strip() == "*":
        return "*"
    revs = []
    for item in text.split(","):
        match = _ETAG.fullmatch(item)
        if match is None:
            name = header.removeprefix("HTTP_").replace("_", "-").title()
            raise InvalidRequest(f'{name} is malformed; send the ETag of an answer with its quotes, like "41", or *.')
        if re.fullmatch(r"[0-9]{1,18}", match[2]) and (weak_allowed or not match[1]):
            revs.append(int(match[2]))
    return revs
