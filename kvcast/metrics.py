"""Every metric, by name, in one place. Units are in the names; see docs/operations.md."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter as Counts

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

REQUESTS = Counter("kvcast_requests", "Answered HTTP requests", ["function", "route", "status"])
REQUEST_SECONDS = Histogram("kvcast_request_seconds", "From request to answer", ["function", "route"], buckets=_SECONDS)
WRITES = Counter("kvcast_writes", "Committed changes of keys")
COMMITS = Counter("kvcast_commits", "Group commits")
COMMIT_SECONDS = Histogram("kvcast_commit_seconds", "One group commit", buckets=_SECONDS)
GROUP_SIZE = Histogram("kvcast_group_size", "Writes in one group commit", buckets=(1, 2, 4, 8, 16, 32, 64, 512, 2048))
PUBLISH_FAILURES = Counter("kvcast_publish_failures", "Changes that Redis did not take, left to the sweep")
READS = Counter("kvcast_reads", "Values read, by where they were found", ["source"])
CONNECTIONS = Gauge("kvcast_connections", "Open sockets and event streams", ["kind"], multiprocess_mode="livesum")
DELIVERIES = Counter("kvcast_deliveries", "Changes handed to viewers")
DELIVERY_SECONDS = Histogram("kvcast_delivery_seconds", "From commit to the viewer's socket", buckets=_SECONDS)
CLOSED = Counter("kvcast_closed", "Sockets closed by this side", ["code"])
HANDED_OVER = Counter("kvcast_handed_over", "Viewers that were sent elsewhere, as this worker ends", ["kind"])
RESUMED = Counter("kvcast_resumed", "Connections that went on from a rev seen elsewhere")
SWEEP_REPAIRS = Counter("kvcast_sweep_repairs", "Changes that only the sweep found; 0 in a healthy system")
SWEEP_FAILURES = Counter("kvcast_sweep_failures", "Sweeps that PostgreSQL did not answer")
RESYNCS = Counter("kvcast_resyncs", "Re-reads of watched keys after the bus broke")
GAPS = Counter("kvcast_gaps", "Missing ticks that were noticed in mode every", ["outcome"])
GREENLETS = Gauge("kvcast_greenlets", "Greenlets begun since the worker serves, alive", multiprocess_mode="livesum")
POOL_DISCARDED = Counter("kvcast_pool_discarded", "Database connections thrown away after a break")
POOL_EXHAUSTED = Counter("kvcast_pool_exhausted", "Calls refused as every database connection was busy for too long")


def observe(histogram: Histogram, value: float, times: int) -> None:
    """`times` equal observations for the price of one, for which prometheus_client has no call."""
    histogram._sum.inc(value * times)
    histogram._buckets[bisect_left(histogram._upper_bounds, value)].inc(times)


def observe_all(histogram: Histogram, values: list[float]) -> None:
    """Each of `values`, for the price of one and a search for each."""
    histogram._sum.inc(sum(values))
    bounds = histogram._upper_bounds
    for index, times in Counts(bisect_left(bounds, value) for value in values).items():
        histogram._buckets[index].inc(times)


def exposition() -> bytes:
    """The text that GET /metrics answers, of all workers of this process group."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
