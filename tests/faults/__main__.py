"""`make test-faults`: breaks kvcast in each known way under a steady load, and counts what was lost."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

from tests.faults import on_functions, on_machine, on_network, on_postgres, on_redis  # noqa: F401  they register
from tests.faults.catalogue import FAULTS, Fault, Where
from tests.faults.reporting import Report
from tests.faults.running import Amount, Result, Worlds, called, run

LOAD_SECONDS = 15.0
WHERE = get_args(Where)
Try = Callable[[Fault], Result]
ROOT = Path(__file__).parents[2]


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="FAULT", help="all, where none is named")
    parser.add_argument("--list", action="store_true", help="say which faults there are")
    parser.add_argument("--seed", type=int, default=1, help="the same one breaks the same things in the same order")
    parser.add_argument("--seconds", type=float, default=LOAD_SECONDS, help="that each loads at least")
    parser.add_argument("--history", type=Path, default=ROOT / ".faults", metavar="FOLDER", help="gets what was seen")
    parser.add_argument("--docs", action="store_true", help="put each row into docs/reliability.md, as it comes")
    return parser.parse_args()


def main() -> int:
    arguments = parsed()
    known = {called(fault): fault for fault in FAULTS.values()}
    if arguments.list:
        print("\n".join(f"{name:42} {fault.about}" for name, fault in known.items()))
        return 0
    if unknown := set(arguments.names) - set(known):
        print(f"No fault is called {', '.join(sorted(unknown))}; --list names those that there are.")
        return 2
    faults = [known[name] for name in arguments.names] or list(known.values())
    begun = time.monotonic()
    docs = ROOT / "docs" / "reliability.md" if arguments.docs else None
    report = Report({name: fault.about for name, fault in known.items()}, docs)
    with Worlds(arguments.seed) as worlds:
        held = run_each(faults, report, trying(worlds, arguments.seed, arguments.seconds, arguments.history))
    print(f"\n{report.table()}\n\n{report.missed()}\n\n{time.monotonic() - begun:.0f} s in all.")
    return 0 if held else 1


def trying(worlds: Worlds, seed: int, seconds: float, folder: Path) -> Try:
    """What runs one fault; what it broke, the next one shall not suffer from."""

    def run_it(fault: Fault) -> Result:
        history = folder / called(fault)
        healthy = False
        try:
            result = run(worlds(fault.where), fault, seed, history, Amount(), seconds)
            healthy = not result.broken
        finally:
            if not healthy:
                worlds.close()
                print(f"    look at {history}, or run: python -m tests.checker {history}")
                print(f"    again: make test-faults FAULT={called(fault)} SEED={seed}", flush=True)
        return result

    return run_it


def run_each(faults: Sequence[Fault], report: Report, run_it: Try) -> bool:
    """Whether all held. Each is in the report as soon as it is over, whatever it came to."""
    held = True
    for fault in sorted(faults, key=lambda fault: WHERE.index(fault.where)):
        name = called(fault)
        try:
            if reason := fault.impossible():
                report.left_out(name, reason)
                continue
            result = run_it(fault)
        except Exception as error:
            traceback.print_exc()
            held = False
            report.failed(name, error)
        else:
            held = held and not result.broken
            report.ran(result)
    return held


if __name__ == "__main__":
    sys.exit(main())
