"""Makes what follows from elsewhere: the chart's settings schema, the table in its README, and k8s/ rendered from it.

`make chart` writes them; tests/chart holds them to it. Needs helm, which make brings.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from kvcast.config import Settings

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts/kvcast"
K8S = ROOT / "k8s"
_TABLE = re.compile(r"(<!-- values: [^\n]*-->\n).*?(<!-- end of values -->)", re.DOTALL)
# What the chart itself sets, and what only a local run or a test needs.
_NOT_SET_BY_PEOPLE = {
    "HOST", "PORT", "KVCAST_DATA", "KVCAST_WORKERS", "KVCAST_TRUSTED_HOPS", "KVCAST_DRAIN_SECONDS",
    "KVCAST_SERVER_NAME", "KVCAST_DELETION_COST", "KVCAST_MANAGEMENT_PORT", "KVCAST_TEST_DISABLE",
}


def _schema() -> str:
    """values.schema.json with `settings` as kvcast/config.py has them."""
    document = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    document["properties"]["settings"]["properties"] = {
        spec.metadata["name"]: {"description": spec.metadata["about"], "type": ["string", "number"]}
        for spec in fields(Settings)
        if not spec.metadata["secret"] and spec.metadata["name"] not in _NOT_SET_BY_PEOPLE
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _readme() -> str:
    """The chart's README.md with its table of values."""
    text = (CHART / "README.md").read_text(encoding="utf-8")
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    rows = "\n".join(["| value | default | what it sets |", "|---|---|---|", *_rows("", json.loads(_schema()), values)])
    return _TABLE.sub(lambda match: f"{match[1]}{rows}\n{match[2]}", text)


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


def _rendered(values: Path, *options: str) -> str:
    """The chart as helm renders it, without the hooks of `helm test`."""
    helm = Path(sys.executable).with_name("helm")
    command = [helm, "template", "kvcast", CHART, "--namespace", "kvcast", "--values", values, "--skip-tests", *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


# What each file that is made should hold.
MADE: dict[Path, Callable[[], str]] = {
    CHART / "values.schema.json": _schema,
    CHART / "README.md": _readme,
    K8S / "base/kvcast.yaml": lambda: _rendered(K8S / "base/values.yaml"),
    K8S / "overlays/production/monitoring.yaml": lambda: _rendered(
        K8S / "overlays/production/values.yaml", "--show-only", "templates/monitoring.yaml"
    ),
}


def main() -> int:
    for path, text in MADE.items():
        path.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
