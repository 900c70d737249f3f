"""The Python client: HTTP calls, and `watch`, an iterator over changes.

    from kvcast.client import Client
    client = Client("http://127.0.0.1:8000", token="...")
    client.set("gold", 2345.60)
    for change in client.watch("gold"):
        print(change.key, change.value, change.rev)
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, Self, overload
from urllib.parse import quote, urlencode

from kvcast.answers import (
    BatchResult,
    Bucket,
    Entry,
    Page,
    Tick,
    Written,
    decode_answer,
    decode_batch,
    decode_buckets,
    decode_entry,
    decode_keys,
    decode_listing,
    decode_mget,
    decode_ticks,
)
from kvcast.errors import KvcastError
from kvcast.items import Item, encode_item, portions, requests_of
from kvcast.keys import parse_key
from kvcast.transport import Transport
from kvcast.updates import Notice, Update
from kvcast.watching import Watch

__all__ = [
    "Client", "Item", "Entry", "Written", "BatchResult", "Tick", "Bucket", "Watch", "Update", "Notice", "KvcastError",
]

MGET_MAX_KEYS = 100
MGET_MAX_CHARACTERS = 7000  # of the query: servers and proxies take a request line of 8 KiB

Moment = datetime | str | float


def _path(root: str, key: str) -> str:
    return f"{root}/{quote(parse_key(key), safe='')}"


class Client:
    """Talks to one kvcast server. Safe to use from several threads.

    Calls raise the classes of kvcast.errors. What failed in passing (429, 503, no connection) is repeated
    with full jitter for `retry_seconds`; a write carries an Idempotency-Key, so that repeating it is safe.
    """

    def __init__(
        self, url: str, token: str | None = None, *, timeout_seconds: float = 10.0, retry_seconds: float = 10.0
    ) -> None:
        """url: http(s)://host[:port]; timeout_seconds: of one attempt; retry_seconds: of a call in all, 0: one attempt.

        Raises InvalidRequest for a URL that is none.
        """
        self.transport = Transport(url, token, timeout_seconds=timeout_seconds, retry_seconds=retry_seconds)

    @property
    def url(self) -> str:
        return self.transport.url

    def set(
        self,
        key: str,
        value: Any,
        *,
        category: str | None = None,
        ttl: float | None = None,
        if_rev: int | None = None,
        create_only: bool = False,
        idempotency_key: str | None = None,
    ) -> Written:
        """Write one value.

        value: anything JSON has, or msgspec.Raw(b"2345.60") for a JSON text to be kept as it is written;
        ttl: seconds until the key expires; if_rev: write only when this rev is current; create_only: only when
        the key is absent; idempotency_key: of your own when the call may be repeated by another process.

        Raises InvalidKey, InvalidValue, Unauthorized, Forbidden, PreconditionFailed, Unavailable.
        """
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        if if_rev is not None:
            headers["If-Match"] = f'"{if_rev}"'
        if create_only:
            headers["If-None-Match"] = "*"
        body = encode_item(Item(key, value, category, ttl))
        answer = self.transport.call("POST", "/add", body=body, headers=headers)
        return decode_answer(answer, Written)

    def get(self, key: str, *, min_rev: int | None = None) -> Entry:
        """The current value; with `min_rev` never one older than that. Raises KeyNotFound."""
        query = [] if min_rev is None else [("min_rev", str(min_rev))]
        return decode_entry(self.transport.call("GET", _path("/get", key), query=query))

    def mget(self, keys: Iterable[str]) -> dict[str, Entry]:
        """The entries of those `keys` that exist."""
        wanted = list(dict.fromkeys(map(parse_key, keys)))
        found: dict[str, Entry] = {}
        for some in portions(wanted, MGET_MAX_KEYS, MGET_MAX_CHARACTERS, lambda key: len(urlencode({"key": key})) + 1):
            query = [("key", key) for key in some]
            found.update(decode_mget(self.transport.call("GET", "/mget", query=query)))
        return found

    def delete(self, key: str, *, if_rev: int | None = None, idempotency_key: str | None = None) -> Written:
        """Delete a key and tell its watchers; with `if_rev` only when this rev is current.

        Raises KeyNotFound, Unauthorized, Forbidden, PreconditionFailed, Unavailable.
        """
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        if if_rev is not None:
            headers["If-Match"] = f'"{if_rev}"'
        return decode_answer(
            self.transport.call("DELETE", _path("/keys", key), headers=headers), Written
        )

    def batch(self, items: Iterable[Item | tuple[str, Any] | Mapping[str, Any]]) -> list[BatchResult]:
        """Write many values in order, in requests of up to 1,000; one result for each, in order.

        items: Item, (key, value) or {"key", "value", "category"?, "ttl"?}; an iterator is read as it is sent.
        A refused item has its error in the result; the call raises only when a whole request is refused.
        """
        results: list[BatchResult] = []
        for bodies in requests_of(map(encode_item, map(Item.of, items))):
            results += self.send_batch(bodies, uuid.uuid4().hex)
        return results

    def send_batch(self, bodies: Sequence[bytes], idempotency_key: str, *, retries: bool = True) -> list[BatchResult]:
        """Send one request of already encoded items; the same key repeats the first answer."""
        body = b"[" + b",".join(bodies) + b"]"
        headers = {"Idempotency-Key": idempotency_key}
        if retries:
            answer = self.transport.call("POST", "/batch", body=body, headers=headers)
        else:
            answer = self.transport.call_once("POST", "/batch", body=body, headers=headers)
        return decode_batch(answer)

    def keys(self, prefix: str = "", category: str | None = None) -> Iterator[str]:
        """Every key with `prefix` and in `category`, in order, a page at a time."""
        for page in self._pages(prefix, category, values=False):
            yield from decode_keys(page)

    def entries(self, prefix: str = "", category: str | None = None) -> Iterator[Entry]:
        """Like `keys`, with the values."""
        for page in self._pages(prefix, category, values=True):
            yield from decode_listing(page)

    def _pages(self, prefix: str, category: str | None, *, values: bool) -> Iterator[bytes]:
        query = [("prefix", prefix)] if prefix else []
        query += [("category", category)] if category is not None else []
        query += [("values", "1")] if values else []
        cursor: list[tuple[str, str]] = []
        while True:
            page = self.transport.call("GET", "/keys", query=query + cursor)
            yield page
            following = decode_answer(page, Page).next
            if following is None:
                return
            cursor = [("cursor", following)]

    @overload
    def history(
        self, key: str, limit: int | None = ..., since: Moment | None = ..., until: Moment | None = ...
    ) -> list[Tick]: ...

    @overload
    def history(
        self,
        key: str,
        limit: int | None = ...,
        since: Moment | None = ...,
        until: Moment | None = ...,
        *,
        bucket: str,
    ) -> list[Bucket]: ...

    def history(
        self,
        key: str,
        limit: int | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        bucket: str | None = None,
    ) -> list[Tick] | list[Bucket]:
        """The last ticks of a key, newest last; with `bucket` ("1s" to "1d") open, high, low, close of each.

        limit: at most so many; since (included), until (excluded): datetime, ISO 8601 or Unix seconds.
        """
        given = {"limit": limit, "since": _moment(since), "until": _moment(until), "bucket": bucket}
        query = [(name, str(value)) for name, value in given.items() if value is not None]
        answer = self.transport.call("GET", _path("/history", key), query=query)
        return decode_buckets(answer) if bucket is not None else decode_ticks(answer)

    def stats(self) -> dict[str, Any]:
        """What GET /stats answers."""
        return decode_answer(self.transport.call("GET", "/stats"), dict[str, Any])

    def audit(
        self, *, since: Moment | None = None, key: str | None = None, who: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Who changed what on purpose, newest first, a page at a time. who: a token's name. Needs the scope admin."""
        given = {"since": _moment(since), "key": key, "who": who}
        query = [(name, str(value)) for name, value in given.items() if value is not None]
        before: list[tuple[str, str]] = []
        while True:
            page = decode_answer(self.transport.call("GET", "/audit", query=query + before), dict[str, Any])
            yield from page["data"]
            if page["next"] is None:
                return
            before = [("before", str(page["next"]))]

    def watch(
        self,
        *keys: str,
        prefixes: Iterable[str] = (),
        categories: Iterable[str] = (),
        mode: Literal["latest", "every"] = "latest",
        max_rate: float | None = None,
        since: Mapping[str, int] | None = None,
        epoch: str | None = None,
        silence_seconds: float = 25.0,
        on_notice: Callable[[Notice], None] | None = None,
    ) -> Watch:
        """An iterator over the changes of keys, prefixes and categories; it starts with the current values.

        mode: "latest" may skip values for a slow reader, "every" does not; max_rate: changes a second for a key;
        since: revs already seen, of `epoch`; silence_seconds: reconnect after hearing nothing for so long;
        on_notice: is told of lost connections and missed ticks. Iterating raises Unreachable when the first
        connection fails; later it reconnects for ever. `close()`, from any thread, ends it.
        """
        return Watch(
            self.transport,
            keys,
            prefixes=prefixes,
            categories=categories,
            mode=mode,
            max_rate=max_rate,
            since=since,
            epoch=epoch,
            silence_seconds=silence_seconds,
            on_notice=on_notice,
        )

    def close(self) -> None:
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _moment(moment: Moment | None) -> str | float | None:
    return moment.astimezone(UTC).isoformat() if isinstance(moment, datetime) else moment
