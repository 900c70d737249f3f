"""Redis deleted with its data, under load."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.cluster.conftest import Figure
from tests.cluster.loads import POLL_SECONDS, RunningLoad
from tests.cluster.release import Release
from tests.cluster.verdict import WRITES
from tests.polling import eventually

POD, CLAIM = "kvcast-redis-0", "data-kvcast-redis-0"


def claim_uid(release: Release) -> str:
    claims = release.namespace.items("persistentvolumeclaims")
    return next((claim["metadata"]["uid"] for claim in claims if claim["metadata"]["name"] == CLAIM), "")


def test_nothing_acknowledged_is_lost(whole: Release, figure: Figure, load: Callable[..., RunningLoad]) -> None:
    running = load(whole)
    running.goes_on(writes=200)
    before = claim_uid(whole)
    began = time.monotonic()
    whole.namespace.kubectl("delete", "pvc", CLAIM, "--wait=false")
    whole.namespace.kubectl("delete", "pod", POD, "--grace-period=0", "--force")
    eventually(lambda: claim_uid(whole) not in ("", before) and POD in whole.serving("redis"), 120, POLL_SECONDS)
    seconds = time.monotonic() - began
    running.goes_on(writes=500)
    verdict = running.finish()
    figure("seconds until an empty Redis served", seconds)
    figure("failed writes, failed reads", len(verdict.failed(*WRITES)), len(verdict.failed("get")))
    figure("longest pause of writes, of reads", verdict.pause_seconds(*WRITES), verdict.pause_seconds("get"))
    figure("longest that a viewer was behind an acknowledged write", verdict.behind_seconds)
    lost = len(verdict.lost_writes), len(verdict.lost_updates), verdict.told_missing
    figure("acknowledged writes lost, updates lost, ticks told missing", *lost)
    verdict.assert_promises_kept()
    assert not verdict.records.failures
