"""What a server costs: processor time and memory of its process and all that it started."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

import psutil

MIB = 2**20


def processes(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def of_all(pid: int, ask: Callable[[psutil.Process], float]) -> float:
    """The sum of what is asked of each. Asked again where one ends meanwhile, as its parent then counts its time."""
    while True:
        found = processes(pid)  # raises where the server itself has ended
        with suppress(psutil.NoSuchProcess):
            return sum([ask(process) for process in found])


def cpu_seconds(pid: int) -> float:
    """Of those that have ended meanwhile as well, such as PostgreSQL's for one connection."""

    def of_one(process: psutil.Process) -> float:
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)

    return of_all(pid, of_one)


def memory_mib(pid: int) -> float:
    """Proportional: what several processes share counts once."""
    return of_all(pid, lambda process: float(process.memory_full_info().pss)) / MIB


class Cost:
    """`with Cost(pid) as cost:` measures the processor time between."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.cpu_seconds = 0.0
        self.memory_mib = 0.0

    def __enter__(self) -> Cost:
        self._before = cpu_seconds(self._pid)
        return self

    def so_far(self) -> float:
        return cpu_seconds(self._pid) - self._before

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.cpu_seconds = self.so_far()
            self.memory_mib = memory_mib(self._pid)
