"""Writes what a virtual environment of kvcast holds as a CycloneDX bill of materials: `sbom.py PYTHON OUTPUT`.

Runs in the environment of requirements-supply.lock. `make sbom` and the image's build call it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    python, output = sys.argv[1:]
    command = [
        sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "environment",
        "--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--validate",
        "--output-file", output, python,
    ]
    subprocess.run(command, check=True)
    version = re.search(r'__version__ = "(.*)"', (ROOT / "kvcast/__init__.py").read_text(encoding="utf-8"))
    document = json.loads(Path(output).read_text(encoding="utf-8"))
    document["metadata"]["component"]["version"] = version[1] if version else "unknown"
    Path(output).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"Wrote {output}: {len(document['components'])} components of kvcast {version[1] if version else ''}.")


if __name__ == "__main__":
    main()
