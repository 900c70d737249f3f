"""The HTTP face of reading."""

from __future__ import annotations

import base64
import re
from importlib import resources
from typing import Any

import msgspec

from kvcast import __version__
from kvcast.errors import InvalidRequest, KeyNotFound
from kvcast.keys import parse_category, parse_key, parse_prefix
from kvcast.messages import Change, encode
from kvcast.retries import may_repeat_reading, with_retries
from kvcast.storage import reads
from kvcast.storage.pool import Pool
from kvcast.web import Answer, Environ, FunctionApp, json_answer
from kvcast.web.answers import JSON
from kvcast.web.requests import etags, key_in_path, min_rev, moment, query, single, whole_number

from functions.read.l1 import make_entry
from functions.read.lookup import Lookup
from functions.read.stats import Stats

MGET_MOST_KEYS = 100
PAGE_MOST_KEYS = 1000
HISTORY_MOST = 10_000
_BUCKET = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Views:
    """GET /get, /mget, /keys, /history, /stats, /openapi.json."""

    def __init__(self, app: FunctionApp, pool: Pool, lookup: Lookup, stats: Stats) -> None:
        self._app = app
        self._pool = pool
        self.lookup = lookup
        self._stats = stats
        self._openapi = _openapi()

    def install(self) -> None:
        limit = self._app.limit("read", self._app.settings.read_limit)
        self._app.endpoint_route("GET", "/get/<path:key>", self.get, limit, fast="/get/")
        for rule, endpoint in (
            ("/mget", self.mget),
            ("/keys", self.keys),
            ("/history/<path:key>", self.history),
            ("/stats", self.stats),
            ("/openapi.json", lambda environ: Answer(200, [JSON], self._openapi)),
        ):
            self._app.endpoint_route("GET", rule, endpoint, limit)

    def renew(self, lookup: Lookup) -> None:
        """A backup was restored: answer from `lookup`, which knows nothing from before, from now on."""
        before, self.lookup = self.lookup, lookup
        lookup.start()
        before.stop()

    def get(self, environ: Environ) -> Answer:
        key = key_in_path(environ, "/get/")
        self._app.may_read(environ, (key,))
        least = min_rev(query(environ, "min_rev")) if environ.get("QUERY_STRING") else 0
        entry = self.lookup.entry(key, least)
        if "HTTP_IF_NONE_MATCH" in environ:
            matched = etags(environ, "HTTP_IF_NONE_MATCH", weak_allowed=True)
            if matched == "*" or (isinstance(matched, list) and entry.change.rev in matched):
                return Answer(304, entry.headers[1:], b"")
        return Answer(200, entry.headers, entry.body)

    def mget(self, environ: Environ) -> Answer:
        keys = list(dict.fromkeys(map(parse_key, query(environ, "key").get("key", []))))
        if not 1 <= len(keys) <= MGET_MOST_KEYS:
            raise InvalidRequest(f"Name 1 to {MGET_MOST_KEYS} keys, as /mget?key=a&key=b.")
        self._app.may_read(environ, keys)
        found = self.lookup.entries(keys)
        absent = encode([key for key in keys if key not in found])
        data = b",".join(entry.body for entry in found.values())
        return Answer(200, [JSON], b'{"success":true,"data":[%s],"absent":%s}' % (data, absent))

    def keys(self, environ: Environ) -> Answer:
        parameters = query(environ, "prefix", "category", "limit", "cursor", "values")
        category = single(parameters, "category")
        values = whole_number(parameters, "values", 0, 0, 1) == 1
        most = whole_number(parameters, "limit", PAGE_MOST_KEYS, 1, PAGE_MOST_KEYS)
        prefix = parse_prefix(single(parameters, "prefix") or "")
        self._app.may_read(environ, prefixes=(prefix,))
        found = _reading(reads.page)(
            self._pool,
            after=_decode_cursor(single(parameters, "cursor")),
            prefix=prefix,
            category=parse_category(category) if category is not None else None,
            most=most + 1,
            values=values,
        )
        page = found[:most]
        following = encode(_encode_cursor(page[-1]) if len(found) > most else None)
        data = b",".join(
            make_entry(item, "database").body if isinstance(item, Change) else encode(item) for item in page
        )
        return Answer(200, [JSON], b'{"success":true,"data":[%s],"next":%s}' % (data, following))

    def stats(self, environ: Environ) -> Answer:
        self._app.may_read(environ)
        return json_answer(self._stats.payload(self.lookup.epoch))

    def history(self, environ: Environ) -> Answer:
        key = key_in_path(environ, "/history/")
        self._app.may_read(environ, (key,))
        parameters = query(environ, "limit", "since", "until", "bucket")
        most = whole_number(parameters, "limit", PAGE_MOST_KEYS, 1, HISTORY_MOST)
        since, until = (moment(parameters, name) for name in ("since", "until"))
        bucket = single(parameters, "bucket")
        if bucket is not None:
            rows = _reading(reads.buckets)(self._pool, key, since, until, _bucket_seconds(bucket), most)
            data = [_bucket_line(row) for row in rows]
        else:
            ticks = _reading(reads.history)(self._pool, key, since, until, most)
            data = [
                b'{"value":%s,"rev":%d,"updatedAt":"%s"}' % (tick.value or b"null", tick.rev, tick.updated_at.encode())
                for tick in ticks
            ]
        if not data and not _reading(reads.latest)(self._pool, [key]):
            raise KeyNotFound(f"There is no key {key!r}, and no history of it.")
        return Answer(200, [JSON], b'{"key":"%s","data":[%s]}' % (key.encode(), b",".join(data)))


def _reading(call: Any) -> Any:
    return with_retries(call, attempts=3, most_seconds=2, only_if=may_repeat_reading)


def _bucket_line(row: list[Any]) -> bytes:
    start, opening, high, low, close, count = row
    # the prices are decimal text, which is JSON as it stands
    return f'{{"start":"{start}","open":{opening},"high":{high},"low":{low},"close":{close},"count":{count}}}'.encode()


def _bucket_seconds(text: str) -> int:
    match = _BUCKET.fullmatch(text)
    seconds = int(match[1]) * _UNIT_SECONDS[match[2]] if match else 0
    if not 1 <= seconds <= 86_400:
        raise InvalidRequest(f"The bucket is {text!r}; give 1s to 1d, such as 15s, 5m or 1h.")
    return seconds


def _encode_cursor(item: str | Change) -> str:
    key = item.key if isinstance(item, Change) else item
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _decode_cursor(cursor: str | None) -> str:
    if not cursor:
        return ""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return parse_key(base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True).decode())
    except (ValueError, InvalidRequest):
        raise InvalidRequest("The cursor is none of ours; pass on `next` of the page before, unchanged.") from None


def _openapi() -> bytes:
    text = resources.files("functions.read").joinpath("openapi.json").read_bytes()
    document: dict[str, Any] = msgspec.json.decode(text)
    document["info"]["version"] = __version__
    return encode(document)
