"""The poison test: after whatever was sent, each read over every pooled connection returns its own key.

A driver that is one answer behind gives one caller what belongs to another.
"""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

from tests.calls import Caller

READS = 100
AT_ONCE = 16  # twice the connections of a pool, so that all of them are in use together


def assert_reads_their_own(write_url: str, read_url: str, token: str) -> None:
    """Write READS keys, each its own value, and ask for each in four ways, many at once."""
    mark = f"poison.{uuid.uuid4().hex[:12]}"
    keys = [f"{mark}.{number}" for number in range(READS)]
    writer = Caller(write_url, token, check=False)
    assert writer("POST", "/batch", json.dumps([{"key": key, "value": key} for key in keys])).json()["success"]

    def read(key: str) -> tuple[str, list[str], str, str]:
        with Caller(read_url, token, check=False) as caller:
            return (
                caller.get(key).json()["value"],
                [tick["value"] for tick in caller("GET", f"/history/{quote(key)}").json()["data"]],
                caller("GET", f"/keys?values=1&prefix={quote(key)}&limit=1").json()["data"][0]["value"],
                caller("GET", f"/mget?key={quote(key)}").json()["data"][0]["value"],
            )

    def write(key: str) -> str:
        with Caller(write_url, token, check=False) as caller:
            reply = caller.add(key, json.dumps(key), idempotency_key=key)
            return str(reply.json()["key"])

    with ThreadPoolExecutor(AT_ONCE) as threads:
        assert list(threads.map(read, keys)) == [(key, [key], first(keys, key), key) for key in keys]
        assert list(threads.map(write, keys)) == keys


def first(keys: list[str], prefix: str) -> str:
    """Of `keys`, the first in order that begins so."""
    return min(key for key in keys if key.startswith(prefix))
