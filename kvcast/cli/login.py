"""login: check a token against a server and keep both."""

from __future__ import annotations

import argparse
import getpass
import sys
from typing import TYPE_CHECKING, Any

from kvcast.cli.connection import RETRY_SECONDS, Login, store_login
from kvcast.cli.output import line
from kvcast.errors import Forbidden, InvalidRequest, PreconditionFailed

if TYPE_CHECKING:
    from kvcast.client import Client

PROBE_KEY = "kvcast.probe"  # asked for with a rev that it never had, so it is never written


def register(commands: Any) -> None:
    parser = commands.add_parser(
        "login", formatter_class=argparse.RawDescriptionHelpFormatter, help="remember a server and its token",
        description="Ask for a token without showing it, check it against the server, and keep both for later.",
        epilog="examples:\n  kvcast login https://kvcast.example.org\n  kvcast login http://127.0.0.1:8000 < token.txt",
    )
    parser.add_argument("url", metavar="URL")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from kvcast.client import Client

    token = getpass.getpass("Token: ") if sys.stdin.isatty() else sys.stdin.readline()
    token = token.strip()
    if not token:
        raise InvalidRequest("No token was given; type it, or send it on standard input.", code="usage")
    client = Client(arguments.url, token, retry_seconds=RETRY_SECONDS)
    may_write(client, PROBE_KEY)
    path = store_login(Login(client.url, token))
    line(f"Logged in to {client.url}; kept in {path}.")
    return 0


def may_write(client: Client, key: str) -> bool:
    """Whether the token may write `key`, without writing it. Raises Unauthorized when it is not known."""
    try:
        client.set(key, None, if_rev=1)
    except Forbidden:
        return False
    except PreconditionFailed:
        pass
    return True
