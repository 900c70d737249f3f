"""Tells Kubernetes how many connections this pod has, so that scaling down takes the pod with the fewest.

https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#pod-deletion-cost
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event

from kvcast.bus.workers import WorkerReport
from kvcast.cluster import Cluster, NotInCluster, Refused, in_cluster
from kvcast.errors import BusUnavailable
from kvcast.loops import start_loop

ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
EVERY_SECONDS = 10.0
RARELY_SECONDS = 60.0
_log = logging.getLogger(__name__)


class DeletionCost:
    """pod: its name. every_seconds: between two changes; rarely_seconds: after the API refused one."""

    def __init__(
        self, report: WorkerReport, pod: str, *, open_cluster: Callable[[], Cluster] = in_cluster,
        every_seconds: float = EVERY_SECONDS, rarely_seconds: float = RARELY_SECONDS,
    ) -> None:
        self._report = report
        self._pod = pod
        self._open_cluster = open_cluster
        self._every_seconds = every_seconds
        self._rarely_seconds = rarely_seconds
        self._cluster: Cluster | None = None
        self._told: int | None = None
        self._reasons: set[str] = set()
        self._ended = Event()
        self._open()  # now: importing the client takes a second, and later viewers would wait for it

    def start(self) -> None:
        start_loop("deletion-cost", self._run_for_ever)

    def stop(self) -> None:
        self._ended.set()

    def _run_for_ever(self) -> None:
        well = True
        while not self._ended.wait(self._every_seconds if well else self._rarely_seconds):
            well = self._tell()

    def _tell(self) -> bool:
        """Whether all is well. Of several workers in the pod one speaks for all."""
        try:
            own = self._report.of_this_host()
        except BusUnavailable:
            return True  # nobody knows the sum now; the last one stands
        if not own or min(report.worker for report in own) != self._report.worker:
            self._told = None
            return True
        cost = sum(report.connections for report in own)
        if cost == self._told:
            return True
        if not self._open():
            return False
        assert self._cluster is not None
        try:
            self._cluster.annotate(self._pod, ANNOTATION, str(cost))
        except Refused as reason:
            return self._failed(str(reason))
        self._told = cost
        return True

    def _open(self) -> bool:
        try:
            self._cluster = self._cluster or self._open_cluster()
        except NotInCluster as reason:
            return self._failed(str(reason))
        return True

    def _failed(self, reason: str) -> bool:
        if reason not in self._reasons:
            self._reasons.add(reason)
            _log.warning("The deletion cost of pod %s cannot be told: %s", self._pod, reason)
        return False
