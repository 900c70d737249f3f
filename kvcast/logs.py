"""Log lines: one for each event, for people or as JSON, which nothing that a client sends can forge or break."""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import socket
import sys
import time
from functools import lru_cache
from typing import Any, Literal

import msgspec

Format = Literal["json", "text"]
# Requests, and what came of them; on where KVCAST_ACCESS_LOG is.
access = logging.getLogger("kvcast.access")
access.setLevel(logging.WARNING)
_OURS = ("kvcast", "functions")
_served: set[str] = set()  # the functions of this process
_WELL_FORMED = re.compile(r"[A-Za-z0-9._:=/+@-]{1,128}")


class JsonFormatter(logging.Formatter):
    """An object a line: time, level, function, host, pid, logger, message, the event's own fields, error."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self._host = host

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {"time": _time(record), "level": record.levelname.lower()}
        fields = _fields(record)
        line["function"] = fields.pop("function", None) or _function(record.name)
        line |= {"host": self._host, "pid": os.getpid(), "logger": record.name, "message": record.getMessage()}
        line |= fields
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return _printable(_json(line))


class TextFormatter(logging.Formatter):
    """time, level, logger, message, then fields as name=JSON; a traceback follows, indented."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {name: value for name, value in _fields(record).items() if value is not None}
        told = "".join(f" {name}={_json(value)}" for name, value in fields.items())
        line = _printable(f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}{told}")
        if record.exc_info:
            line += "".join(f"\n    {_printable(row)}" for row in self.formatException(record.exc_info).splitlines())
        return line


def _time(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.msecs):03}Z"


@lru_cache(maxsize=2)
def _second(unix_seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix_seconds))


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return dict(getattr(record, "fields", {}))


def _function(logger: str) -> str | None:
    """functions.push.relay is a logger of push; others are of whatever the process serves."""
    parts = logger.split(".")
    if parts[0] == "functions" and len(parts) > 2:
        return parts[1]
    return next(iter(_served)) if len(_served) == 1 else None


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value, enc_hook=str).decode()
    except UnicodeEncodeError:  # a lone surrogate, which the standard library takes
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _printable(text: str) -> str:
    """`text` with what would break a line or steer a terminal as JSON writes it."""
    return text if text.isprintable() else "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def formatter(kind: Format, host: str = "") -> logging.Formatter:
    """host: the pod's name; empty: this machine's."""
    return JsonFormatter(host or socket.gethostname()) if kind == "json" else TextFormatter()


def set_up(function: str, level: str, kind: Format, host: str, *, requests: bool) -> None:
    """Log to standard error, once a process. requests: also each request, and what came of it."""
    _served.add(function)
    for name in _OURS:
        logger = logging.getLogger(name)
        if not logger.handlers:
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(formatter(kind, host))
            logger.addHandler(handler)
            logger.propagate = False
        logger.setLevel(level.upper())
    access.setLevel(logging.INFO if requests else logging.WARNING)


def traces() -> bool:
    """Whether requests are logged, so that their ids are worth carrying."""
    return access.isEnabledFor(logging.INFO)


def request_id(given: str | None) -> str:
    """The id that a request was sent with, where it is well-formed, else a new one."""
    return given if given is not None and _WELL_FORMED.fullmatch(given) else secrets.token_hex(16)
