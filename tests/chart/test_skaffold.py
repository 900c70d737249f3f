"""skaffold.yaml: by skaffold's own schema, and by the files and values that it names."""

from __future__ import annotations

import hashlib
import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.chart.rendering import FUNCTIONS, ROOT, laid_over, of_kind, render

SCHEMA = Path(__file__).parent / "skaffold"
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "skaffold.yaml").read_text(encoding="utf-8"))
SOURCE = "/src"


def check(config: dict[str, Any]) -> None:
    schema = json.loads((SCHEMA / f"{config['apiVersion'].partition('/')[2]}.json").read_text(encoding="utf-8"))
    jsonschema.validate(config, schema)


def test_skaffold_takes_it() -> None:
    check(CONFIG)


@pytest.mark.parametrize("typo", [{"biuld": {}}, {"build": {"artefacts": []}}, {"deploy": {"helm": {"release": []}}}])
def test_a_typo_would_be_seen(typo: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        check(laid_over(CONFIG, typo))


def test_the_schema_is_the_one_that_skaffold_publishes() -> None:
    (vendored,) = json.loads((SCHEMA / "VENDORED.json").read_text(encoding="utf-8"))
    for name, digest in vendored["sha256"].items():
        assert hashlib.sha256((SCHEMA / name).read_bytes()).hexdigest() == digest, name


def test_the_files_it_names_are_there() -> None:
    (artifact,) = CONFIG["build"]["artifacts"]
    (release,) = CONFIG["deploy"]["helm"]["releases"]
    for path in (artifact["docker"]["dockerfile"], f"{release['chartPath']}/Chart.yaml", *release["valuesFiles"]):
        assert (ROOT / path).is_file(), path
    for rule in artifact["sync"]["manual"]:
        assert any(fits(path, rule["src"]) for path in ROOT.joinpath(rule["src"].split("/")[0]).rglob("*")), rule


def fits(path: Path, pattern: str) -> bool:
    """`a/**/*.py` also stands for a/b.py."""
    relative = path.relative_to(ROOT).as_posix()
    return path.is_file() and (fnmatch(relative, pattern) or fnmatch(relative, pattern.replace("**/", "")))


def test_what_it_writes_is_what_the_pods_of_development_run() -> None:
    values = yaml.safe_load((ROOT / "k8s/values/development.yaml").read_text(encoding="utf-8"))
    deployments = of_kind(render(values), "Deployment")
    for name in FUNCTIONS:
        spec = deployments[name]["spec"]["template"]["spec"]
        main = spec["containers"][0]
        environment = {item["name"]: item.get("value") for item in main["env"]}
        assert environment["PYTHONPATH"] == SOURCE
        assert environment["GUNICORN_CMD_ARGS"] == "--reload"
        assert SOURCE in [mount["mountPath"] for mount in main["volumeMounts"]]
        copied = spec["initContainers"][0]
        assert copied["image"] == main["image"]
        assert {mount["mountPath"] for mount in copied["volumeMounts"]} == {SOURCE}
    (artifact,) = CONFIG["build"]["artifacts"]
    assert all(rule["dest"].startswith(SOURCE) for rule in artifact["sync"]["manual"])


def test_the_image_it_builds_is_the_one_that_the_chart_runs() -> None:
    (artifact,) = CONFIG["build"]["artifacts"]
    (release,) = CONFIG["deploy"]["helm"]["releases"]
    values = {name: value.replace(artifact["image"], "NAME") for name, value in release["setValueTemplates"].items()}
    assert values == {"image.repository": "{{.IMAGE_REPO_NAME}}", "image.tag": "{{.IMAGE_TAG_NAME}}"}
    objects = render({"image": {"repository": "here/kvcast", "tag": "abc-dirty"}})
    (main,) = of_kind(objects, "Deployment")["read"]["spec"]["template"]["spec"]["containers"]
    assert main["image"] == "here/kvcast:abc-dirty"
