"""The chart rendered by helm, without a cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/kvcast"
NAMESPACE = "kvcast-here"
SECRETS: dict[str, Any] = {  # without a cluster none can be made and kept
    "auth": {"adminToken": "the-token"},
    "postgresql": {"password": "the-owner", "functionsPassword": "the-functions"},
    "redis": {"password": "the-cache"},
}
FUNCTIONS = ("write", "read", "push")
Object = dict[str, Any]


def program(name: str) -> str:
    """helm or kubectl, as `make` has put it into the virtual environment."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        pytest.fail(f"{name} is not in the virtual environment; run `make test-chart` once, which brings it.")
    return str(path)


def laid_over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """As helm lays one file of values over another."""
    result = dict(base)
    for name, value in over.items():
        below = result.get(name)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        result[name] = laid_over(below, value) if both else value  # type: ignore[arg-type]
    return result


def helm(command: str, values: Mapping[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
    name = [] if command == "lint" else ["kvcast"]
    return subprocess.run(
        [program("helm"), command, *name, str(CHART), "--namespace", NAMESPACE, "--values", "-", *options],
        input=json.dumps(values), capture_output=True, text=True, timeout=60, check=False,
    )


def rendered_text(values: Mapping[str, Any], *options: str) -> str:
    done = helm("template", laid_over(SECRETS, values), *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def _objects(values: str, options: tuple[str, ...]) -> list[Object]:
    return [found for found in yaml.safe_load_all(rendered_text(json.loads(values), *options)) if found]


def render(values: Mapping[str, Any] | None = None, *options: str) -> list[Object]:
    """The objects of a release with these values, laid over passwords."""
    return _objects(json.dumps(values or {}), options)


def refusal(values: Mapping[str, Any]) -> str:
    """What helm says in place of rendering; the passwords are the caller's to give."""
    done = helm("template", values)
    assert done.returncode != 0, "helm took it"
    return done.stderr


def notes(values: Mapping[str, Any]) -> str:
    done = helm("install", laid_over(SECRETS, values), "--dry-run=client")
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\nNOTES:\n", 1)[1]


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    """By name without the release's."""
    return {
        str(found["metadata"]["name"]).removeprefix("kvcast").removeprefix("-"): found
        for found in objects
        if found["kind"] == kind
    }


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """The name and the template (labels and spec) of every pod that the objects make, hooks included."""
    for found in objects:
        name = f"{found['kind']}/{found['metadata']['name']}"
        if found["kind"] == "Pod":
            yield name, found
        elif found["kind"] == "CronJob":
            yield name, found["spec"]["jobTemplate"]["spec"]["template"]
        elif "template" in found.get("spec", {}):
            yield name, found["spec"]["template"]


def containers(pod: Object) -> list[Object]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
