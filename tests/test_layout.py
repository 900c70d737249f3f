"""The tree keeps the shape that docs/adding-a-function.md and CONTRIBUTING.md describe."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[1]
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/__init__.py"))
ELSEWHERE = {
    "browser", "chart", "checker", "cluster", "contracts", "faults", "fuzz", "overload", "security", "soak",
    "web", "wire",
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_all_that_it_needs(name: str) -> None:
    assert "def create_app(" in (ROOT / "functions" / name / "__init__.py").read_text()
    assert f"{name}.create_app(" in (ROOT / "functions/local.py").read_text(), "functions/local.py does not serve it"
    assert list((ROOT / "tests/functions" / name).glob("test_*.py")), f"tests/functions/{name} has no tests"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    _, _, listed = (ROOT / "charts/kvcast/templates/_helpers.tpl").read_text().partition('define "kvcast.functions"')
    assert f'"{name}"' in listed.partition("end")[0], "the chart leaves it out"
    assert f"\n{name}:\n" in (ROOT / "charts/kvcast/values.yaml").read_text(), "the chart has no values for it"
    assert any(f"functions.{name}" in contract.get("modules", []) for contract in contracts), "no import contract"


def test_tests_mirror_the_source() -> None:
    """tests/a/test_b.py tests kvcast/a/b.py, or what lies below functions and benchmarks likewise."""
    stray = []
    for path in (ROOT / "tests").rglob("test_*.py"):
        place = path.relative_to(ROOT / "tests")
        if place.parts[0] in ELSEWHERE or len(place.parts) == 1:
            continue
        name = path.stem.removeprefix("test_")
        own_tree = place.parts[0] in ("benchmarks", "functions")
        home = ROOT / place.parent if own_tree else ROOT / "kvcast" / place.parent
        if not any(module.stem in name for module in home.rglob("*.py") if module.stem != "__init__"):
            stray.append(str(place))
    assert not stray, f"these mirror no module: {stray}"


def test_every_route_is_described() -> None:
    document = msgspec.json.decode((ROOT / "functions/read/openapi.json").read_bytes())
    for path in ("/add", "/batch", "/keys/{key}", "/get/{key}", "/mget", "/keys", "/history/{key}", "/stats", "/sse"):
        assert path in document["paths"], path


def test_importing_opens_no_connection() -> None:
    code = (
        "import socket\n"
        "def refuse(*_): raise AssertionError('a connection was opened by an import')\n"
        "socket.socket.connect = refuse\n"
        "import functions.write, functions.read, functions.push, functions.local, kvcast.cli, kvcast.up\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
