"""audit: who changed what on purpose."""

from __future__ import annotations

import argparse
import itertools
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from kvcast.cli.connection import connect, options
from kvcast.cli.output import coloured, json_line, line, note, shown, table
from kvcast.errors import InvalidRequest

_AGO = re.compile(r"([1-9]\d{0,4})([smhd])")
_UNIX = re.compile(r"[0-9]{1,11}(\.[0-9]{1,6})?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def register(commands: Any) -> None:
    parser = commands.add_parser(
        "audit", parents=[options()], formatter_class=argparse.RawDescriptionHelpFormatter,
        help="show who changed what",
        description="Show the audit log, newest first: deletions, compare-and-set and create-only writes, what came\n"
        "with a note, migrations and restores. It needs a token with the scope admin.",
        epilog="examples:\n  kvcast audit --since 2h\n  kvcast audit --key gold --who ops\n"
        "  kvcast audit --since 2026-01-31T12:00:00Z --limit 0 --json",
    )
    parser.add_argument("--since", metavar="TIME", help="then or later: 30m, 2h, 7d, ISO 8601 or Unix seconds")
    parser.add_argument("--key", help="changes of this key")
    parser.add_argument("--who", metavar="NAME", help="changes by the token of this name")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="rows at most; 0: all (default 100)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def moment(text: str | None, now: datetime) -> str | None:
    """`2h` as the time two hours before `now`; ISO 8601 and Unix seconds as they are. Raises InvalidRequest."""
    if text is None or _UNIX.fullmatch(text):
        return text
    try:
        ago = _AGO.fullmatch(text)
        if ago:
            return (now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).isoformat()
        datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"--since {text!r} is no time; say how long ago (30m, 2h, 7d), a time such as 2026-01-31T12:00:00Z, "
            "or Unix seconds.",
            code="usage",
        ) from None
    return text


def run(arguments: argparse.Namespace) -> int:
    found = connect(arguments).audit(
        since=moment(arguments.since, datetime.now(UTC)), key=arguments.key, who=arguments.who
    )
    entries = itertools.islice(found, arguments.limit if arguments.limit > 0 else None)
    if arguments.json:
        for entry in entries:
            json_line(msgspec.json.encode(entry))
        return 0
    rows = list(map(_row, entries))
    if not rows:
        note("Nothing is recorded that fits.")
        return 0
    lines = table([("AT", "WHO", "FROM", "WHAT", "KEY", "REV", "NOTE"), *rows])
    line("\n".join([coloured(lines[0], "bold", sys.stdout), *lines[1:]]))
    return 0


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    several = f"({entry['count']} changes)" if entry["count"] else "(the store)"
    key = several if entry["key"] is None else entry["key"]
    said = shown((entry["note"] or "").encode(), sys.stdout)
    return entry["at"], entry["token"], entry["client"] or "-", entry["action"], key, str(entry["rev"]), said
