"""PostgreSQL's pod deleted, under load."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.cluster.conftest import Figure
from tests.cluster.loads import POLL_SECONDS, RunningLoad
from tests.cluster.release import Release
from tests.cluster.verdict import WRITES
from tests.polling import eventually

POD = "kvcast-postgresql-0"
REFUSALS = {"storage_unavailable", "outcome_unknown", "overloaded"}  # the last: its turn did not come in time


def pod_uid(release: Release) -> str:
    return next((pod["metadata"]["uid"] for pod in release.namespace.pods("postgresql")), "")


def test_writes_say_so_and_reads_go_on(whole: Release, figure: Figure, load: Callable[..., RunningLoad]) -> None:
    running = load(whole, min_rev=False)  # what min_rev asks for may be known to PostgreSQL only
    running.goes_on(writes=300)
    before = pod_uid(whole)
    began = time.monotonic()
    whole.namespace.kubectl("delete", "pod", POD, "--grace-period=0", "--force")
    eventually(lambda: pod_uid(whole) not in ("", before) and POD in whole.serving("postgresql"), 120, POLL_SECONDS)
    seconds = time.monotonic() - began
    running.goes_on(writes=300)
    verdict = running.finish()
    failed = verdict.failed(*WRITES)
    figure("seconds until PostgreSQL served again", seconds)
    figure("writes refused with 503 and a sentence", len(failed))
    figure("longest pause of writes, of reads", verdict.pause_seconds(*WRITES), verdict.pause_seconds("get"))
    figure("failed reads, reads answered", len(verdict.failed("get")), verdict.answered("get"))
    figure("acknowledged writes lost, updates lost", len(verdict.lost_writes), len(verdict.lost_updates))
    verdict.assert_promises_kept()
    assert failed
    assert {failure.code for failure in failed} <= REFUSALS
    alone = [failure for failure in failed if failure.kind == "add"]  # a batch has an error for each element
    assert {failure.status for failure in alone} == {503}
    assert all(int(failure.retry_after) >= 1 for failure in alone)
    assert not verdict.failed("get")
