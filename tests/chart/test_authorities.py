"""A certificate authority for a store elsewhere: mounted where the URLs name it, in every pod that connects."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest

from tests.chart.cases import AUTHORITIES, CASES, EXISTING_SECRET, EXTERNAL
from tests.chart.rendering import FUNCTIONS, SECRETS, Object, containers, laid_over, of_kind, pods, refusal, render

DATABASE, REDIS = (f"/etc/kvcast/authority/external{store}.crt" for store in ("Database", "Redis"))


def held(objects: list[Object]) -> dict[str, str]:
    return {
        key: b64decode(value).decode()
        for secret in of_kind(objects, "Secret").values() for key, value in secret["data"].items()
    }


def seen(pod: Object) -> dict[str, dict[str, tuple[str, str]]]:
    """By container: the file of each authority that it sees, with the secret and key that it is from."""
    sources = {
        f"{item['path']}": (source["secret"]["name"], item["key"])
        for volume in pod["spec"]["volumes"] if volume["name"] == "authority"
        for source in volume["projected"]["sources"] for item in source["secret"]["items"]
    }
    return {
        container["name"]: {f"{mount['mountPath']}/{path}": source for path, source in sources.items()}
        for container in containers(pod)
        for mount in container.get("volumeMounts", []) if mount["name"] == "authority"
    }


def test_the_urls_name_the_files_that_every_function_sees() -> None:
    objects = render(AUTHORITIES)
    secrets = held(objects)
    assert secrets["database-url"].endswith(f"/kvcast?sslmode=verify-full&sslrootcert={DATABASE}")
    assert secrets["migration-url"].endswith(f"/kvcast?sslmode=verify-full&sslrootcert={DATABASE}")
    assert secrets["redis-url"] == f"rediss://:secret@cache.example:6380/0?ssl_ca_certs={REDIS}"
    both = {DATABASE: ("ours", "root.pem"), REDIS: ("ours", "ca.crt")}
    found = {name.rpartition("-")[2]: seen(pod) for name, pod in pods(objects) if name.startswith("Deployment/")}
    assert found == {name: {name: both} for name in FUNCTIONS} | {"write": {"migrate": both, "write": both}}


def test_a_backup_sees_the_authority_of_its_database() -> None:
    jobs = [pod for name, pod in pods(render(CASES["backup under an authority of ours"])) if "backup" in name]
    assert len(jobs) == 2
    assert [seen(pod) for pod in jobs] == [{"backup": {DATABASE: ("ours", "root.pem")}}] * 2


@pytest.mark.parametrize("case", ["default", "external stores", "backup of an external database"])
def test_without_one_nothing_is_mounted(case: str) -> None:
    assert not any(seen(pod) for _, pod in pods(render(CASES[case])))
    assert not any("sslrootcert" in value or "ssl_ca_certs" in value for value in held(render(CASES[case])).values())


def test_with_a_secret_of_ours_it_is_mounted_all_the_same() -> None:
    values = laid_over(
        EXISTING_SECRET,
        {
            "postgresql": {"enabled": False}, "redis": {"enabled": False},
            "externalDatabase": {"ca": {"secret": "ours"}}, "externalRedis": {"ca": {"secret": "ours"}},
        },
    )
    assert all(seen(pod) for name, pod in pods(render(values)) if name.startswith("Deployment/"))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"externalDatabase": {"ca": {"secret": "x"}}}, "externalDatabase.ca.secret is for a store elsewhere"),
        ({"externalRedis": {"ca": {"secret": "x"}}}, "externalRedis.ca.secret is for a store elsewhere"),
        (
            {**EXTERNAL, "externalDatabase": {"url": "postgresql://u:hunter2@db/k", "ca": {"secret": "x"}}},
            "externalDatabase.url: externalDatabase.ca.secret wants sslmode=verify-full in it",
        ),
        (
            {**EXTERNAL, "externalDatabase": {
                **EXTERNAL["externalDatabase"], "ca": {"secret": "x"},
                "migrationUrl": "postgresql://u:hunter2@db/k?sslmode=verify-full&sslrootcert=/x"}},
            "externalDatabase.migrationUrl: externalDatabase.ca.secret wants sslmode=verify-full in it, and adds",
        ),
        (
            {**EXTERNAL, "externalRedis": {"url": "redis://:hunter2@cache", "ca": {"secret": "x"}}},
            "externalRedis.url: externalRedis.ca.secret wants rediss:// in it",
        ),
        ({"externalRedis": {"ca": {"secret": "Not a name"}}}, "at '/externalRedis/ca/secret'"),
    ],
)
def test_what_cannot_be_meant_is_refused(values: dict[str, Any], sentence: str) -> None:
    said = refusal(laid_over(SECRETS, values))
    assert sentence in said
    assert "hunter2" not in said
