"""One fault under a steady load, judged: the figures of it."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from tests.checker import Verdict, check, records, stored
from tests.checker.recording import Recorder
from tests.faults.catalogue import Fault, Scene, Where
from tests.faults.world import TOKEN, World
from tests.polling import eventually

READY_SECONDS = 60.0
BEFORE_SECONDS = 3.0
AFTER_SECONDS = 4.0
CONVERGE_SECONDS = 2.5
_GOOD = ("200", "304", "404", "412")


@dataclass(frozen=True)
class Amount:
    """Of load, by the options of tests.checker.load: a little above PROMISED, which is the least that counts."""

    writes_per_second: int = 510
    reads_per_second: int = 2040
    viewers: int = 200
    keys: int = 200

    def options(self) -> list[str]:
        return [text for name, value in asdict(self).items() for text in (f"--{name.replace('_', '-')}", str(value))]


PROMISED = Amount(writes_per_second=500, reads_per_second=2000)


@dataclass
class Result:
    """broken: sentences about what a promise forbids; empty where all held. errors: answers that were none, by code.

    viewers: that were subscribed when the load began.
    """

    fault: str
    seed: int
    lost: int
    regressions: int
    converged_seconds: float
    unavailable_seconds: dict[str, float]
    errors: dict[str, int]
    memory_mb: tuple[float, float]
    writes_per_second: float
    reads_per_second: float
    viewers: int
    seconds: float
    cores: float
    broken: list[str] = field(default_factory=list)


class Load:
    """`python -m tests.checker.load` as a child."""

    def __init__(self, world: World, history: Path, name: str, seed: int, amount: Amount) -> None:
        token = world.folder / "token"
        token.write_text(TOKEN)
        urls = [text for function, urls in world.urls.items() for url in urls for text in (f"--{function}", url)]
        command = [
            sys.executable, "-m", "tests.checker.load", *urls, "--token-file", str(token), "--history", str(history),
            "--name", name, "--seed", str(seed), "--seconds", "600", *amount.options(),
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._history = history / f"{name}.jsonl"

    def hold(self, seconds: float) -> None:
        """Let it load for so long. Raises RuntimeError where it ends meanwhile."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return
        raise RuntimeError(f"The load ended with {code}.")

    def running(self) -> bool:
        """Whether it reads, which comes after all that it does first."""
        self.hold(0)
        return self._history.exists() and b'"what":"get"' in self._history.read_bytes()

    def end(self) -> dict[str, Any]:
        """Its figures, when it has settled."""
        self._process.terminate()
        said, _ = self._process.communicate(timeout=120)
        figures: dict[str, Any] = json.loads(said.splitlines()[-1])
        return figures

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


def called(fault: Fault) -> str:
    """Its name as keys, folders and `make` take it: sigstop-write."""
    return re.sub(r"[^a-z0-9]+", "-", fault.name.lower()).strip("-")


def noting(recorder: Recorder) -> Callable[..., None]:
    """What a scene records by: (name, phase, further members)."""

    def note(name: str, phase: Literal["begin", "end"], **members: Any) -> None:
        recorder(records.Fault(at=records.now(), who="faults", name=name, phase=phase, **members))
        recorder.flush()

    return note


def run(world: World, fault: Fault, seed: int, history: Path, amount: Amount, least_seconds: float = 0, *,
        before_seconds: float = BEFORE_SECONDS, after_seconds: float = AFTER_SECONDS) -> Result:  # fmt: skip
    """Load, break, mend, let it settle, judge. least_seconds: of load in all; the others before and after the fault.

    history: a folder that is made anew, and holds the evidence afterwards.
    """
    shutil.rmtree(history, ignore_errors=True)
    history.mkdir(parents=True)
    name = called(fault)
    world.as_owner("TRUNCATE kvcast.tick, kvcast.kv")
    world.redis.flushall()
    load = Load(world, history, name, seed, amount)
    try:
        eventually(load.running, within=READY_SECONDS, every=0.2)
        began = time.monotonic()
        load.hold(before_seconds)
        before = sum(world.memory_mb().values())
        with Recorder(history / "faults.jsonl") as recorder:
            scene = Scene(world, name, random.Random(f"{seed} {fault.name}"), noting(recorder))
            with fault.applied(scene):
                load.hold(fault.hold_seconds)
        load.hold(max(after_seconds, least_seconds - (time.monotonic() - began)))
        figures = load.end()
    finally:
        load.kill()
    after = sum(world.memory_mb().values())
    url = world.postgres.migration_url
    verdict = check(history, stored.rows(url), stored.ticks(url))
    (history / "verdict.txt").write_text(verdict.text())
    for log in world.logs():
        shutil.copy(log, history / log.name)
    return _result(fault, seed, figures, verdict, (round(before), round(after)))


def _result(
    fault: Fault, seed: int, figures: dict[str, Any], verdict: Verdict, memory_mb: tuple[float, float]
) -> Result:
    errors = {
        call: count for call, count in figures["calls"].items() if not any(code in call.split() for code in _GOOD)
    }
    converged = max((float(str(one["converged_seconds"])) for one in verdict.converged), default=0.0)
    said = verdict.figures()["promises"]
    broken = [f"{promise}: {said[promise]['shortest'][0]}" for promise in verdict.broken]
    if converged > CONVERGE_SECONDS:
        broken.append(f"converged only {converged:g} s after the fault's end, {CONVERGE_SECONDS:g} are promised")
    if verdict.incomplete:
        broken.append(verdict.incomplete)
    return Result(
        called(fault), seed, lost=said["durable"]["broken"], regressions=said["monotonic"]["broken"],
        converged_seconds=converged, unavailable_seconds=figures["unavailable_seconds"], errors=errors,
        memory_mb=memory_mb, writes_per_second=figures["writes_per_second"],
        reads_per_second=figures["reads_per_second"], viewers=figures["viewers"], seconds=figures["seconds"],
        cores=figures["cores"], broken=broken,
    )


class Worlds:
    """Worlds by where a fault happens, one at a time."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._open = ExitStack()
        self._where: Where | None = None
        self._world: World | None = None

    def __call__(self, where: Where) -> World:
        """The one that is there, else a new one."""
        if self._world is None or self._where != where:
            self.close()
            world = World(self._seed, small_disk=where == "small disk", false_clock=where == "false clock")
            self._world = self._open.enter_context(world)
            self._where = where
        return self._world

    def close(self) -> None:
        self._world = None  # also where it cannot be closed
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
