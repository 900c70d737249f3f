"""Backup by the CronJob, and the restore."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.conftest import Figure
from tests.cluster.namespaces import Namespace
from tests.cluster.release import NAME, POLL_SECONDS, Release
from tests.cluster.values import Cluster, single
from tests.polling import eventually

DOCUMENT = Path(__file__).parents[2] / "docs/operations.md"
KVCAST = Path(sys.executable).with_name("kvcast")


def overrides_of_document() -> dict[str, Any]:
    """The pod that the documentation fetches a backup with."""
    found = re.search(r"--overrides='(.*?)'", DOCUMENT.read_text(), re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


@contextmanager
def forwarded(namespace: Namespace) -> Iterator[int]:
    """A local port that leads to PostgreSQL."""
    command = ["--namespace", namespace.name, "port-forward", f"svc/{NAME}-postgresql", ":5432"]
    with subprocess.Popen(namespace.kube.command("kubectl", *command), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            found = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
            assert found
            yield int(found[1])
        finally:
            process.terminate()


def test_what_the_cronjob_kept_comes_back(
    cluster: Cluster, namespace: Namespace, figure: Figure, tmp_path: Path
) -> None:
    release = Release(cluster, namespace, **single(), backup={"enabled": True, "persistence": {"size": "1Gi"}})
    release.install()
    site = release.site()
    site.rev_of("gold", '"kept"')
    began = time.monotonic()
    namespace.kubectl("create", "job", "now", f"--from=cronjob/{NAME}-backup")
    namespace.kubectl("wait", "--for=condition=complete", "job/now", "--timeout=90s")
    figure("a backup by the CronJob's job", time.monotonic() - began)
    said = namespace.kubectl("logs", "job/now")
    wrote = re.search(r"Wrote (/backups/\S+\.dump)", said)
    assert wrote, said
    lost = site.rev_of("gold", '"since"')

    image = overrides_of_document()["spec"]["containers"][0]["image"]
    namespace.kubectl("run", "fetch", f"--image={image}", f"--overrides={json.dumps(overrides_of_document())}")
    namespace.kubectl("wait", "--for=condition=ready", "pod/fetch", "--timeout=90s")
    dump = tmp_path / "kvcast.dump"
    namespace.kubectl("cp", f"fetch:{wrote[1]}", str(dump))
    password = namespace.secret(f"{NAME}-database")["postgresql-password"]
    began = time.monotonic()
    with forwarded(namespace) as port:
        environment = os.environ | {"KVCAST_MIGRATION_URL": f"postgresql://kvcast:{password}@127.0.0.1:{port}/kvcast"}
        done = subprocess.run(
            [KVCAST, "restore", "--force", dump],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr

    def restored() -> bool:
        return bool(site.get("gold").json()["value"] == "kept")

    eventually(restored, 30, POLL_SECONDS)
    figure("restored, and read by a function that ran on, after", time.monotonic() - began)
    assert site.rev_of("gold", '"after"') > lost
