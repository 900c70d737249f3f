"""What the processes of a function hold, as the system and their own metrics say."""

from __future__ import annotations

import re
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

import psutil

from benchmarks.usage import MIB, processes

_GREENLETS = re.compile(r"^kvcast_greenlets (\S+)$", re.MULTILINE)
Series = dict[str, dict[str, list[tuple[float, float]]]]


class Sampled(Protocol):
    """A running function."""

    @property
    def url(self) -> str: ...

    @property
    def pid(self) -> int: ...


def sample(server: Sampled) -> dict[str, float]:
    """By the names of tests.soak.flatness.LIMITS."""
    members = processes(server.pid)
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as answer:
        greenlets = _GREENLETS.search(answer.read().decode())
    assert greenlets is not None, "no kvcast_greenlets in /metrics"
    return {
        "memory MiB": sum(one.memory_info().rss for one in members) / MIB,
        "descriptors": float(sum(one.num_fds() for one in members)),
        "threads": float(sum(one.num_threads() for one in members)),
        "greenlets": float(greenlets[1]),
    }


class Sampler:
    """Samples `servers` (by name) in a thread of its own inside `with`; series: name -> kind -> (seconds, value)."""

    def __init__(self, servers: Mapping[str, Sampled], every_seconds: float) -> None:
        self.series: Series = defaultdict(lambda: defaultdict(list))
        self.failed: list[str] = []
        self._servers = servers
        self._every_seconds = every_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._ended.wait(self._every_seconds):
            for name, server in self._servers.items():
                try:
                    values = sample(server)
                except (OSError, psutil.Error, AssertionError) as error:
                    self.failed.append(f"{name}: {error!r}")
                    continue
                for kind, value in values.items():
                    self.series[name][kind].append((time.monotonic(), value))
