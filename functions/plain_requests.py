"""Requests of the plainest kind, read without a general parser.

A client that keeps its connection sends the same header block again and again; here a block that was seen before is not
read again. Whatever is not surely plain is left to gunicorn's parser, so being strict costs only time, never an answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

_LINE = re.compile(rb"(GET|POST) (/[A-Za-z0-9_.:@+~/-]*) HTTP/1\.1")  # so neither a query nor percent-encoding
_FIELD = re.compile(rb"([A-Za-z0-9-]+):[ \t]*((?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?)[ \t]*")
_HOST = re.compile(rb"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_LENGTH = re.compile(rb"[1-9][0-9]{0,6}|0")
_PASSED_ON = frozenset(  # by name: kept, hundreds of short fields would take ten times what was sent
    b"accept accept-encoding accept-language authorization cache-control content-encoding content-type cookie dnt"
    b" idempotency-key if-match if-none-match kvcast-note origin pragma priority referer sec-ch-ua sec-ch-ua-mobile"
    b" sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user traceparent tracestate"
    b" user-agent x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-real-ip x-request-id".split()
)
LINE_MOST_BYTES = 1024
BLOCK_MOST_BYTES = 4096
_BLOCKS_MOST = 2000
_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """fields: as WSGI names them; length: Content-Length, or -1 where there is none.

    A block that was seen before is the same object, so that what is known of it can be looked up by it.
    """

    fields: dict[str, str]
    length: int


class Plain(NamedTuple):
    method: str
    path: str
    block: Block
    body: bytes


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
        raw = data[line_end + 2 : end]
        block = self._blocks[raw] if raw in self._blocks else self._learn(raw)
        if block is None:
            return None
        method, path = line.groups()
        body = data[end + 4 :]
        if len(body) != (block.length if method == b"POST" else 0) or (block.length >= 0) != (method == b"POST"):
            return None
        return Plain(method.decode(), path.decode(), block, body)

    def _learn(self, raw: bytes) -> Block | None:
        if len(raw) > BLOCK_MOST_BYTES:
            return None  # not remembered either: 2,000 refused ones of 60 KiB would be 120 MB
        if len(self._blocks) >= _BLOCKS_MOST:
            self._blocks.clear()
        block = self._blocks[raw] = read_block(raw)
        return block


def read_block(raw: bytes) -> Block | None:
    """The header fields between the request line and the empty line; None where one of them is not plain."""
    fields: dict[str, str] = {}
    length = -1
    for line in raw.split(b"\r\n"):
        match = _FIELD.fullmatch(line)
        if match is None:
            return None
        name, value = match[1].lower(), match[2]
        key = "HTTP_" + name.decode().upper().replace("-", "_")
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
