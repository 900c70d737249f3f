"""The cost of a server is that of all its processes, whether they still live or not."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil

from benchmarks.usage import Cost, of_all

BURN = "import time\nwhile time.process_time() < 0.4: pass"
PARENT = f"""
import subprocess, sys
input()
subprocess.run([sys.executable, "-c", {BURN!r}])
print("done", flush=True)
input()
"""


def test_what_a_child_used_before_it_ended_counts() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdin is not None
    assert parent.stdout is not None
    try:
        with Cost(parent.pid) as cost:
            parent.stdin.write("\n")
            parent.stdin.flush()
            assert parent.stdout.readline() == "done\n"
        assert 0.3 < cost.cpu_seconds < 2
        assert cost.memory_mib > 1
    finally:
        parent.kill()
        parent.communicate()


def test_a_child_that_ends_while_it_is_looked_at_spoils_nothing() -> None:
    asked: list[int] = []
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE) as child:

        def ask(process: psutil.Process) -> float:
            asked.append(process.pid)
            if process.pid == child.pid:
                child.kill()
                child.wait()
            return float(process.cpu_times().user)

        assert of_all(os.getpid(), ask) > 0
    assert asked.count(child.pid) == 1
    assert asked.count(os.getpid()) == 2
