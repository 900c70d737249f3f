"""HTTP under load: wrk, and what the server spent meanwhile."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks import tools
from benchmarks.figures import Figures
from benchmarks.usage import Cost
from benchmarks.worlds import TOKEN, Server

CONNECTIONS = 64
SCRIPT = Path(__file__).parent / "load.lua"
WRITE_HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


def lines_file(folder: Path, name: str, lines: Iterable[str]) -> Path:
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def measure(
    server: Server, path: str, seconds: float, *, paths: Path | None = None, bodies: Path | None = None,
    headers: Mapping[str, str] | None = None,
) -> Figures:
    """CONNECTIONS keep-alive connections ask as fast as they are answered. paths, bodies: a file with one a line."""
    lines = [f"{name}: {value}" for name, value in (headers or {}).items()]
    command = [
        tools.wrk(), "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds:g}s",
        "--script", str(SCRIPT), *(part for line in lines for part in ("--header", line)), server.url + path,
    ]
    for kind, file in (("paths", paths), ("bodies", bodies)):
        if file is not None:
            command += ["--", kind, str(file)]
    with Cost(server.pid) as cost:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout.splitlines()[-1])
    served = said["requests"] - said["statuses"]  # a refusal is quick and does not count
    return {
        "requests_per_second": served / (said["microseconds"] / 1e6),
        "p50_ms": said["p50"] / 1000,
        "p99_ms": said["p99"] / 1000,
        "errors": float(said["statuses"] + said["broken"]),
        "cpu_seconds_per_1000": 1000 * cost.cpu_seconds / max(1, said["requests"]),
        "memory_mib": cost.memory_mib,
    }
