"""Asks whether a weakness is known in anything that a lock file names: `audit.py LOCK...`.

Runs in the environment of requirements-supply.lock. Exit code 1 when one is known. Where the advisories cannot be
reached it warns and ends with 0, so that work without a net goes on; KVCAST_AUDIT_STRICT=1 makes that a failure too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

TIMEOUT_SECONDS = 10


def looked_up(lock: str) -> tuple[list[dict[str, Any]], str]:
    """What pip-audit says of each package of `lock`, and why nothing, where it says nothing."""
    command = [
        sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--format", "json",
        "--progress-spinner", "off", "--timeout", str(TIMEOUT_SECONDS), "--requirement", lock,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return json.loads(done.stdout)["dependencies"], ""
    except (ValueError, KeyError):
        said = [line for line in done.stderr.splitlines() if line.strip()]
        return [], said[-1] if said else "it did not say why"


def main() -> int:
    weak, unknown = [], []
    for lock in sys.argv[1:]:
        packages, failure = looked_up(lock)
        if failure:
            unknown.append(f"{lock}: {failure}")
            continue
        skipped = [package for package in packages if "skip_reason" in package]
        weak += [package for package in packages if package.get("vulns")]
        if skipped:
            unknown.append(f"{lock}: {len(skipped)} of {len(packages)} packages ({skipped[0]['skip_reason']})")
        print(f"{lock}: {len(packages) - len(skipped)} packages looked up.")
    for package in weak:
        for found in package["vulns"]:
            mend = ", ".join(found.get("fix_versions", [])) or "no release yet"
            print(f"KNOWN WEAKNESS: {package['name']} {package['version']}: {found['id']}; mended in: {mend}.")
    for reason in unknown:
        print(f"WARNING: not audited, as the advisories could not be reached: {reason}", file=sys.stderr)
    return 1 if weak or (unknown and os.environ.get("KVCAST_AUDIT_STRICT")) else 0


if __name__ == "__main__":
    sys.exit(main())
