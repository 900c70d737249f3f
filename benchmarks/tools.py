"""The programs of others that `make bench` needs, and what to do where one is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from kvcast.errors import KvcastError

PEER_FOLDER = Path(__file__).parent / "peer-node"


class ToolMissing(KvcastError):
    """A program is not there and cannot be installed from here."""


def wrk() -> str:
    """The load generator for HTTP; installed from Debian where we may. Raises ToolMissing."""
    if shutil.which("wrk") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print("Installing wrk (apt-get install wrk).", flush=True)
        subprocess.run(
            ["apt-get", "install", "-qq", "-y", "wrk"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            check=False, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
    found = shutil.which("wrk")
    if found is None:
        raise ToolMissing("wrk is not installed: run `apt-get install wrk` (macOS: `brew install wrk`) and try again.")
    return found


def node() -> str:
    """Node.js, with the peer's packages installed. Raises ToolMissing."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        raise ToolMissing("The peer needs Node.js 20 or newer and npm; install them (Debian: apt install nodejs npm).")
    installed = PEER_FOLDER / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (PEER_FOLDER / "package-lock.json").stat().st_mtime:
        print("Installing the peer's packages (npm ci).", flush=True)
        done = subprocess.run(
            [npm, "ci", "--omit=dev", "--no-audit", "--no-fund"], cwd=PEER_FOLDER, capture_output=True, text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ToolMissing(f"npm could not install the peer's packages: {done.stderr.strip()}")
    return found


def centrifuge() -> str | None:
    """A server on the Centrifuge library, where KVCAST_BENCH_CENTRIFUGE names one: see docs/performance.md."""
    return os.environ.get("KVCAST_BENCH_CENTRIFUGE")
