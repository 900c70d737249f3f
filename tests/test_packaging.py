"""`pip install .` gives the command, the functions and the pages."""

from __future__ import annotations

import os
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
