"""What the client sends: Python objects as JSON, cut into requests."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from kvcast.errors import InvalidRequest, InvalidValue
from kvcast.keys import parse_category, parse_key

T = TypeVar("T")
BATCH_MAX_ITEMS = 1000
BATCH_MAX_BYTES = 900_000  # the server takes 1 MiB


class Item(msgspec.Struct, frozen=True):
    """One element of a batch; ttl in seconds."""

    key: str
    value: Any
    category: str | None = None
    ttl: float | None = None

    @classmethod
    def of(cls, item: Item | tuple[str, Any] | Mapping[str, Any]) -> Item:
        """Raises InvalidRequest for what is no item."""
        if isinstance(item, Item):
            return item
        try:
            return cls(**item) if isinstance(item, Mapping) else cls(*item)
        except TypeError as error:
            raise InvalidRequest(f"{item!r} is no item ({error}); give (key, value), an Item or a dict.") from None


def decode_value(raw: bytes) -> Any:
    """A value as a Python object. Numbers that no float can hold become int or inf."""
    try:
        return msgspec.json.decode(raw)
    except msgspec.ValidationError:
        return json.loads(raw)


def encode_value(value: Any) -> bytes:
    """JSON text of a Python object; a msgspec.Raw stays as it is. Raises InvalidValue."""
    try:
        text = msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidValue(f"The value cannot be written as JSON: {error}.") from None
    if b"null" in text and _holds_nan(value):
        raise InvalidValue("The value holds NaN or Infinity, which JSON does not have; send None or a string.")
    return text


def _holds_nan(value: Any) -> bool:
    """msgspec would write null in silence."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, Mapping):
        return any(map(_holds_nan, value.values()))
    return isinstance(value, list | tuple | set | frozenset) and any(map(_holds_nan, value))


def encode_item(item: Item) -> bytes:
    """The body of POST /add and one element of POST /batch. Raises InvalidKey or InvalidValue."""
    members: dict[str, Any] = {"key": parse_key(item.key), "value": msgspec.Raw(encode_value(item.value))}
    if item.category is not None:
        members["category"] = parse_category(item.category)
    if item.ttl is not None:
        members["ttl"] = item.ttl
    return msgspec.json.encode(members)


def requests_of(bodies: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Cut encoded items into requests that the server takes."""
    return portions(bodies, BATCH_MAX_ITEMS, BATCH_MAX_BYTES, lambda body: len(body) + 1)


def portions(items: Iterable[T], most: int, most_size: int, size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Cut `items` into lists of at most `most`, whose sizes sum up to at most `most_size`, or of a single item."""
    portion: list[T] = []
    size = 0
    for item in items:
        more = size_of(item)
        if portion and (len(portion) == most or size + more > most_size):
            yield portion
            portion, size = [], 0
        portion.append(item)
        size += more
    if portion:
        yield portion
