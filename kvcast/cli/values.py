"""set, get, del and keys."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from kvcast.cli.connection import connect, options
from kvcast.cli.output import coloured, json_line, line, shown, table

if TYPE_CHECKING:
    from kvcast.answers import Entry

_COLUMN_MAX_CHARACTERS = 60
_SET_EXAMPLES = """\
examples:
  kvcast set gold 2345.60 --category metal
  kvcast set note '"123"'             a string
  jq .quote file.json | kvcast set gold -
  kvcast set gold 1 --if-rev 41       only when 41 is current (else exit code 5)
"""


def register(commands: Any) -> None:
    parser = commands.add_parser(
        "set", parents=[options()], formatter_class=argparse.RawDescriptionHelpFormatter, help="write a value",
        description="Write a value. It is kept exactly as written: 2345.60 stays 2345.60.", epilog=_SET_EXAMPLES,
    )
    parser.add_argument("key", metavar="KEY")
    parser.add_argument("value", metavar="VALUE", help="JSON when it parses as such, else a string; - reads stdin")
    parser.add_argument("--category", help="category of the key")
    parser.add_argument("--ttl", type=float, metavar="SECONDS", help="delete the key after so long")
    parser.add_argument("--if-rev", type=int, metavar="REV", help="only when this rev is current")
    parser.add_argument("--create", action="store_true", help="only when the key is absent")
    parser.add_argument("--json", action="store_true", help="print the answer as a JSON object")
    parser.set_defaults(run=run_set)

    parser = commands.add_parser(
        "get", parents=[options()], help="print a value", description="Print a value exactly as it was written."
    )
    parser.add_argument("key", metavar="KEY")
    parser.add_argument("--min-rev", type=int, metavar="REV", help="never a value older than this rev")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--long", action="store_true", help="category, rev, time and source too")
    form.add_argument("--json", action="store_true", help="all of it as a JSON object")
    parser.set_defaults(run=run_get)

    parser = commands.add_parser("del", parents=[options()], help="delete keys", description="Delete keys.")
    parser.add_argument("keys", metavar="KEY", nargs="+")
    parser.add_argument("--json", action="store_true", help="print the answers as JSON objects")
    parser.set_defaults(run=run_del)

    parser = commands.add_parser("keys", parents=[options()], help="list keys", description="List keys in order.")
    parser.add_argument("prefix", metavar="PREFIX", nargs="?", default="")
    parser.add_argument("--category", help="only this category")
    parser.add_argument("--values", action="store_true", help="with value, category, rev and time")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run_keys)


def parse_value(text: str) -> Any:
    """The JSON text as it is, when it is JSON; else the string itself."""
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
        return msgspec.Raw(text.strip().encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return text


def entry_json(entry: Entry) -> bytes:
    members = {
        "key": entry.key, "value": msgspec.Raw(entry.raw), "category": entry.category, "rev": entry.rev,
        "updatedAt": entry.updated_at,
    }
    return msgspec.json.encode(members)


def run_set(arguments: argparse.Namespace) -> int:
    text = sys.stdin.read().removesuffix("\n") if arguments.value == "-" else arguments.value
    written = connect(arguments).set(
        arguments.key,
        parse_value(text),
        category=arguments.category,
        ttl=arguments.ttl,
        if_rev=arguments.if_rev,
        create_only=arguments.create,
    )
    if arguments.json:
        json_line(msgspec.json.encode(written))
    else:
        line(f"{written.key}  {coloured(f'rev {written.rev}', 'dim', sys.stdout)}")
    return 0


def run_get(arguments: argparse.Namespace) -> int:
    entry = connect(arguments).get(arguments.key, min_rev=arguments.min_rev)
    if arguments.json:
        json_line(entry_json(entry))
    elif arguments.long:
        rows = [
            ("key", entry.key), ("value", shown(entry.raw, sys.stdout)), ("category", entry.category),
            ("rev", str(entry.rev)), ("updated", entry.updated_at), ("source", entry.source or "-"),
        ]
        line("\n".join(table(rows)))
    elif sys.stdout.isatty():
        line(shown(entry.raw, sys.stdout))
    else:
        json_line(entry.raw)
    return 0


def run_del(arguments: argparse.Namespace) -> int:
    client = connect(arguments)
    for key in arguments.keys:
        deleted = client.delete(key)
        if arguments.json:
            json_line(msgspec.json.encode({"key": deleted.key, "rev": deleted.rev}))
        else:
            line(f"{deleted.key}  {coloured(f'deleted, rev {deleted.rev}', 'dim', sys.stdout)}")
    return 0


def run_keys(arguments: argparse.Namespace) -> int:
    client = connect(arguments)
    if not arguments.values:
        for key in client.keys(arguments.prefix, arguments.category):
            if arguments.json:
                json_line(msgspec.json.encode({"key": key}))
            else:
                print(key)
        return 0
    entries = client.entries(arguments.prefix, arguments.category)
    if arguments.json:
        for entry in entries:
            json_line(entry_json(entry))
        return 0
    rows = [("KEY", "VALUE", "CATEGORY", "REV", "UPDATED")]
    for entry in entries:
        value = shown(entry.raw, sys.stdout)
        if sys.stdout.isatty() and len(value) > _COLUMN_MAX_CHARACTERS:
            value = value[: _COLUMN_MAX_CHARACTERS - 3] + "..."
        rows.append((entry.key, value, entry.category, str(entry.rev), entry.updated_at))
    lines = table(rows)
    line("\n".join([coloured(lines[0], "bold", sys.stdout), *lines[1:]]))
    return 0
