"""schemathesis on openapi.json: every call of a function, valid and not, and each answer held to its description."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
PATHS = {
    "write": r"^/(add|batch|keys/\{key\}|healthz/.*|metrics)$",
    "read": r"^/(?!add$|batch$|ws|sse|keys/\{key\}$)",
    "push": r"^/(ws.*|healthz/.*|metrics)$",  # a good /sse never ends: tests/fuzz/test_addresses.py has the bad ones
}
# Not negative_data_rejection: a bad element of a batch is a 200 with an error in its place.
# Not positive_data_acceptance: If-Match without such a rev is a 412.
CHECKS = (
    "no_fault_of_ours", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "missing_required_header", "unsupported_method", "allow_header_conformance",
    "ignored_auth",
)  # fmt: skip


class Outcome(NamedTuple):
    """cases: sent; said: of the run, where something was found."""

    cases: int
    failures: int
    said: str


def run(function: str, url: str, token: str | None, *, seed: int, examples: int, folder: Path) -> Outcome:
    """One run over the paths of `function`. token: of a client that may do everything, or None for a stranger."""
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    headers = ["-H", f"Authorization: Bearer {token}"] if token else []
    command = [
        str(Path(sys.executable).parent / "st"), "run", str(ROOT / "functions/read/openapi.json"), "--url", url,
        "--include-path-regex", PATHS[function], "--max-examples", str(examples), "--seed", str(seed),
        "--checks", ",".join(check for check in CHECKS if token or check != "ignored_auth"), *headers,
        "--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--warnings", "off",
        "--request-timeout", "10",
        "--report", "json", "--report-json-path", str(report),
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "NO_COLOR": "1"},
    )  # fmt: skip
    if not report.exists():
        return Outcome(0, 1, done.stdout)
    cases: dict[str, Any] = json.loads(report.read_text())["test_cases"]
    return Outcome(cases["generated"], 0 if done.returncode == 0 else max(1, cases["unique_failures"]), done.stdout)
