"""The command `kvcast`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from kvcast.cli import audit, backup, doctor, feed, login, serve, server, status, token, values, watch
from kvcast.cli.output import error_line
from kvcast.errors import Conflict, KvcastError, NotFound, PreconditionFailed, SettingsError

OK, FAILED, USAGE, UNREACHABLE, NOT_FOUND, CONFLICT, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
_USAGE_CODES = ("invalid_setting", "invalid_url", "usage")
_UNREACHABLE_CODES = ("unreachable", "gave_up")

_EPILOG = """\
examples:
  kvcast up                          start everything on this machine
  kvcast set gold 2345.60            write a value
  kvcast watch gold                  see it change
  kvcast feed prices.csv --rate 50   replay real ticks
  kvcast doctor                      find out what is wrong

connection: --url and --token, else KVCAST_URL and KVCAST_TOKEN, else what `kvcast login` stored,
else the local run of KVCAST_DATA or ./.kvcast, else http://127.0.0.1:8000.

exit codes: 0 done; 1 the server answered an error; 2 wrong usage; 3 the server cannot be reached;
4 not found; 5 conflict or failed precondition; 130 interrupted, or nobody reads the output any more.
"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kvcast",
        description="Keep the latest value of every key and push each change to everyone who watches it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in (server, serve, backup, values, watch, feed, status, audit, doctor, login, token):
        module.register(commands)
    return parser


def exit_code(error: KvcastError) -> int:
    if error.error_code in _USAGE_CODES or isinstance(error, SettingsError):
        return USAGE
    if error.error_code in _UNREACHABLE_CODES:
        return UNREACHABLE
    if isinstance(error, NotFound):
        return NOT_FOUND
    return CONFLICT if isinstance(error, Conflict | PreconditionFailed) else FAILED


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; argv: without the program's name, default sys.argv[1:]. Returns the exit code."""
    try:
        arguments = build_parser().parse_args(argv)
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except KvcastError as error:
        error_line(error.message)
        return exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Else the interpreter complains once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERRUPTED
