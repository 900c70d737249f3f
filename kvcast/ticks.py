"""Ticks out of CSV and NDJSON, line by line: what is bad is named with its line and left out.

Pure: it reads an iterable of lines and opens nothing.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import BinaryIO

import msgspec

from kvcast.errors import InvalidRequest
from kvcast.keys import parse_category, parse_key
from kvcast.messages import check_value

KEY_COLUMNS = ("key", "symbol", "ticker")
VALUE_COLUMNS = ("value", "price")
CATEGORY_COLUMNS = ("category",)
TIME_COLUMNS = ("time", "date", "timestamp")
LINE_MAX_BYTES = 262_144
VALUE_MAX_BYTES = 2**18  # the server's own, lower limit is a setting there

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_UNIX_TIME = re.compile(r"-?[0-9]{1,14}(?:\.[0-9]+)?")
_UNIX_MILLISECONDS_FROM = 1e11  # as seconds this would be the year 5138

Report = Callable[[int, str], None]


class Tick(msgspec.Struct, frozen=True):
    """One line. value: JSON text; time: Unix seconds, None where the line has none; line: from 1, 0 for none."""

    key: str
    value: bytes
    category: str | None = None
    time: float | None = None
    line: int = 0

    def body(self) -> bytes:
        """The element of a batch."""
        category = b',"category":"%s"' % self.category.encode() if self.category is not None else b""
        return b'{"key":"%s","value":%s%s}' % (self.key.encode(), self.value, category)


class Options(msgspec.Struct, frozen=True):
    """key_prefix: put before each key; category: for lines without one; times: whether times are read at all."""

    key_prefix: str = ""
    category: str | None = None
    times: bool = True


def lines_of(stream: BinaryIO, report: Report) -> Iterator[tuple[int, str]]:
    """The numbered lines of a stream as they arrive; blank ones, too long ones and such as are not UTF-8 left out."""
    number = 0
    while line := stream.readline(LINE_MAX_BYTES + 1):
        number += 1
        if len(line) > LINE_MAX_BYTES and not line.endswith(b"\n"):
            report(number, f"The line has more than {LINE_MAX_BYTES} bytes; send less in one line.")
            while line and not line.endswith(b"\n"):
                line = stream.readline(LINE_MAX_BYTES)
            continue
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            report(number, f"Byte {error.start + 1} is not UTF-8; send UTF-8.")
            continue
        if text.strip():
            yield number, text


def looks_like_json(first_line: str) -> bool:
    return first_line.lstrip()[:1] == "{"


def parse_time(text: str) -> float:
    """Unix seconds of ISO 8601 (UTC where it names no zone), Unix seconds or milliseconds, or `Jan 31 2000`.

    Raises InvalidRequest.
    """
    text = text.strip()
    if _UNIX_TIME.fullmatch(text):
        number = float(text)
        return number / 1000 if abs(number) >= _UNIX_MILLISECONDS_FROM else number
    for parse in (datetime.fromisoformat, _parse_american_date):
        try:
            found = parse(text)
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            continue
    raise InvalidRequest(f"{text!r} is no time; give ISO 8601, Unix seconds or milliseconds, or `Jan 31 2000`.")


def _parse_american_date(text: str) -> datetime:
    return datetime.strptime(f"{text} +0000", "%b %d %Y %z")


def csv_value(text: str) -> bytes:
    """A number as it is written; anything else as a JSON string. Raises InvalidRequest for an empty one."""
    if not text:
        raise InvalidRequest("The value is empty; give one or leave the line out.")
    return text.encode() if _NUMBER.fullmatch(text) else msgspec.json.encode(text)


def _tick(
    key: str, value: bytes, category: str | None, time: str | None, line: int, options: Options
) -> Tick:
    category = category or options.category
    return Tick(
        parse_key(options.key_prefix + key),
        check_value(value, VALUE_MAX_BYTES).encode(),
        parse_category(category) if category else None,
        parse_time(time) if time and options.times else None,
        line,
    )


class _Line(msgspec.Struct):
    key: str
    value: msgspec.Raw
    category: str | None = None
    time: str | int | float | None = None


_line_decoder = msgspec.json.Decoder(_Line)


def read_ndjson(lines: Iterable[tuple[int, str]], options: Options, report: Report) -> Iterator[Tick]:
    """Ticks of lines {"key", "value", "category"?, "time"?}; other members are ignored."""
    for number, text in lines:
        try:
            line = _line_decoder.decode(text)
            time = str(line.time) if line.time is not None else None
            yield _tick(line.key, bytes(line.value), line.category, time, number, options)
        except (msgspec.DecodeError, RecursionError) as error:
            report(number, f'{error}; send {{"key", "value", "category"?, "time"?}}.')
        except InvalidRequest as error:
            report(number, error.message)


def _column(header: list[str], names: tuple[str, ...]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _columns(header: list[str]) -> Mapping[str, int | None]:
    names = [name.strip().lower() for name in header]
    key, value = _column(names, KEY_COLUMNS), _column(names, VALUE_COLUMNS)
    if key is None or value is None:
        raise InvalidRequest(
            f"The header {','.join(header)!r} names no {'key' if key is None else 'value'} column; "
            f"call one {' or '.join(KEY_COLUMNS if key is None else VALUE_COLUMNS)}."
        )
    return {
        "key": key, "value": value,
        "category": _column(names, CATEGORY_COLUMNS), "time": _column(names, TIME_COLUMNS),
    }


def read_csv(lines: Iterable[tuple[int, str]], options: Options, report: Report) -> Iterator[Tick]:
    """Ticks of CSV with a header; parted by comma, semicolon or tab. Raises InvalidRequest for its header."""
    numbered = iter(lines)
    first = next(numbered, None)
    if first is None:
        return
    current = first[0]

    def texts() -> Iterator[str]:
        nonlocal current
        for number, text in numbered:
            current = number
            yield text

    delimiter = max(",;\t", key=first[1].count)
    columns = _columns(next(csv.reader([first[1]], delimiter=delimiter)))
    rows = csv.reader(texts(), delimiter=delimiter)
    while True:
        try:
            row = next(rows)
            cells = {name: row[at].strip() if at is not None else None for name, at in columns.items()}
            yield _tick(
                cells["key"] or "", csv_value(cells["value"] or ""), cells["category"], cells["time"], current, options
            )
        except StopIteration:
            return
        except IndexError:
            report(current, f"The line has {len(row)} columns, fewer than its header.")
        except csv.Error as error:
            report(current, f"The line is no CSV: {error}.")
        except InvalidRequest as error:
            report(current, error.message)
