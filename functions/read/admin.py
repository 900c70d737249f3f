"""What only the console asks for: the audit, and how the functions fare."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Any, ClassVar

from kvcast.bus.workers import Report, WorkerReport
from kvcast.cluster import Cluster, NotInCluster, in_cluster
from kvcast.errors import BusUnavailable
from kvcast.keys import parse_key
from kvcast.messages import MESSAGE_MAX_REV
from kvcast.retries import may_repeat_reading, with_retries
from kvcast.storage import audit
from kvcast.storage.pool import Pool
from kvcast.web import Answer, Environ, FunctionApp, json_answer
from kvcast.web.requests import moment, query, single, whole_number

AUDIT_MOST = 500
_CLUSTER_SECONDS = 2.0  # however many consoles are open


class AdminViews:
    """GET /audit and GET /admin/functions, both with the scope admin."""

    def __init__(self, app: FunctionApp, pool: Pool, report: WorkerReport) -> None:
        self._app = app
        self._pool = pool
        self._report = report
        self._orchestrator = Orchestrator()

    def install(self) -> None:
        limit = self._app.limit("read", self._app.settings.read_limit)
        self._app.endpoint_route("GET", "/audit", self.audit, limit)
        self._app.endpoint_route("GET", "/admin/functions", self.functions, limit)

    def audit(self, environ: Environ) -> Answer:
        self._app.authorized(environ, "admin")
        parameters = query(environ, "limit", "before", "since", "key", "who")
        most = whole_number(parameters, "limit", 100, 1, AUDIT_MOST)
        before = whole_number(parameters, "before", MESSAGE_MAX_REV, 1, MESSAGE_MAX_REV)
        reading = with_retries(audit.page, attempts=3, most_seconds=2, only_if=may_repeat_reading)
        key = single(parameters, "key")
        found = reading(
            self._pool, before=before, most=most + 1, since=moment(parameters, "since"),
            key=parse_key(key) if key is not None else None, who=single(parameters, "who"),
        )
        following = found[most - 1].id if len(found) > most else None
        return json_answer({"success": True, "data": found[:most], "next": following})

    def functions(self, environ: Environ) -> Answer:
        """The workers' own reports, and what Kubernetes knows of them. Without Redis the workers are missing."""
        self._app.authorized(environ, "admin")
        query(environ)
        try:
            reports, sums, note = self._report.all(), self._report.sums(), None
        except BusUnavailable as error:
            reports, sums, note = [], {}, f"The workers' reports are missing: {error.message}"
        return json_answer(
            {
                "success": True,
                "functions": {name: _function(name, reports) for name in ("write", "read", "push")},
                "handOver": {what: sums.get(what, 0) for what in ("handedOver", "resumed")},
                "note": note,
                "cluster": self._orchestrator.view(),
            }
        )


def _function(name: str, reports: list[Report]) -> dict[str, Any]:
    own = sorted((report for report in reports if report.function == name), key=lambda report: report.worker)
    return {
        "workers": [
            {
                "name": report.worker,
                "ready": report.ready,
                "cpu": round(report.cpu, 3),
                "connections": report.connections,
                "ratesPerSecond": {what: round(rate, 1) for what, rate in sorted(report.rates.items())},
                "serves": sorted(other.function for other in reports if other.worker == report.worker),
            }
            for report in own
        ]
    }


class Orchestrator:
    """Kubernetes where there is one, asked at most every _CLUSTER_SECONDS."""

    find: ClassVar[Callable[[], Cluster]] = staticmethod(in_cluster)

    def __init__(self) -> None:
        self._cluster: Cluster | None = None
        self._held: dict[str, Any] = {}
        self._asked_at = float("-inf")
        self._lock = Lock()

    def view(self) -> dict[str, Any]:
        with self._lock:
            if time.monotonic() - self._asked_at > _CLUSTER_SECONDS:
                self._held = self._ask()
                self._asked_at = time.monotonic()
            return self._held

    def _ask(self) -> dict[str, Any]:
        try:
            self._cluster = self._cluster or type(self).find()
            return self._cluster.functions()
        except NotInCluster as reason:
            return {"namespace": None, "notes": [str(reason)], "functions": {}}
