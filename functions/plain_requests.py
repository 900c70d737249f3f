"""Requests of the plainest kind, read without a general parser.

A client that keeps its connection sends the same header block again and again; here a block that was seen before is not
read again. What a proxy adds anew to each request is taken out of it first. Whatever is not surely plain is left to
gunicorn's parser, so being strict costs only time, never an answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

_LINE = re.compile(rb"(GET|POST) (/[A-Za-z0-9_.:@+~/-]*) HTTP/1\.1")  # so neither a query nor percent-encoding
_FIELD = re.compile(rb"([A-Za-z0-9-]+):[ \t]*((?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?)[ \t]*")
_HOST = re.compile(rb"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_LENGTH = re.compile(rb"[1-9][0-9]{0,6}|0")
_PASSED_ON = frozenset(  # by name: kept, hundreds of short fields would take ten times what was sent
    b"accept accept-encoding accept-language authorization cache-control content-encoding content-type cookie dnt"
    b" idempotency-key if-match if-none-match kvcast-note origin pragma priority referer sec-ch-ua sec-ch-ua-mobile"
    b" sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user user-agent via x-forwarded-host"
    b" x-forwarded-port x-forwarded-proto x-forwarded-scheme x-forwarded-server x-scheme".split()
)
_VARYING = (  # of each request, or of each client behind a proxy
    b"baggage|forwarded|traceparent|tracestate|x-amzn-trace-id|x-forwarded-for|x-original-forwarded-for|x-real-ip"
    b"|x-request-id"
)
_VARYING_FIELD = re.compile(rb"\r\n(%s):[ \t]*([\x20-\x7e]*)(?=\r\n|\Z)" % _VARYING, re.IGNORECASE)
LINE_MOST_BYTES = 1024
BLOCK_MOST_BYTES = 4096
_BLOCKS_MOST = 2000
_END = b"\r\n\r\n"
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """fields: as WSGI names them; length: Content-Length, or -1 where there is none.

    A block that was seen before is the same object, so that what is known of it can be looked up by it. What varies
    is not in it.
    """

    fields: dict[str, str]
    length: int


class Plain(NamedTuple):
    """varied: the fields, as WSGI names them, that are another for each request."""

    method: str
    path: str
    block: Block
    body: bytes
    varied: Mapping[str, str] = _NOTHING

    def fields(self) -> dict[str, str]:
        return {**self.block.fields, **self.varied}


class PlainReader:
    """Remembers the header blocks of a worker's clients."""

    def __init__(self) -> None:
        self._blocks: dict[bytes, Block | None] = {}

    def read(self, data: bytes) -> Plain | None:
        """`data` as a request, if it is exactly one whole request and plain."""
        line_end = data.find(b"\r\n")
        end = data.find(_END, line_end)
        line = _LINE.fullmatch(data, 0, line_end) if end >= 0 and line_end <= LINE_MOST_BYTES else None
        if line is None:
            return None
        raw = data[line_end:end]
        varied = _NOTHING
        if raw in self._blocks:
            block = self._blocks[raw]
        else:
            block, varied = self._learn(raw)
        if block is None:
            return None
        method, path = line.groups()
        body = data[end + 4 :]
        if len(body) != (block.length if method == b"POST" else 0) or (block.length >= 0) != (method == b"POST"):
            return None
        return Plain(method.decode(), path.decode(), block, body, varied)

    def _learn(self, raw: bytes) -> tuple[Block | None, Mapping[str, str]]:
        if len(raw) > BLOCK_MOST_BYTES:
            return None, _NOTHING  # not remembered either: 2,000 refused ones of 60 KiB would be 120 MB
        fixed, varied = split_varying(raw)
        if fixed in self._blocks:
            return self._blocks[fixed], varied
        if len(self._blocks) >= _BLOCKS_MOST:
            self._blocks.clear()
        block = self._blocks[fixed] = read_block(fixed)
        return block, varied


def split_varying(raw: bytes) -> tuple[bytes, Mapping[str, str]]:
    """Take out of `raw`, each of whose lines begins with CR LF, what is another for each request.

    A field that comes twice stays, so that the block is not plain.
    """
    parts = _VARYING_FIELD.split(raw)
    if len(parts) == 1:
        return raw, _NOTHING
    found = zip(parts[1::3], parts[2::3], strict=True)
    varied = {_wsgi_name(name): value.decode().rstrip(" ") for name, value in found}
    return (b"".join(parts[::3]), varied) if 3 * len(varied) + 1 == len(parts) else (raw, _NOTHING)


@lru_cache(maxsize=1000)
def _wsgi_name(name: bytes) -> str:
    return "HTTP_" + name.decode().upper().replace("-", "_")


def read_block(raw: bytes) -> Block | None:
    """The header fields between the request line and the empty line; None where one of them is not plain.

    raw: each line begins with CR LF.
    """
    fields: dict[str, str] = {}
    length = -1
    for line in raw.split(b"\r\n")[1:]:
        match = _FIELD.fullmatch(line)
        if match is None:
            return None
        name, value = match[1].lower(), match[2]
        key = _wsgi_name(name)
        if name == b"content-length" and _LENGTH.fullmatch(value):
            length = int(value)
            key = "CONTENT_LENGTH"
        elif name == b"content-type":
            key = "CONTENT_TYPE"
        elif not _is_plain(name, value):
            return None
        if key in fields:
            return None
        fields[key] = value.decode()
    return Block(fields, length) if "HTTP_HOST" in fields else None


def _is_plain(name: bytes, value: bytes) -> bool:
    if name == b"host":
        return _HOST.fullmatch(value) is not None
    if name == b"connection":
        return value.lower() == b"keep-alive"
    return name in _PASSED_ON
