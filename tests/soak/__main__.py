"""A steady mixed load beside clients that misbehave, sampled; the table, the verdict, and 1 when something grew."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.checker import check, stored
from tests.soak.flatness import LIMITS, Flatness, judged
from tests.soak.nuisances import Nuisances
from tests.soak.sampling import Sampler, Series

from benchmarks.worlds import TOKEN, Server, World

SAMPLES = 150
ROOT = Path(__file__).parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--writes-per-second", type=float, default=150.0)
    parser.add_argument("--reads-per-second", type=float, default=400.0)
    parser.add_argument("--viewers", type=int, default=150)
    wanted = parser.parse_args()
    with World() as world, tempfile.TemporaryDirectory(prefix="kvcast-soak-") as folder:
        servers = {name: world.kvcast(name.partition(" ")[0]) for name in ("write", "read", "push 1", "push 2")}
        sampler = Sampler(servers, every_seconds=max(0.5, wanted.seconds / SAMPLES))
        nuisances = Nuisances(servers["write"], servers["read"], servers["push 1"], TOKEN)
        with sampler, nuisances:
            load = _load(servers, Path(folder), wanted)
        url = world.stores.database_url
        verdict = check(Path(folder) / "history", stored.rows(url), stored.ticks(url))
    found = {(name, kind): judged(samples, LIMITS[kind]) for name, kind, samples in _steady(sampler.series)}
    print(_text(load, nuisances, found))
    print("Promises: " + ("all kept" if verdict.ok else verdict.text()))
    for failure in sampler.failed:
        print(f"No sample of {failure}")
    flat = bool(found) and all(one.ok for one in found.values())
    print(f"Verdict: {'flat' if flat else 'something grows'}")
    return 0 if flat and verdict.ok and not sampler.failed else 1


def _steady(series: Series) -> list[tuple[str, str, list[tuple[float, float]]]]:
    """Without the last twentieth: the load has ended, its viewers leave."""
    return [
        (name, kind, samples[: len(samples) - max(1, len(samples) // 20)])
        for name, kinds in series.items()
        for kind, samples in kinds.items()
        if len(samples) > 6
    ]


def _load(servers: dict[str, Server], folder: Path, wanted: argparse.Namespace) -> dict[str, Any]:
    (folder / "token").write_text(TOKEN)
    urls = [word for name, server in servers.items() for word in (f"--{name.partition(' ')[0]}", server.url)]
    command = [
        sys.executable, "-m", "tests.checker.load", *urls, "--token-file", str(folder / "token"), "--history",
        str(folder / "history"), "--seconds", str(wanted.seconds), "--viewers", str(wanted.viewers),
        "--writes-per-second", str(wanted.writes_per_second), "--reads-per-second", str(wanted.reads_per_second),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=wanted.seconds + 180)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _text(load: dict[str, Any], nuisances: Nuisances, found: dict[tuple[str, str], Flatness]) -> str:
    lines = [
        (f"{load['seconds']:.0f} s of {load['writes_per_second']} writes/s and {load['reads_per_second']} reads/s; "
        f"viewers ended {load['viewers_ended']}"),
        "On purpose: " + ", ".join(f"{what} x {times}" for what, times in sorted(nuisances.outcomes.items())),
        "",
        "| function | | after warm-up | at the end | most | gained by slope | allowed | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (name, kind), one in found.items():
        figures = " | ".join(f"{value:.1f}" for value in (one.first, one.last, one.most, one.gained, one.allowed))
        lines.append(f"| {name} | {kind} | {figures} | {'flat' if one.ok else 'GROWS'} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
