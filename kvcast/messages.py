"""What crosses a wire: the change of a key, the frames that viewers get, and what clients may send.

A value is the JSON text its writer sent. It is carried as bytes and never decoded on the way, so
`2345.60` stays `2345.60`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec

from kvcast.errors import InvalidRequest, InvalidValue
from kvcast.keys import parse_category, parse_key, parse_prefix

CLOSE_GOING_AWAY = 1001
CLOSE_TOO_BIG = 1009
CLOSE_RESTART = 1012
CLOSE_BAD_MESSAGE = 4400
CLOSE_UNAUTHORIZED = 4401
CLOSE_FORBIDDEN = 4403
CLOSE_TOO_SLOW = 4408
CLOSE_TOO_MANY = 4429

DEFAULT_CATEGORY = "default"
VALUE_MAX_DEPTH = 64
TTL_MAX_SECONDS = 10 * 365 * 86_400
MESSAGE_MAX_REV = 2**63 - 1

encode = msgspec.json.Encoder().encode


class Change(msgspec.Struct, frozen=True):
    """One change of one key: what PostgreSQL committed, what Redis holds, what viewers get.

    value: JSON text as UTF-8, or None for a deletion; prev: the rev before this one, 0 for none;
    updated_at: RFC 3339 in UTC with microseconds; expires_ms: Unix milliseconds, or 0 for never; request_id: of the
    request that made it, where requests are logged. It is not in PostgreSQL: what only the sweep finds has none.
    """

    key: str
    value: bytes | None
    category: str
    rev: int
    prev: int
    updated_at: str
    expires_ms: int = 0
    request_id: str = ""

    def members(self) -> bytes:
        """`"key":...,"value":...,"category":...,"rev":...,"updatedAt":...` without braces."""
        # The key grammar has no character that JSON escapes.
        return b'"key":"%s","value":%s,"category":"%s","rev":%d,"updatedAt":"%s"' % (
            self.key.encode(),
            self.value if self.value is not None else b"null",
            self.category.encode(),
            self.rev,
            self.updated_at.encode(),
        )

    def frame(self, op: Literal["upd", "snap"] = "upd") -> bytes:
        """The object a viewer gets; a deletion is a `del` whatever `op` says."""
        if self.value is None:
            return b'{"op":"del","key":"%s","rev":%d}' % (self.key.encode(), self.rev)
        return b'{"op":"%s",%s}' % (op.encode(), self.members())


def encode_record(change: Change) -> bytes:
    """A change as Redis carries it: one line of fields that need no JSON parser, then the value."""
    head = (
        f"{change.rev} {change.prev} {change.expires_ms} {change.updated_at}"
        f" {change.category} {change.key} {'del' if change.value is None else 'set'}"
    )
    if change.request_id:
        head += f" {change.request_id}"
    return head.encode() + b"\n" + (change.value or b"")


def decode_record(record: bytes) -> Change:
    head, _, value = record.partition(b"\n")
    fields = head.decode().split(" ")
    rev, prev, expires_ms, updated_at, category, key, kind = fields[:7]
    return Change(
        key=key,
        value=value if kind == "set" else None,
        category=category,
        rev=int(rev),
        prev=int(prev),
        updated_at=updated_at,
        expires_ms=int(expires_ms),
        request_id=fields[7] if len(fields) > 7 else "",
    )


class Add(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /add and one element of POST /batch."""

    key: str
    value: msgspec.Raw
    category: str | None = None
    ttl: Annotated[float, msgspec.Meta(gt=0, le=TTL_MAX_SECONDS)] | None = None


class Write(msgspec.Struct, frozen=True):
    """An accepted Add: key and category in NFC, value compact JSON text, ttl in seconds; request_id as in Change."""

    key: str
    value: str
    category: str | None = None
    ttl: float | None = None
    request_id: str = ""


_FORBIDDEN_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_NOT_A_NUMBER = re.compile(rb"NaN|Infinity")
# Takes a string that never ends too: to fail there and look again at each quote inside it would take for ever.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_add_decoder = msgspec.json.Decoder(Add)
_raw_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])


def check_value(raw: bytes, max_bytes: int) -> str:
    """Return the JSON text `raw` as it will be stored, or raise InvalidValue.

    Grammar has been checked by the decoder that cut `raw` out. Kept byte for byte, but for line breaks
    outside strings, which would break NDJSON and SSE.
    """
    if b"\n" in raw or b"\r" in raw:
        raw = msgspec.json.format(raw, indent=-1)
    if len(raw) > max_bytes:
        raise InvalidValue(
            f"The value has {len(raw)} bytes; at most {max_bytes} are taken (KVCAST_VALUE_MAX_BYTES).",
            code="value_too_large",
        )
    if b"\\u0000" in raw and _FORBIDDEN_ESCAPE.search(raw):
        raise InvalidValue("The value holds a NUL character (\\u0000); remove it.")
    if raw.count(b"[") + raw.count(b"{") > VALUE_MAX_DEPTH and _depth(raw) > VALUE_MAX_DEPTH:
        raise InvalidValue(f"The value is nested deeper than {VALUE_MAX_DEPTH}; flatten it.")
    return raw.decode()


