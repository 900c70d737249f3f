"""watch: every change on a line of its own."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from kvcast.cli.connection import connect, options
from kvcast.cli.output import Colour, can_show, coloured, json_line, line, note, shown

if TYPE_CHECKING:
    from kvcast.updates import Notice, Update

_ARROWS = {"up": "▲", "down": "▼", "equal": "=", "none": "·"}
_ASCII_ARROWS = {"up": "^", "down": "v", "equal": "=", "none": "."}
_COLOURS: dict[str, Colour] = {"up": "green", "down": "red", "equal": "dim", "none": "dim"}
_VALUE_WIDTH = 14


def register(commands: Any) -> None:
    parser = commands.add_parser(
        "watch", parents=[options()], formatter_class=argparse.RawDescriptionHelpFormatter,
        help="print each change as it happens",
        description="Print the current values and then each change, until Ctrl-C. Lost connections are resumed.",
        epilog="examples:\n  kvcast watch gold btc\n  kvcast watch --prefix crypto. --max-rate 2\n"
        "  kvcast watch gold --mode every --json | jq .value\n  kvcast watch gold --count 1",
    )
    parser.add_argument("keys", metavar="KEY", nargs="*")
    parser.add_argument("--prefix", action="append", default=[], help="every key that begins so; may be repeated")
    parser.add_argument("--category", action="append", default=[], help="every key of a category; may be repeated")
    parser.add_argument(
        "--mode", choices=("latest", "every"), default="latest",
        help="latest: values may be skipped when they come too fast; every: none is (default: latest)",
    )
    parser.add_argument("--max-rate", type=float, metavar="N", help="at most N changes a second of one key")
    parser.add_argument("--count", type=int, metavar="N", help="end after N changes")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def update_json(update: Update) -> bytes:
    op = "del" if update.deleted else "snap" if update.snapshot else "upd"
    members: dict[str, Any] = {"op": op, "key": update.key}
    if not update.deleted:
        members |= {"value": msgspec.Raw(update.raw), "category": update.category, "updatedAt": update.updated_at}
    return msgspec.json.encode({**members, "rev": update.rev})


def direction(before: Any, now: Any) -> str:
    """up, down or equal against the last number of the key; none where there is nothing to compare."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (before, now))
    if not numbers:
        return "none"
    return "up" if now > before else "down" if now < before else "equal"


def age(updated_at: str | None) -> str:
    """How long ago, for people; empty where that is not known or the clocks disagree by more than it."""
    if updated_at is None:
        return ""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(updated_at)).total_seconds()
    if seconds < 0:
        return ""
    for limit, unit, size in ((1, "ms", 0.001), (120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


class _Screen:
    """Remembers the last number of each key, to draw the arrows."""

    def __init__(self) -> None:
        self._numbers: dict[str, Any] = {}
        self._arrows = _ARROWS if can_show("".join(_ARROWS.values()), sys.stdout) else _ASCII_ARROWS
        self._key_width = 8

    def draw(self, update: Update) -> str:
        self._key_width = max(self._key_width, len(update.key))
        moved = direction(self._numbers.get(update.key), update.value)
        if isinstance(update.value, int | float):
            self._numbers[update.key] = update.value
        text = "(deleted)" if update.deleted else shown(update.raw, sys.stdout)
        arrow = coloured(self._arrows[moved], _COLOURS[moved], sys.stdout)
        tail = coloured(f"rev {update.rev}  {age(update.updated_at)}".rstrip(), "dim", sys.stdout)
        return f"{update.key:<{self._key_width}}  {arrow} {text:<{_VALUE_WIDTH}}  {tail}"


def run(arguments: argparse.Namespace) -> int:
    screen = _Screen()

    def tell(notice: Notice) -> None:
        if notice.kind != "connected" or sys.stderr.isatty():
            note(notice.message)

    watch = connect(arguments).watch(
        *arguments.keys,
        prefixes=arguments.prefix,
        categories=arguments.category,
        mode=arguments.mode,
        max_rate=arguments.max_rate,
        on_notice=tell,
    )
    with watch:
        for number, update in enumerate(watch, 1):
            if arguments.json:
                json_line(update_json(update))
            else:
                line(screen.draw(update))
            if number == arguments.count:
                break
    return 0
