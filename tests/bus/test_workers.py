"""Sums that outlive the worker which added to them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from kvcast import draining
from kvcast.bus import workers
from kvcast.bus.workers import WorkerReport
from kvcast.embedded import Stores, Valkey
from tests.polling import eventually


def test_what_a_worker_added_last_is_handed_in_before_it_ends(stores: Stores) -> None:
    report = WorkerReport("push", stores.redis_url)
    before = report.sums().get("tested", 0)
    report.stop()  # so the loop ends at once, and only what comes at the end hands in
    report.start()
    for _ in range(3):
        report.add("tested")
    draining.end()
    assert report.sums()["tested"] == before + 3


def test_what_redis_did_not_take_is_handed_in_later(tmp_path: Path) -> None:
    valkey = Valkey(tmp_path)
    valkey.start()
    report = WorkerReport("push", valkey.redis_url)
    valkey.stop()
    report.start()
    report.add("tested")
    draining.end()  # in vain
    valkey.start()
    other = WorkerReport("read", valkey.redis_url)
    try:
        assert eventually(lambda: other.sums().get("tested") == 1)
    finally:
        report.stop()
        valkey.stop()


def test_a_worker_whose_clock_is_wrong_is_heard_all_the_same(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    true_time = time.time
    report, other = WorkerReport("late", stores.redis_url), WorkerReport("read", stores.redis_url)
    with monkeypatch.context() as late:
        late.setattr(time, "time", lambda: true_time() - 3600)
        report.start()
        assert eventually(lambda: b"late-" + report.worker.encode() in held(other))
    try:
        assert [one.function for one in other.all() if one.function == "late"] == ["late"]
    finally:
        report.stop()


def held(report: WorkerReport) -> Any:
    """All that was ever announced, the stale too."""
    return report._client.hgetall(workers._KEY)
