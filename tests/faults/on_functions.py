"""What happens to the processes of the functions."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil

from kvcast.embedded.process import kill_all, with_children
from tests.faults.catalogue import Hurt, Scene, fault
from tests.faults.proxy import Reset
from tests.faults.world import FUNCTIONS, MEMBERS, STORES
from tests.polling import eventually

SPARE_DESCRIPTORS = 2


def killing(function: str) -> Hurt:
    def hurt(scene: Scene) -> Iterator[None]:
        """One at once with all that it started, then of the other one the worker alone, which gunicorn replaces."""
        name = f"{function}-{scene.member}"
        scene.world.functions[name].kill()
        yield
        scene.world.start(name)
        other = scene.world.functions[f"{function}-{next(one for one in MEMBERS if one != scene.member)}"]
        workers = with_children(other.pid)[1:]
        kill_all(workers)
        eventually(lambda: {one.pid for one in with_children(other.pid)[1:]} - {one.pid for one in workers}, 60)
        eventually(other._ready, 60)

    return hurt


def terminating(function: str) -> Hurt:
    def hurt(scene: Scene) -> Iterator[None]:
        name = f"{function}-{scene.member}"
        scene.world.functions[name].stop()
        yield
        scene.world.start(name)

    return hurt


def stopping(function: str) -> Hurt:
    def hurt(scene: Scene) -> Iterator[None]:
        with scene.world.stopped(scene.world.functions[f"{function}-{scene.member}"].pid):
            yield

    return hurt


for _function, _killed, _told, _stopped in (
    ("write", "calls under way fail, and go to the other one", "nothing; calls go to the other one",
     "half of the writes wait until they time out"),
    ("read", "calls under way fail, and go to the other one", "nothing; calls go to the other one",
     "half of the reads wait until they time out"),
    ("push", "viewers reconnect and resume", "viewers are told to reconnect, and resume",
     "half of the viewers hear nothing, find out by the heartbeat and reconnect"),
):  # fmt: skip
    fault(f"kill -9 {_function}", _killed, _function, hold_seconds=1)(killing(_function))
    fault(f"SIGTERM {_function}", _told, _function, hold_seconds=1, drains=_function == "push")(terminating(_function))
    fault(f"SIGSTOP {_function}", _stopped, _function, hold_seconds=10)(stopping(_function))


@fault("descriptors used up", "new connections wait or fail; those there are are served", "descriptors", hold_seconds=5)
def descriptors(scene: Scene) -> Iterator[None]:
    """Of one member of each function; then all clients must connect anew."""
    with ExitStack() as stack:
        for function in FUNCTIONS:
            for process in with_children(scene.world.functions[f"{function}-{scene.member}"].pid)[1:]:
                before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
                most = _highest(process) + 1 + SPARE_DESCRIPTORS
                resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (most, before[1]))
                stack.callback(resource.prlimit, process.pid, resource.RLIMIT_NOFILE, before)
        links = [link for function in FUNCTIONS for link in scene.world.links("clients", function)]
        pairs = [(function, to) for function in FUNCTIONS for to in STORES]
        extra = [link for pair in pairs for link in scene.world.links(*pair)]
        scene.world.proxy.hurt(Reset(), *links, *extra)
        scene.world.proxy.hurt(None, *links, *extra)
        yield


def _highest(process: psutil.Process) -> int:
    return max(int(path.name) for path in Path(f"/proc/{process.pid}/fd").iterdir())
