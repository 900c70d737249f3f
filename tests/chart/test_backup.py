"""The CronJob of backups: its script, run as it is against a real PostgreSQL, and who it may reach."""

from __future__ import annotations

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from kvcast.embedded import FUNCTIONS_ROLE
from kvcast.embedded.postgres import program
from kvcast.storage.backups import version_in
from kvcast.storage.pool import connect
from kvcast.storage.schema import VERSION, migrate
from kvcast.storage.tools import Tools
from tests.chart.cases import CASES
from tests.chart.rendering import CHART, of_kind, pods, render
from tests.chart.test_ownership import labels_match
from tests.databases import Database
from tests.polling import eventually

PROGRAMS = Path(program("pg_dump")).parent


@pytest.fixture
def script() -> str:
    """As the container is given it."""
    (template,) = [pod for name, pod in pods(render(CASES["backup"])) if name.startswith("CronJob")]
    (container,) = template["spec"]["containers"]
    assert container["command"] == ["sh", "-c"]
    (text,) = container["args"]
    assert text == (CHART / "files/backup.sh").read_text(encoding="utf-8")
    return str(text)


def run(
    script: str, folder: Path, url: str, *, keep: int = 14, wait_seconds: int = 1
) -> subprocess.CompletedProcess[str]:
    """With the container's folders below `folder`."""
    (folder / "backups").mkdir(exist_ok=True)
    (folder / "migration-url").write_text(url)
    script = script.replace("/etc/kvcast/migration/", f"{folder}/").replace("/backups/", f"{folder}/backups/")
    environment = {
        **os.environ,
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
        "KEEP": str(keep),
        "WAIT_SECONDS": str(wait_seconds),
    }
    return subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, timeout=60)


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "backups").iterdir())


def test_it_writes_what_kvcast_restores_and_keeps_as_many_as_asked(
    script: str, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "backups").mkdir()
    for day in (1, 2, 3):
        (tmp_path / f"backups/kvcast-2020010{day}-021700.dump").touch()
    done = run(script, tmp_path, database.owner_url, keep=3)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"Wrote .*\.dump \([1-9]\d+ bytes\)", done.stdout)
    older, old, new = kept(tmp_path)
    assert [older, old] == ["kvcast-20200102-021700.dump", "kvcast-20200103-021700.dump"]
    path = tmp_path / "backups" / new
    assert version_in(path, Tools(PROGRAMS, 18)) == VERSION
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_failed_one_leaves_nothing_and_removes_nothing(script: str, bare: Database, tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    (tmp_path / "backups/kvcast-20200101-021700.dump").touch()
    done = run(script, tmp_path, bare.owner_url, keep=1)
    assert done.returncode != 0
    assert "no matching schemas" in done.stderr
    assert kept(tmp_path) == ["kvcast-20200101-021700.dump"]


def test_it_reaches_postgresql_and_nobody_reaches_it() -> None:
    objects = render(CASES["backup"])
    policies = of_kind(objects, "NetworkPolicy")
    peers = [peer["podSelector"] for peer in policies["postgresql"]["spec"]["ingress"][0]["from"]]
    (template,) = [pod for name, pod in pods(objects) if name.startswith("CronJob")]
    assert any(labels_match(peer, template["metadata"]["labels"]) for peer in peers)
    own = policies["backup"]["spec"]
    assert labels_match(own["podSelector"], template["metadata"]["labels"])
    assert own["ingress"] == []
    assert [port["port"] for rule in own["egress"] for port in rule["ports"]] == [53, 53, 5432]


def test_it_takes_the_image_of_the_server_unless_another_is_named() -> None:
    images = {}
    for case in ("backup", "everything"):
        (template,) = [pod for name, pod in pods(render(CASES[case])) if name.startswith("CronJob")]
        images[case] = template["spec"]["containers"][0]["image"]
    assert images == {"backup": "postgres:17", "everything": "postgres:18"}


def test_the_claim_outlives_the_release_and_an_own_one_is_taken() -> None:
    (claim,) = of_kind(render(CASES["backup"]), "PersistentVolumeClaim").values()
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    objects = render(CASES["everything"])
    assert not of_kind(objects, "PersistentVolumeClaim")
    (template,) = [pod for name, pod in pods(objects) if name.startswith("CronJob")]
    assert {"name": "backups", "persistentVolumeClaim": {"claimName": "elsewhere"}} in template["spec"]["volumes"]


def test_the_first_backup_is_made_right_away_and_is_the_one_of_every_night() -> None:
    """A claim that waits for its first consumer is not bound before, and `helm install --wait` waits for that."""
    objects = render(CASES["backup"])
    (nightly,) = [pod for name, pod in pods(objects) if name.startswith("CronJob")]
    (name,) = of_kind(objects, "Job")
    (first,) = [pod for job, pod in pods(objects) if job.startswith("Job")]
    assert first == nightly
    (same,) = of_kind(render(CASES["backup"]), "Job")
    assert same == name, "a release that changes nothing of it does not run it again"
    changed = {"backup": {"enabled": True, "keep": 3}}
    assert name not in of_kind(render(changed), "Job"), "a Job cannot be changed in place"


def test_it_waits_for_the_schema_of_a_new_release(script: str, bare: Database, tmp_path: Path) -> None:
    asked = "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    with ThreadPoolExecutor(1) as pool, closing(connect(bare.owner_url)) as owner:
        backup = pool.submit(run, script, tmp_path, bare.owner_url, wait_seconds=50)
        eventually(lambda: owner.run(asked)[0][0] > 0, 20)  # it found none
        migrate(bare.owner_url, functions_role=FUNCTIONS_ROLE)
        done = backup.result()
    assert (done.returncode, done.stderr) == (0, "")
    assert len(kept(tmp_path)) == 1
