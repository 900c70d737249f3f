"""What the documents say is so: their commands run, their tables are those of the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from kvcast import __version__
from kvcast.client import Client
from kvcast.config import Settings
from tests.conftest import Server

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_curl_examples_of_the_readme_run(app: Server, unique_key: Callable[..., str]) -> None:
    script = next(block for block in blocks("sh") if "curl" in block)
    script = script.replace("http://127.0.0.1:8000", app.url).replace("YOUR-TOKEN", app.token)
    script = script.replace("gold", unique_key("gold"))  # so that nobody holds an earlier value of it
    done = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert '"success":false' not in done.stdout
    assert '"error"' not in done.stdout
    assert '"value":2345.60,' in done.stdout
    assert done.stdout.count('{"') >= 8


def test_the_five_lines_of_the_readme_run(app: Server, unique_key: Callable[..., str]) -> None:
    gold = unique_key("gold")
    (script,) = blocks("python")
    assert len(script.splitlines()) == 5
    script = script.replace("http://127.0.0.1:8000", app.url).replace("YOUR-TOKEN", app.token)
    script = script.replace('"gold"', f'"{gold}"')
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ}
    )
    try:
        assert process.stdout is not None
        key, raw, rev = process.stdout.readline().split()
        assert (key, raw) == (gold, "2345.6")
        with Client(app.url, app.token) as client:
            client.set(gold, 2345.70)
        assert int(process.stdout.readline().split()[2]) > int(rev)
    finally:
        process.kill()
        process.communicate(timeout=10)


def settings_table() -> str:
    rows = ["| variable | default | what it sets |", "|---|---|---|"]
    for spec in fields(Settings):
        default = spec.default
        shown = " ".join(sorted(default)) if isinstance(default, frozenset) else ("" if default == () else str(default))
        rows.append(f"| `{spec.metadata['name']}` | {f'`{shown}`' if shown else ''} | {spec.metadata['about']} |")
    return "\n".join(rows)


def test_operations_lists_every_setting() -> None:
    path = ROOT / "docs" / "operations.md"
    text = path.read_text(encoding="utf-8")
    pattern = re.compile(r"(<!-- settings: [^\n]*-->\n).*?(<!-- end of settings -->)", re.DOTALL)
    written = pattern.sub(lambda match: f"{match[1]}{settings_table()}\n{match[2]}", text)
    if os.environ.get("KVCAST_WRITE_DOCS"):
        path.write_text(written, encoding="utf-8")
        pytest.skip("wrote docs/operations.md")
    assert text == written, "run KVCAST_WRITE_DOCS=1 .venv/bin/python -m pytest tests/test_docs.py"


def test_the_changelog_names_the_version() -> None:
    sections = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sections[0] == __version__


def test_links_between_documents_lead_somewhere() -> None:
    named = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "charts/kvcast/README.md")]
    for document in [*named, *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
