"""Hostile input of every kind until `--cases` were sent or `--seconds` are over; 1 when anything was found.

First schemathesis over openapi.json against the three functions, with a token and without, then the strategies of
tests/fuzz with many examples, each with the poison test behind it. Keep what it finds: as a line of
tests/fuzz/seeds.json or as an @example.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz import described
from tests.poison import assert_reads_their_own

from benchmarks.worlds import TOKEN, World

API_PART = 0.6  # of the time
EXAMPLES = 40  # of each operation in one run of schemathesis
UNFORESEEN = "nobody foresaw"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=random.randrange(2**31), help="of the first run; printed")
    wanted = parser.parse_args()
    ends = time.monotonic() + wanted.seconds
    well = _fuzz_api(wanted.cases, wanted.seconds * API_PART, wanted.seed)
    return 0 if _fuzz_strategies(max(30.0, ends - time.monotonic()), wanted.seed) and well else 1


def _fuzz_api(cases: int, seconds: float, seed: int) -> bool:
    ends = time.monotonic() + seconds
    sent = failures = 0
    with World() as world, tempfile.TemporaryDirectory(prefix="kvcast-fuzz-") as folder:
        urls = {function: world.kvcast(function).url for function in described.PATHS}
        for function, token in itertools.cycle(itertools.product(urls, (TOKEN, None))):
            if sent >= cases or time.monotonic() > ends:
                break
            outcome = described.run(
                function, urls[function], token, seed=seed, examples=EXAMPLES, folder=Path(folder)
            )
            assert_reads_their_own(urls["write"], urls["read"], TOKEN)
            sent += outcome.cases
            failures += outcome.failures
            who = "with a token" if token else "without a token"
            print(f"{function} {who}, seed {seed}: {outcome.cases} cases, {outcome.failures} failures", flush=True)
            if outcome.failures:
                print(outcome.said)
            seed += 1
        unforeseen = [path for path in world.folder.glob("*/log") if UNFORESEEN in path.read_text(errors="replace")]
        for path in unforeseen:
            print(path.read_text(errors="replace")[-4000:])
    print(f"openapi.json: {sent} cases in {seconds - (ends - time.monotonic()):.0f} s, {failures} failures, "
          f"{len(unforeseen)} functions that logged what nobody foresaw")  # fmt: skip
    return not failures and not unforeseen


def _fuzz_strategies(seconds: float, seed: int) -> bool:
    """What is left of the time goes into examples of tests/fuzz, about 60 of each test in a second."""
    environment = {**os.environ, "KVCAST_FUZZ_EXAMPLES": str(int(seconds * 12))}
    command = [sys.executable, "-m", "pytest", "tests/fuzz", f"--hypothesis-seed={seed}", "--durations=8"]
    return subprocess.run(command, cwd=described.ROOT, env=environment).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
