"""A pod of each kind killed without a word, under load."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.cluster.conftest import Figure
from tests.cluster.loads import POLL_SECONDS, RunningLoad
from tests.cluster.release import Release
from tests.cluster.values import FUNCTIONS
from tests.polling import eventually

# In a container nobody can kill the first process, so its children: the workers.
KILL_WORKERS = """
import os, signal
for name in filter(str.isdigit, os.listdir("/proc")):
    try:
        parent = int(open(f"/proc/{name}/stat").read().rpartition(")")[2].split()[1])
    except OSError:
        continue
    if parent == 1:
        os.kill(int(name), signal.SIGKILL)
        print(name)
"""


def kill_workers(release: Release, pod: str, function: str) -> None:
    said = release.namespace.kubectl("exec", pod, "--container", function, "--", "python", "-c", KILL_WORKERS)
    assert said.split(), "no worker was found"
    eventually(lambda: release.metrics(pod), 60, POLL_SECONDS)


def kill_pod(release: Release, pod: str, function: str) -> None:
    release.namespace.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
    eventually(lambda: pod not in release.serving(function), 30, POLL_SECONDS)


@pytest.mark.parametrize("kill", [kill_workers, kill_pod])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_nothing_acknowledged_is_lost(
    whole: Release, figure: Figure, load: Callable[..., RunningLoad],
    function: str, kill: Callable[[Release, str, str], None],
) -> None:
    running = load(whole)
    running.goes_on(writes=100)
    began = time.monotonic()
    kill(whole, whole.serving(function)[0], function)
    whole.await_whole()
    seconds = time.monotonic() - began
    running.goes_on(writes=100)
    verdict = running.finish()
    what = f"{function}, {'processes killed with SIGKILL' if kill is kill_workers else 'pod deleted with no grace'}"
    figure(
        f"{what}: until whole, failed requests, lost writes, lost updates, longest behind", seconds,
        len(verdict.records.failures), len(verdict.lost_writes), len(verdict.lost_updates), verdict.behind_seconds,
    )
    verdict.assert_promises_kept()
