"""`pip install .` gives the command, the functions and the pages; and what is installed is known beforehand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project in a folder of its own, not the checkout; its dependencies are those of the tests."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-build-isolation", "--target", target, ROOT], check=True, timeout=120
    )
    return target


def run(installed: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    options = {"cwd": installed, "env": environment, "timeout": 60, "text": True}
    return subprocess.check_output([sys.executable, *command], **options)  # type: ignore[call-overload,no-any-return]


def test_the_command_is_there(installed: Path) -> None:
    assert "kvcast up" in run(installed, str(installed / "bin" / "kvcast"), "--help")


def test_pages_schema_and_description_come_along(installed: Path) -> None:
    code = (
        "import functions.read.pages as pages, kvcast.storage.schema as schema, importlib.resources as resources\n"
        "assert 'installed' in pages.__file__, pages.__file__\n"
        "print(*sorted(path.name for path in pages.web_folder().rglob('*') if path.is_file()))\n"
        "print(resources.files('kvcast.storage').joinpath('migrations', '0001.sql').is_file())\n"
        "print(resources.files('functions.read').joinpath('openapi.json').is_file())\n"
    )
    pages, *rest = run(installed, "-c", code).splitlines()
    assert pages.split() == sorted(path.name for path in (ROOT / "web").rglob("*") if path.is_file())
    assert rest == ["True", "True"]


def test_without_its_extra_the_local_run_names_the_mend() -> None:
    code = "import sys; sys.modules['psutil'] = None; import kvcast.cli as cli; sys.exit(cli.main(['up']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "error: The local run needs psutil; install it with pip install 'kvcast[local]'.\n"


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("requirements*.lock")))
def test_every_package_of_a_lock_has_its_hash(name: str) -> None:
    if name == "requirements-helm.lock":
        return  # of one file, which scripts/fetch_helm.py holds to its hash
    blocks = re.split(r"\n(?=\S)", (ROOT / name).read_text(encoding="utf-8"))
    packages = [block for block in blocks if not block.startswith("#") and block.strip()]
    assert packages
    for block in packages:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+", block), block
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block


def test_the_build_of_the_image_is_sent_all_that_it_copies() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {name for names in copied for name in names.split()} == sent


def audit(folder: Path, said: str, code: int = 0, **environment: str) -> tuple[int, str]:
    """scripts/audit.py, where pip-audit says `said`."""
    (folder / "pip_audit.py").write_text(
        f"import sys\nprint({said!r}, file=sys.stdout if {said!r}[0] == '{{' else sys.stderr)\nsys.exit({code})\n"
    )
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/audit.py", "a.lock"], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(folder), **environment}, check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_audit_fails_only_for_a_known_weakness(tmp_path: Path) -> None:
    found = {"name": "b", "version": "1", "vulns": [{"id": "CVE-2026-1", "fix_versions": ["2"]}]}
    clean = {"name": "a", "version": "1", "vulns": []}
    skipped = {"name": "c", "skip_reason": "not found"}
    assert audit(tmp_path, json.dumps({"dependencies": [clean]})) == (0, "a.lock: 1 packages looked up.\n")
    code, told = audit(tmp_path, json.dumps({"dependencies": [clean, found]}), 1)
    assert (code, "KNOWN WEAKNESS: b 1: CVE-2026-1; mended in: 2." in told) == (1, True)
    for said in (json.dumps({"dependencies": [skipped, skipped]}), "ERROR: connection refused"):
        code, told = audit(tmp_path, said)
        assert (code, "WARNING: not audited, as the advisories could not be reached" in told) == (0, True)
        assert audit(tmp_path, said, KVCAST_AUDIT_STRICT="1")[0] == 1
