"""What the client gets: Python objects for values, with the text as it was written beside them."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from kvcast.errors import KvcastError
from kvcast.items import decode_value
from kvcast.transport import ErrorBody, error_of

T = TypeVar("T")


class Entry(msgspec.Struct, frozen=True):
    """A key's value. raw: the JSON text exactly as it was written; updated_at: RFC 3339 in UTC."""

    key: str
    value: Any
    raw: bytes
    category: str
    rev: int
    updated_at: str
    source: str | None = None


class Written(msgspec.Struct, frozen=True, rename="camel"):
    """What a write or a deletion answers."""

    key: str
    rev: int
    updated_at: str | None = None


class BatchResult(msgspec.Struct, frozen=True):
    """The fate of one item of a batch: a rev, or the error that refused it."""

    key: str | None
    rev: int | None
    error: KvcastError | None = None


class Tick(msgspec.Struct, frozen=True):
    """One past value of a key."""

    value: Any
    raw: bytes
    rev: int
    updated_at: str


class Bucket(msgspec.Struct, frozen=True):
    """The numeric values of a span of time."""

    start: str
    open: float
    high: float
    low: float
    close: float
    count: int


class _Entry(msgspec.Struct, rename="camel"):
    key: str
    value: msgspec.Raw
    category: str
    rev: int
    updated_at: str
    source: str | None = None

    def entry(self) -> Entry:
        raw = bytes(self.value)
        return Entry(self.key, decode_value(raw), raw, self.category, self.rev, self.updated_at, self.source)


class _Entries(msgspec.Struct):
    data: list[_Entry]


class _Keys(msgspec.Struct):
    data: list[str]


class Page(msgspec.Struct):
    """Where the next page of keys begins; None after the last."""

    next: str | None


class _Tick(msgspec.Struct, rename="camel"):
    value: msgspec.Raw
    rev: int
    updated_at: str


class _Ticks(msgspec.Struct):
    data: list[_Tick]


class _Buckets(msgspec.Struct):
    data: list[Bucket]


class _Result(msgspec.Struct):
    key: str | None = None
    rev: int | None = None
    error: ErrorBody | None = None


class _Results(msgspec.Struct):
    results: list[_Result]


def decode_answer(answer: bytes, kind: type[T]) -> T:
    """Raises KvcastError for an answer that no kvcast server gives."""
    try:
        return msgspec.json.decode(answer, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KvcastError(
            f"The answer is not what kvcast answers ({error}); is the URL a kvcast server's?", code="unexpected_answer"
        ) from None


def decode_entry(answer: bytes) -> Entry:
    return decode_answer(answer, _Entry).entry()


def decode_mget(answer: bytes) -> dict[str, Entry]:
    return {found.key: found.entry() for found in decode_answer(answer, _Entries).data}


def decode_keys(answer: bytes) -> list[str]:
    return decode_answer(answer, _Keys).data


def decode_listing(answer: bytes) -> list[Entry]:
    return [found.entry() for found in decode_answer(answer, _Entries).data]


def decode_ticks(answer: bytes) -> list[Tick]:
    found = decode_answer(answer, _Ticks).data
    return [Tick(decode_value(bytes(tick.value)), bytes(tick.value), tick.rev, tick.updated_at) for tick in found]


def decode_buckets(answer: bytes) -> list[Bucket]:
    return decode_answer(answer, _Buckets).data


def decode_batch(answer: bytes) -> list[BatchResult]:
    return [
        BatchResult(
            found.key,
            found.rev,
            error_of(found.error.code, found.error.message, 400, detail=found.error.detail) if found.error else None,
        )
        for found in decode_answer(answer, _Results).results
    ]
