"""`make test-faults`: breaks kvcast in each known way under a steady load, and counts what was lost."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from tests.faults import on_functions, on_machine, on_network, on_postgres, on_redis  # noqa: F401  they register
from tests.faults.catalogue import FAULTS, Fault, Where
from tests.faults.reporting import line, meaning, put_into_docs, table
from tests.faults.running import Amount, Result, Worlds, called, run

LOAD_SECONDS = 15.0
WHERE = get_args(Where)
ROOT = Path(__file__).parents[2]


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="FAULT", help="all, where none is named")
    parser.add_argument("--list", action="store_true", help="say which faults there are")
    parser.add_argument("--seed", type=int, default=1, help="the same one breaks the same things in the same order")
    parser.add_argument("--seconds", type=float, default=LOAD_SECONDS, help="that each loads at least")
    parser.add_argument("--history", type=Path, default=ROOT / ".faults", metavar="FOLDER", help="gets what was seen")
    parser.add_argument("--docs", action="store_true", help="put the table into docs/reliability.md")
    return parser.parse_args()


def main() -> int:
    arguments = parsed()
    known = {called(fault): fault for fault in FAULTS.values()}
    if arguments.list:
        print("\n".join(f"{name:34} {fault.about}" for name, fault in known.items()))
        return 0
    if unknown := set(arguments.names) - set(known):
        print(f"No fault is called {', '.join(sorted(unknown))}; --list names those that there are.")
        return 2
    faults = [known[name] for name in arguments.names] or list(known.values())
    begun = time.monotonic()
    results, skipped = run_each(faults, arguments.seed, arguments.seconds, arguments.history)
    print(f"\n{table(results, skipped)}\n\n{time.monotonic() - begun:.0f} s in all.")
    if arguments.docs:
        abouts = {called(fault): fault.about for fault in faults}
        put_into_docs(ROOT / "docs" / "reliability.md", f"{table(results, skipped)}\n\n{meaning(abouts)}")
    return 1 if len(results) + len(skipped) < len(faults) or any(result.broken for result in results) else 0


def run_each(
    faults: Sequence[Fault], seed: int, seconds: float, folder: Path
) -> tuple[list[Result], dict[str, str]]:
    """The results, and why a fault was left out."""
    results, skipped = [], {}
    with Worlds(seed) as worlds:
        for fault in sorted(faults, key=lambda fault: WHERE.index(fault.where)):
            if reason := fault.impossible():
                skipped[called(fault)] = reason
                print(f"{called(fault)}: left out, {reason}", flush=True)
                continue
            history = folder / called(fault)
            try:
                result = run(worlds(fault.where), fault, seed, history, Amount(), seconds)
            except Exception:
                traceback.print_exc()
                worlds.close()
                continue
            results.append(result)
            print(line(result), flush=True)
            if result.broken:
                worlds.close()  # the next one shall not suffer from it
                print("\n".join(f"    {sentence}" for sentence in result.broken))
                print(f"    look at {history}/verdict.txt, or run: python -m tests.checker {history}")
                print(f"    again: make test-faults FAULT={called(fault)} SEED={seed}", flush=True)
    return results, skipped


if __name__ == "__main__":
    sys.exit(main())
