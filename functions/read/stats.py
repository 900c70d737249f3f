"""GET /stats: what all workers together do."""

from __future__ import annotations

import time
from typing import Any

from kvcast.bus.workers import STAGES, Report, WorkerReport, quantile_ms, stage_counts
from kvcast.errors import BusUnavailable, KvcastError
from kvcast.storage import reads
from kvcast.storage.pool import Pool

_COUNT_SECONDS = 2.0


class Stats:
    def __init__(self, pool: Pool, report: WorkerReport) -> None:
        self._pool = pool
        self._report = report
        self._keys: int | None = None
        self._counted_at = float("-inf")

    def payload(self, epoch: str) -> dict[str, Any]:
        """keys is null while PostgreSQL, and the rest is empty while Redis, does not answer."""
        try:
            reports = self._report.all()
        except BusUnavailable:
            reports = []
        stages = {name: _quantiles(reports, name) for name in STAGES}
        return {
            "success": True,
            "keys": self._count(),
            "writesPerSecond": _rate(reports, "writes"),
            "readsPerSecond": _rate(reports, "reads"),
            "connections": sum(report.connections for report in reports),
            "pushLatencyMs": stages["socket"],
            "stagesMs": stages,
            "functions": {name: _function(name, reports) for name in ("write", "read", "push")},
            "epoch": epoch,
        }

    def _count(self) -> int | None:
        if time.monotonic() - self._counted_at > _COUNT_SECONDS:
            try:
                self._keys = reads.count_keys(self._pool)
            except KvcastError:
                self._keys = None
            self._counted_at = time.monotonic()
        return self._keys


def _rate(reports: list[Report], what: str) -> float:
    return round(sum(report.rates.get(what, 0.0) for report in reports), 1)


def _quantiles(reports: list[Report], stage: str) -> dict[str, float | None]:
    counts = stage_counts(reports, stage)
    return {"p50": quantile_ms(counts, 0.5), "p99": quantile_ms(counts, 0.99)}


def _function(name: str, reports: list[Report]) -> dict[str, Any]:
    own = [report for report in reports if report.function == name]
    return {
        "workers": len(own),
        "connections": sum(report.connections for report in own),
        "ratesPerSecond": {
            what: round(sum(report.rates.get(what, 0.0) for report in own), 1)
            for what in sorted({what for report in own for what in report.rates})
        },
    }
