"""What the functions and the stores are told, and when pods start anew for it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from kvcast.cli import build_parser
from kvcast.config import Settings
from tests.chart.cases import CASES, EVERYTHING, MONITORING
from tests.chart.rendering import FUNCTIONS, Object, containers, of_kind, pods, render, rendered_text

every_case = pytest.mark.parametrize("case", CASES)


def test_every_setting_of_the_chart_is_one_that_is_read() -> None:
    known = {spec.metadata["name"] for spec in fields(Settings)}
    known |= {f"{spec.metadata['name']}_FILE" for spec in fields(Settings) if spec.metadata["secret"]}
    asked = {
        item["name"]
        for values in CASES.values()
        for found in of_kind(render(values), "Deployment").values()
        for container in containers(found["spec"]["template"])
        for item in container["env"]
    }
    assert "KVCAST_DELETION_COST" in asked
    assert asked - {"TZ"} <= known  # TZ is of the case `everything`


def test_every_command_of_the_chart_is_one_of_kvcast() -> None:
    parser = build_parser()
    commands = [
        container["args"]
        for found in of_kind(render(), "Deployment").values()
        for container in containers(found["spec"]["template"])
    ]
    assert sorted(map(tuple, commands)) == [
        ("migrate", "--wait"), ("serve", "push"), ("serve", "read"), ("serve", "write"),
    ]
    for command in commands:
        parser.parse_args(command)


@every_case
def test_the_functions_take_the_settings_as_they_come_out(case: str) -> None:
    for spec in of_kind(render(CASES[case]), "ConfigMap").values():
        environment = {name: value for name, value in spec.get("data", {}).items() if name.startswith("KVCAST_")}
        Settings.from_environment(environment)


def test_large_numbers_are_not_written_with_an_exponent() -> None:
    parameters = {"postgresql": {"parameters": {"work_mem": 2_000_000}}}
    objects = render({"settings": {"KVCAST_MAX_KEYS": 10_000_000}, **parameters})
    assert of_kind(objects, "ConfigMap")[""]["data"]["KVCAST_MAX_KEYS"] == "10000000"
    (container,) = of_kind(objects, "StatefulSet")["postgresql"]["spec"]["template"]["spec"]["containers"]
    assert "work_mem=2000000" in container["args"]


def test_postgresql_takes_all_connections_that_the_functions_may_open() -> None:
    (container,) = of_kind(render(), "StatefulSet")["postgresql"]["spec"]["template"]["spec"]["containers"]
    (given,) = (argument for argument in container["args"] if argument.startswith("max_connections="))
    assert int(given.partition("=")[2]) >= 11 * 8 * 3


@pytest.mark.parametrize("case", ["default", "external stores", "monitoring", "everything"])
def test_rendering_twice_gives_the_same_bytes(case: str) -> None:
    assert rendered_text(CASES[case]) == rendered_text(CASES[case])


def checksums(values: dict[str, Any]) -> dict[str, Object]:
    return {
        name: {key: value for key, value in pod["metadata"].get("annotations", {}).items() if "checksum" in key}
        for name, pod in pods(render(values))
        if not name.startswith("Pod/")
    }


@pytest.mark.parametrize(
    ("values", "stirred"),
    [
        ({"settings": {"KVCAST_LOG_LEVEL": "debug"}}, set(FUNCTIONS)),
        ({"auth": {"adminToken": "another"}}, set(FUNCTIONS)),
        ({"redis": {"password": "another"}}, {*FUNCTIONS, "redis"}),
        ({"postgresql": {"functionsPassword": "another"}}, set(FUNCTIONS)),
        ({"read": {"replicas": 5}}, set()),
        (MONITORING, set()),
    ],
)
def test_pods_start_anew_for_what_they_read_at_the_start(values: dict[str, Any], stirred: set[str]) -> None:
    before, after = checksums({}), checksums(values)
    assert {name.rpartition("-")[2] for name in before if before[name] != after[name]} == stirred


def test_a_new_chart_version_restarts_nothing() -> None:
    for name, pod in pods(render()):
        if not name.startswith("Pod/"):
            assert not {"helm.sh/chart", "app.kubernetes.io/version"} & pod["metadata"]["labels"].keys(), name


def test_further_objects_are_rendered_whether_text_or_yaml() -> None:
    assert {"yaml", "prices-text"} <= of_kind(render(EVERYTHING), "ConfigMap").keys()


def test_who_signs_jwts_is_told_in_files_of_the_secret() -> None:
    given = {"jwtSecret": "s" * 32, "jwks": '{"keys":[]}'}
    objects = render({"auth": given})
    held = {key for secret in of_kind(objects, "Secret").values() for key in secret["data"]}
    assert {"jwt-secret", "jwks"} <= held
    for found in of_kind(objects, "Deployment").values():
        spec = found["spec"]["template"]["spec"]
        told = {item["name"]: item.get("value") for item in spec["containers"][0]["env"]}
        mounted = {
            f"/etc/kvcast/secret/{item['path']}"
            for volume in spec["volumes"] if volume["name"] == "secret"
            for source in volume["projected"]["sources"] for item in source["secret"]["items"]
        }
        assert {told["KVCAST_JWT_SECRET_FILE"], told["KVCAST_JWT_JWKS_FILE"]} <= mounted
    assert "KVCAST_JWT" not in rendered_text({})
