"""status: how the server is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from kvcast.cli.connection import connect, options
from kvcast.cli.output import Colour, coloured, json_line, line, table
from kvcast.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from kvcast.client import Client


class _Readiness(msgspec.Struct):
    probes: dict[str, str] = {}


def register(commands: Any) -> None:
    parser = commands.add_parser(
        "status", parents=[options()], help="show how the server is",
        description="Show readiness and the numbers of /stats. Exit code 1 when the server is not ready.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def readiness(client: Client) -> tuple[bool, dict[str, str]]:
    """Whether the server is ready, and the outcome of each of its probes ("ok" or a sentence).

    An ingress keeps /healthz to itself: then it counts as ready, without probes. Raises Unreachable.
    """
    from kvcast.answers import decode_answer

    try:
        answer = client.transport.call_once("GET", "/healthz/ready")
    except NotFound:
        return True, {}
    except Unavailable as error:
        if error.error_code == "unreachable":
            raise
        return False, {}
    return True, decode_answer(answer, _Readiness).probes


def flat(members: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested members as (dotted name, text) pairs."""
    for name, value in members.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", _text(value)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def run(arguments: argparse.Namespace) -> int:
    client = connect(arguments)
    ready, probes = readiness(client)
    stats = {name: value for name, value in client.stats().items() if name != "success"}
    well = ready and all(outcome == "ok" for outcome in probes.values())
    if arguments.json:
        json_line(msgspec.json.encode({"url": client.url, "ready": ready, "probes": probes, **stats}))
        return 0 if well else 1
    rows = [("url", client.url), ("ready", "yes" if ready else "no"), *probes.items(), *flat(stats)]
    for (name, text), shown in zip(rows, table(rows), strict=True):
        colour: Colour | None = None
        if name in probes or name == "ready":
            colour = "green" if text in ("ok", "yes") else "red"
        line(coloured(shown, colour, sys.stdout) if colour else shown)
    return 0 if well else 1
