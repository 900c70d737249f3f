"""Makes what follows from elsewhere: the chart's settings schema, the table in its README, and k8s/ rendered from it.

`python scripts/chart.py` writes them; tests/chart holds them to it. Needs helm.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from kvcast.config import Settings

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts/kvcast"
SCHEMA = CHART / "values.schema.json"
BASE = ROOT / "k8s/base"
_TABLE = re.compile(r"(<!-- values: [^\n]*-->\n).*?(<!-- end of values -->)", re.DOTALL)
# What the chart itself sets, and what only a local run or a test needs.
_NOT_SET_BY_PEOPLE = {
    "HOST", "PORT", "KVCAST_DATA", "KVCAST_WORKERS", "KVCAST_TRUSTED_HOPS", "KVCAST_DRAIN_SECONDS",
    "KVCAST_SERVER_NAME", "KVCAST_DELETION_COST", "KVCAST_MANAGEMENT_PORT", "KVCAST_TEST_DISABLE",
}


def schema() -> str:
    """values.schema.json with `settings` as kvcast/config.py has them."""
    document = json.loads(SCHEMA.read_text(encoding="utf-8"))
    document["properties"]["settings"]["properties"] = {
        spec.metadata["name"]: {"description": spec.metadata["about"], "type": ["string", "number"]}
        for spec in fields(Settings)
        if not spec.metadata["secret"] and spec.metadata["name"] not in _NOT_SET_BY_PEOPLE
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def readme() -> str:
    """README.md of the chart with its table of values."""
    path = CHART / "README.md"
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    rows = "\n".join(["| value | default | what it sets |", "|---|---|---|", *_rows("", json.loads(schema()), values)])
    return _TABLE.sub(lambda match: f"{match[1]}{rows}\n{match[2]}", path.read_text(encoding="utf-8"))


def _rows(path: str, node: dict[str, Any], value: Any) -> list[str]:
    if "properties" in node and path != "settings":
        rows = []
        for name, child in node["properties"].items():
            if name in (value or {}):
                rows += _rows(f"{path}.{name}".lstrip("."), child, value[name])
        return rows
    shown = json.dumps(value, ensure_ascii=False)
    default = f"`{shown}`" if len(shown) < 60 else "see values.yaml"
    return [f"| `{path}` | {default} | {node['description']} |"]


def rendered() -> str:
    """k8s/base/kvcast.yaml: the chart with the values beside it."""
    helm = str(Path(sys.executable).with_name("helm"))
    values = str(BASE / "values.yaml")
    return subprocess.run(
        [helm, "template", "kvcast", str(CHART), "--namespace", "kvcast", "--values", values, "--skip-tests"],
        check=True, capture_output=True, text=True,
    ).stdout


def main() -> int:
    SCHEMA.write_text(schema(), encoding="utf-8")
    (CHART / "README.md").write_text(readme(), encoding="utf-8")
    (BASE / "kvcast.yaml").write_text(rendered(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
