"""`python -m tests.checker FOLDER`: the verdict on a recorded history; leaves with 1 when a promise was broken."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.checker import stored
from tests.checker.verdict import PROMISED_SECONDS, check


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.checker", description=__doc__)
    parser.add_argument("folder", type=Path, help="that the load was given as --history")
    parser.add_argument("--database", metavar="URL", help="PostgreSQL, to compare with what it holds now")
    parser.add_argument("--within", type=float, default=PROMISED_SECONDS, metavar="SECONDS",
                        help="how long anybody may be stale, faults apart (default: %(default)s)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="for programs")
    arguments = parser.parse_args()
    rows = stored.rows(arguments.database) if arguments.database else None
    ticks = stored.ticks(arguments.database) if arguments.database else None
    verdict = check(arguments.folder, rows, ticks, within_seconds=arguments.within)
    print(json.dumps(verdict.figures(), indent=2) if arguments.json else verdict.text())
    return 0 if verdict.ok else 1


if __name__ == "__main__":
    sys.exit(main())
