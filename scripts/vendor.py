"""Fetches the browser code of others, for the pages and for their tests: from npm, by exact version and integrity.

To take another version, change PACKAGES (`npm view <name>@<version> dist.integrity`) and the name in
web/viewer-plot.js, and run `make vendor`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    licence: str
    integrity: str
    folder: str
    files: dict[str, str]  # path in the package -> name in the folder
    notice: str  # its licence asks that the page shows it
    includes: list[str]  # what its files bring along


# A name with its version in it may be cached for ever.
PACKAGES = [
    Package(
        "lightweight-charts",
        "5.2.1",
        "Apache-2.0",
        "sha512-IVwoK1RLFiLPubaKIjNbtjWLnpPMqiABSrTay6whmNa8L1+19292VtHJ+BWyPUuLCwF0tcQlhEWd1CLB2a1nsQ==",
        "web/vendor",
        {
            "dist/lightweight-charts.standalone.production.mjs": "lightweight-charts-5.2.1.js",
            "LICENSE": "lightweight-charts.LICENSE",
        },
        "TradingView Lightweight Charts, Copyright (c) 2026 TradingView, Inc. https://www.tradingview.com/",
        ["fancy-canvas 2.1.0 (MIT, TradingView, Inc.)", "parts of tslib (0BSD, Microsoft Corporation)"],
    ),
    Package(
        "axe-core",
        "4.14.1",
        "MPL-2.0",
        "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
        "tests/browser/axe",
        {"axe.min.js": "axe.min.js", "LICENSE": "LICENSE", "LICENSE-3RD-PARTY.txt": "LICENSE-3RD-PARTY.txt"},
        "axe-core, Copyright (c) 2015-2026 Deque Systems, Inc.; used by the tests only",
        ["what LICENSE-3RD-PARTY.txt names"],
    ),
]


def fetch(package: Package, folder: Path) -> Path:
    """The package's archive, checked against its integrity."""
    subprocess.run(
        ["npm", "pack", "--silent", "--pack-destination", str(folder), f"{package.name}@{package.version}"],  # noqa: S607
        check=True, stdout=subprocess.DEVNULL, cwd=folder,
    )
    archive = folder / f"{package.name}-{package.version}.tgz"
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != package.integrity:
        sys.exit(f"The integrity of {archive.name} is {found}, not {package.integrity}; it was not kept.")
    return archive


def unpack(package: Package, archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        found = {}
        for path, name in package.files.items():
            member = tar.extractfile(f"package/{path}")
            if member is None:
                sys.exit(f"{package.name} {package.version} holds no file {path}.")
            found[name] = member.read()
    return found


def record(package: Package, files: dict[str, bytes]) -> dict[str, object]:
    return {
        "name": package.name,
        "version": package.version,
        "licence": package.licence,
        "integrity": package.integrity,
        "notice": package.notice,
        "includes": package.includes,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }


def main() -> None:
    records: dict[Path, list[dict[str, object]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for package in PACKAGES:
            folder = ROOT / package.folder
            folder.mkdir(exist_ok=True)
            files = unpack(package, fetch(package, Path(temporary)))
            for name, content in files.items():
                (folder / name).write_bytes(content)
            records.setdefault(folder, []).append(record(package, files))
    for folder, those in records.items():
        (folder / "VENDORED.json").write_text(json.dumps(those, indent=2) + "\n")


if __name__ == "__main__":
    main()
