"""token: a new token and the line that a server takes."""

from __future__ import annotations

import argparse
import re
from typing import Any

from kvcast.cli.output import line
from kvcast.errors import SettingsError
from kvcast.tokens import Token, digest_of, new_token, parse_grants


def register(commands: Any) -> None:
    parser = commands.add_parser(
        "token", formatter_class=argparse.RawDescriptionHelpFormatter, help="make a token",
        description="Make a random token. The server keeps only its digest, so note the token now.",
        epilog="examples:\n  kvcast token exchange write:crypto.\n  kvcast token dashboard read\n"
        "  kvcast token ops admin\n\nSeveral tokens are accepted at once, so they can be rotated.",
    )
    parser.add_argument("name", metavar="NAME", help="for logs: letters, digits, . _ -")
    parser.add_argument("grants", metavar="GRANTS", help="read, write or admin, each perhaps with :PREFIX, by commas")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if not re.fullmatch(r"[\w.-]{1,64}", arguments.name):
        raise SettingsError(f"{arguments.name!r} is no name; use 1 to 64 letters, digits or any of . _ -")
    token = new_token()
    entry = Token(arguments.name, parse_grants(arguments.grants), digest_of(token)).entry()
    line(f"token          {token}")
    line(f"KVCAST_TOKENS  {entry}")
    return 0
