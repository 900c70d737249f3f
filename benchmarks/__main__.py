"""`make bench`: kvcast and its peers, measured beside one another on this machine. WHAT=reads runs one part."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from kvcast.errors import KvcastError

from benchmarks import document, machine, page, report, results, table, tools
from benchmarks.parts import Plan

PARTS = ["reads", "writes", "batch", "fanout", "path", "grid", "idle", "million", "processes", "polling"]
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="*", metavar="PART", help=f"one or more of {', '.join(PARTS)}; all by default")
    parser.add_argument("--rounds", type=int, default=Plan.rounds, help="runs of each side")
    parser.add_argument("--seconds", type=int, default=int(Plan.seconds), help="of one run; wrk takes whole ones")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files and the report")
    arguments = parser.parse_args()
    unknown = [part for part in arguments.what if part not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}; there are: {', '.join(PARTS)}")
    plan = Plan(arguments.rounds, arguments.seconds)
    began = time.monotonic()
    try:
        tools.wrk()
        tools.node()
        for part in arguments.what or PARTS:
            run_part(part, plan, arguments.results, command(arguments.what, plan))
    except KvcastError as error:
        print(f"bench: {error.message}", file=sys.stderr)
        return 1
    runs = results.load(arguments.results, PARTS)
    written = report.write(arguments.results, runs)
    print(f"The report is {written}; it took {time.monotonic() - began:.0f} s.")
    if arguments.results == RESULTS:
        page.write(page.PATH, runs)
        document.write(document.PATH, runs)
        print(f"{page.PATH} and the table of {document.PATH} are of these runs too.")
    return 0


def command(what: Sequence[str], plan: Plan) -> str:
    """What repeats the run."""
    options = {"--rounds": (plan.rounds, Plan.rounds), "--seconds": (plan.seconds, Plan.seconds)}
    chosen = [*what, *(f"{name} {value:g}" for name, (value, usual) in options.items() if value != usual)]
    words = " ".join(chosen)
    return "make bench" + (f' WHAT="{words}"' if " " in words else f" WHAT={words}" if words else "")


def run_part(part: str, plan: Plan, folder: Path, repeated_by: str) -> None:
    print(f"{part} ...", flush=True)
    on = machine.describe()
    began = time.monotonic()
    comparisons = import_module(f"benchmarks.parts.{part}").run(plan)
    run = results.PartRun(part, results.now(), repeated_by, time.monotonic() - began, on, comparisons)
    results.save(folder, run)
    for comparison in comparisons:
        if not comparison.aims:
            print(f"{comparison.work}\n{table.figures(comparison)}", flush=True)
    if any(comparison.aims for comparison in comparisons):
        print(table.ratios(comparisons), flush=True)


if __name__ == "__main__":
    sys.exit(main())
