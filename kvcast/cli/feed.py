"""feed: replay real ticks, from a file or as a live bridge from standard input."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING, Any, BinaryIO

from kvcast.cli.connection import find_login, options
from kvcast.errors import InvalidRequest, KvcastError

if TYPE_CHECKING:
    from kvcast.cli.progress import Progress
    from kvcast.feeding import Counts, Pace, Source
    from kvcast.ticks import Options, Report, Tick

QUEUE_MAX_TICKS = 1000  # so that memory stays flat: a producer that is faster waits in its pipe
DEMO_RATE = 5.0
_REPORTED_MOST = 20
_EXTENSIONS = {".csv": "csv", ".tsv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}

_HELP = """\
CSV has a header; its columns may be called (any case, parted by comma, semicolon or tab):
  key       key, symbol or ticker
  value     value or price; a JSON number is sent as it is written, all else as a string
  category  category (optional)
  time      time, date or timestamp (optional): ISO 8601, Unix seconds or milliseconds, `Jan 31 2000`
NDJSON has one {"key","value","category"?,"time"?} a line.

pace: a file is replayed at the pace of its own times, or as fast as it goes where it has none;
standard input is a live bridge: a line is sent as soon as it arrives.

While the server is away the feed waits for it: no tick is lost, none reordered, none applied twice.

examples:
  kvcast feed prices.csv --rate 50
  kvcast feed prices.ndjson --speed 60 --loop
  some-producer | kvcast feed - --category metal
  kvcast feed --demo

exit codes: 0 every tick was acknowledged; 1 a tick was refused or a line skipped; 2 wrong usage;
3 given up while the server was away; 130 interrupted.
"""


def _rate(text: str) -> float:
    if text == "max":
        return 0.0
    rate = float(text)
    if not 0 <= rate <= 1e6:
        raise ValueError
    return rate


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number <= 1e12:
        raise ValueError
    return number


def register(commands: Any) -> None:
    parser = commands.add_parser(
        "feed", parents=[options()], formatter_class=argparse.RawDescriptionHelpFormatter,
        help="replay ticks from a file or a pipe", description="Replay real ticks.", epilog=_HELP,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("file", metavar="FILE", nargs="?", help="CSV or NDJSON; - reads standard input")
    source.add_argument("--demo", action="store_true", help=f"a random walk of keys demo.*, {DEMO_RATE:g} ticks/s")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--rate", type=_rate, metavar="N", help="N ticks/s; 0 or max: as fast as it goes")
    pace.add_argument("--speed", type=_positive, metavar="X", help="X times the pace of their own times")
    parser.add_argument("--format", choices=("csv", "ndjson"), help="else by the file's name or its first line")
    parser.add_argument("--strict", action="store_true", help="stop at the first bad line")
    parser.add_argument("--loop", action="store_true", help="begin again at the end of the file")
    parser.add_argument("--key-prefix", default="", metavar="TEXT", help="put before every key")
    parser.add_argument("--category", help="for lines that name none")
    parser.add_argument(
        "--give-up-after", type=_positive, metavar="SECONDS", help="end when the server is away for so long"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from kvcast.cli.progress import Progress
    from kvcast.client import Client
    from kvcast.feeding import Counts, gather, send

    if arguments.loop and arguments.file in (None, "-"):
        raise InvalidRequest("--loop needs a file, which can be read again.", code="usage")
    login = find_login(arguments)
    client = Client(login.url, login.token, retry_seconds=0)
    counts = Counts()
    source: Source = Queue(QUEUE_MAX_TICKS)
    with Progress(counts) as progress:
        Thread(target=_produce, args=(arguments, source, counts, progress), daemon=True).start()
        for batch in gather(source, _pace(arguments), counts):
            counts.due += len(batch)
            for tick, error in send(
                batch,
                lambda bodies, key: client.send_batch(bodies, key, retries=False),
                counts,
                give_up_after_seconds=arguments.give_up_after,
            ):
                if counts.refused <= _REPORTED_MOST:
                    where = f"line {tick.line}, " if tick.line else ""
                    progress.say(f"refused: {where}key {tick.key}: {error.message}")
    return 1 if counts.refused or counts.skipped else 0


def _pace(arguments: argparse.Namespace) -> Pace:
    from kvcast.feeding import Pace

    if arguments.rate is not None:
        return Pace(rate=arguments.rate)
    if arguments.demo:
        return Pace(rate=DEMO_RATE)
    live = arguments.file == "-" and arguments.speed is None
    return Pace() if live else Pace(speed=arguments.speed or 1.0)


def _produce(arguments: argparse.Namespace, source: Source, counts: Counts, progress: Progress) -> None:
    """Fill `source`, ending with None or with the error that stopped it."""

    def report(number: int, message: str) -> None:
        if arguments.strict:
            raise InvalidRequest(f"Line {number}: {message}", code="bad_line")
        counts.skipped += 1
        if counts.skipped <= _REPORTED_MOST:
            progress.say(f"line {number} skipped: {message}")

    try:
        for tick in _ticks(arguments, report):
            source.put(tick)
        source.put(None)
    except KvcastError as error:
        source.put(error)
    except (OSError, ValueError) as error:
        source.put(InvalidRequest(f"{arguments.file} cannot be read: {error}.", code="usage"))


def _ticks(arguments: argparse.Namespace, report: Report) -> Iterator[Tick]:
    from kvcast.feeding import demo_ticks
    from kvcast.ticks import Options

    options = Options(arguments.key_prefix, arguments.category, times=_pace(arguments).uses_times)
    if arguments.demo:
        yield from demo_ticks()
    while not arguments.demo:
        with nullcontext(sys.stdin.buffer) if arguments.file == "-" else Path(arguments.file).open("rb") as stream:
            yield from _read(stream, arguments, options, report)
        if not arguments.loop:
            return


def _read(stream: BinaryIO, arguments: argparse.Namespace, options: Options, report: Report) -> Iterator[Tick]:
    from kvcast.ticks import lines_of, looks_like_json, read_csv, read_ndjson

    lines = lines_of(stream, report)
    first = next(lines, None)
    if first is None:
        return
    form = arguments.format or _EXTENSIONS.get(Path(arguments.file).suffix.lower())
    if form is None:
        form = "ndjson" if looks_like_json(first[1]) else "csv"
    read = read_ndjson if form == "ndjson" else read_csv
    yield from read(chain([first], lines), options, report)