def _depth(raw: bytes) -> int:
    depth = deepest = 0
    for byte in _STRING.sub(b"", raw):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _malformed(error: Exception, what: str, body: bytes) -> InvalidRequest:
    if isinstance(error, RecursionError):
        return InvalidValue(f"The {what} is nested deeper than {VALUE_MAX_DEPTH}; flatten it.")
    if isinstance(error, UnicodeDecodeError):
        return InvalidValue(f"The {what} is not UTF-8 (byte {error.start}); send JSON as UTF-8.")
    if isinstance(error, msgspec.ValidationError):
        return InvalidRequest(f'{error}. Send {{"key", "value", "category"?, "ttl"?}}.')
    if any(word in str(error) for word in ("surrogate", "truncated", "end of hex escape")):
        return InvalidValue(f"The {what} ends early or holds a lone surrogate: {error}.")
    if _NOT_A_NUMBER.search(_STRING.sub(b"", body)):
        return InvalidValue(f"The {what} holds NaN or Infinity, which JSON does not have; send null or a string.")
    return InvalidRequest(f"The {what} is not JSON: {error}.", code="invalid_json")


def decode_write(body: bytes, value_max_bytes: int) -> Write:
    """Decode the body of POST /add. Raises InvalidRequest, InvalidKey or InvalidValue."""
    try:
        body.decode()
        add = _add_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(error, "body", body) from None
    return Write(
        parse_key(add.key),
        check_value(bytes(add.value), value_max_bytes),
        parse_category(add.category) if add.category is not None else None,
        add.ttl,
    )


def split_batch(body: bytes, ndjson: bool) -> list[bytes]:
    """Cut the body of POST /batch into the JSON texts of its elements, in order."""
    if ndjson:
        return [line for line in body.split(b"\n") if line.strip()]
    try:
        return [bytes(raw) for raw in _raw_list_decoder.decode(body)]
    except (msgspec.DecodeError, RecursionError) as error:
        if isinstance(error, msgspec.ValidationError):
            raise InvalidRequest("The body is not an array; send a JSON array of objects, or NDJSON.") from None
        raise _malformed(error, "body", body) from None


Keys = Annotated[list[str], msgspec.Meta(max_length=10_000)]
Rev = Annotated[int, msgspec.Meta(ge=0, le=MESSAGE_MAX_REV)]


class Auth(msgspec.Struct, tag_field="op", tag="auth", forbid_unknown_fields=True):
    token: str


class Subscribe(msgspec.Struct, tag_field="op", tag="sub", forbid_unknown_fields=True):
    keys: Keys = []
    prefixes: Keys = []
    categories: Keys = []
    since: dict[str, Rev] = {}
    epoch: str | None = None
    mode: Literal["latest", "every"] = "latest"
    max_rate: Annotated[float, msgspec.Meta(gt=0, le=1000)] | None = None

    def parsed(self) -> Subscribe:
        """The same with every name in NFC, each once. Raises InvalidKey."""
        return Subscribe(
            keys=list(dict.fromkeys(map(parse_key, self.keys))),
            prefixes=list(dict.fromkeys(map(parse_prefix, self.prefixes))),
            categories=list(dict.fromkeys(map(parse_category, self.categories))),
            since={parse_key(key): rev for key, rev in self.since.items()},
            epoch=self.epoch,
            mode=self.mode,
            max_rate=self.max_rate,
        )


class Unsubscribe(msgspec.Struct, tag_field="op", tag="unsub", forbid_unknown_fields=True):
    keys: Keys = []
    prefixes: Keys = []
    categories: Keys = []

    def parsed(self) -> Unsubscribe:
        """The same with every name in NFC. Raises InvalidKey."""
        return Unsubscribe(
            keys=list(map(parse_key, self.keys)),
            prefixes=list(map(parse_prefix, self.prefixes)),
            categories=list(map(parse_category, self.categories)),
        )


class Ping(msgspec.Struct, tag_field="op", tag="ping", forbid_unknown_fields=True):
    pass


ClientMessage = Auth | Subscribe | Unsubscribe | Ping
_client_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_client_list_decoder: msgspec.json.Decoder[list[ClientMessage]] = msgspec.json.Decoder(list[ClientMessage])


def decode_client_frame(frame: str) -> list[ClientMessage]:
    """Decode what a viewer sent: one object or an array of them. Raises InvalidRequest."""
    try:
        if frame.lstrip()[:1] == "[":
            return _client_list_decoder.decode(frame)
        return [_client_decoder.decode(frame)]
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest(f"{error}. Send an object with op auth, sub, unsub or ping.", code="bad_message") from None


def server_frame(op: str, **members: Any) -> bytes:
    """A frame that carries no value: hello, subbed, hb, error."""
    return encode({"op": op, **members})
