"""doctor: look at everything that a value passes, and say what to mend."""

from __future__ import annotations

import argparse
import sys
from typing import Any, Literal

import msgspec

from kvcast.cli.connection import options
from kvcast.cli.output import Colour, coloured, json_line, line

State = Literal["ok", "warn", "fail"]
_COLOURS: dict[State, Colour] = {"ok": "green", "warn": "yellow", "fail": "red"}


class Finding(msgspec.Struct, frozen=True):
    """One line: what was looked at, how it is, and what to mend where it is not well."""

    state: State
    about: str
    message: str


def register(commands: Any) -> None:
    parser = commands.add_parser(
        "doctor", parents=[options()], help="find out what is wrong",
        description="Check settings, server, token, both stores, clocks, and the whole way of a value: write, read, "
        "WebSocket. It writes one temporary key and deletes it. Exit code 1 when something failed.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--key-prefix", default="", metavar="TEXT", help="for the temporary key, where the token may write only there"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from kvcast.cli.examination import examine

    failed = False
    for finding in examine(arguments):
        failed = failed or finding.state == "fail"
        if arguments.json:
            json_line(msgspec.json.encode(finding))
        else:
            state = coloured(f"{finding.state:<4}", _COLOURS[finding.state], sys.stdout)
            line(f"{state}  {finding.about:<10}  {finding.message}")
    return 1 if failed else 0
