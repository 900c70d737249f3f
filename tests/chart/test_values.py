"""Values: every one described and closed, and what is made from them is up to date."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from kvcast import __version__
from scripts.chart import MADE
from tests.chart.rendering import CHART, FUNCTIONS, program

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
# Pieces of Kubernetes objects: the API server knows their fields.
OF_KUBERNETES = {"resources", "behavior", "affinity", "startup", "readiness", "liveness", "global"}


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}".lstrip("."), child
        yield from nodes(child, f"{path}.{name}")


def leaves(values: Any, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Every value of values.yaml, down to where the schema stops naming keys."""
    if isinstance(values, dict) and "properties" in schema and path != ".settings":
        for name, child in values.items():
            assert name in schema["properties"], f"{path}.{name} is in values.yaml and not in the schema"
            yield from leaves(child, schema["properties"][name], f"{path}.{name}")
    else:
        yield path.lstrip(".")


def test_every_value_is_described() -> None:
    for path, node in nodes(SCHEMA):
        assert len(node.get("description", "")) > 5, path
        assert "type" in node, path


def test_every_object_is_closed() -> None:
    assert SCHEMA["additionalProperties"] is False
    for path, node in nodes(SCHEMA):
        if node["type"] == "object" and path.rpartition(".")[2] not in OF_KUBERNETES:
            names_anything = path == "postgresql.parameters"
            assert names_anything or node.get("additionalProperties") in (False, {"type": "string"}), path


def test_the_schema_and_the_defaults_name_the_same_values() -> None:
    described = {path for path, node in nodes(SCHEMA) if "properties" not in node or path == "settings"}
    described = {path for path in described if not path.startswith("settings.")} - {"global"}
    assert set(leaves(VALUES, SCHEMA)) == described


def test_the_defaults_keep_to_the_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(VALUES, SCHEMA)


def test_functions_have_the_same_values_but_for_what_is_their_own() -> None:
    own = {"read": {"clusterView"}, "push": {"deletionCost"}, "write": set()}
    assert len({frozenset(VALUES[name].keys() - own[name]) for name in FUNCTIONS}) == 1
    assert all(VALUES[name].keys() > own[name] for name in FUNCTIONS)


@pytest.mark.parametrize("path", MADE, ids=lambda path: path.name)
def test_what_is_made_is_up_to_date(path: Path) -> None:
    program("helm")
    assert path.read_text(encoding="utf-8") == MADE[path](), "run `make chart`"


def test_the_chart_is_of_this_release() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
