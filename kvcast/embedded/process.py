"""One server as a child process: start, readiness, orderly stop, and what an earlier life left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from kvcast.embedded.account import Account, launch_command
from kvcast.errors import KvcastError

POLL_SECONDS = 0.02
LOG_MAX_BYTES = 8 * 2**20
TAIL_LINES = 12
LEFTOVER_SECONDS = 10.0


class ServerFailed(KvcastError):
    """A server of the local run did not start or did not stay."""


def never() -> bool:
    return False


class Process:
    """A server whose working folder, `home`, no other program uses.

    log: file that gets its output; None: the terminal. stop_signals: the polite one first, each with the
    seconds that it is given; SIGKILL follows. death_signal: sent by the kernel (Linux) when the thread that
    called `start` ends, so start servers from the main thread.
    """

    def __init__(
        self, name: str, program: str, home: Path, *, account: Account = "same", log: Path | None,
        stop_signals: Sequence[tuple[signal.Signals, float]], death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.home = home
        self.log = log
        self._program = program
        self._account = account
        self._stop_signals = stop_signals
        self._death_signal = death_signal
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._popen is None:
            raise ServerFailed(f"{self.name} is not running; call start() first.")
        return self._popen.pid

    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def start(
        self, command: Sequence[str], *, environment: Mapping[str, str] | None = None, pass_fds: Sequence[int] = ()
    ) -> None:
        """Start `command` in its own session, so that a Ctrl-C in the terminal reaches only the parent."""
        launched = launch_command(self._account, self.home, command, self._death_signal)
        output = None if self.log is None else open_log(self.log)
        try:
            self._popen = subprocess.Popen(
                launched, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
                pass_fds=pass_fds, start_new_session=True,
            )
        finally:
            if output is not None:
                os.close(output)

    def wait_ready(self, ready: Callable[[], bool], deadline_seconds: float) -> None:
        """Poll `ready`. Raises ServerFailed, with the end of the log, when it died or the time is over."""
        deadline = time.monotonic() + deadline_seconds
        while not ready():
            if not self.running():
                raise ServerFailed(f"{self.name} ended while it started.{self.tail()}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.name} was not ready after {deadline_seconds:g} s.{self.tail()}")
            time.sleep(POLL_SECONDS)

    def stop(self, hurried: Callable[[], bool] = never) -> None:
        """Stop and wait. As soon as `hurried` is true, each signal gets a second at most."""
        for number, seconds in self._stop_signals:
            if not self.running():
                break
            os.kill(self.pid, number)
            began = time.monotonic()
            while self.running() and time.monotonic() - began < (min(seconds, 1) if hurried() else seconds):
                time.sleep(POLL_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End it and everything it started at once, as a power cut would."""
        if self._popen is None:
            return
        if self._popen.poll() is None:
            kill_all(with_children(self._popen.pid))
            self._popen.wait()
        else:  # its pid may belong to another program by now, and its children to nobody
            self.end_leftovers()
        self._popen = None

    def tail(self) -> str:
        """The last lines of the log, to follow a sentence."""
        if self.log is None:
            return ""
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:] if self.log.exists() else []
        return "".join([f" The end of {self.log}:", *(f"\n    {line}" for line in lines)])

    def end_leftovers(self) -> None:
        """End what an earlier parent that died left running in `home`. The caller holds the folder's lock.

        A pid file cannot tell: after a power cut its number may be another program's.
        """
        left = [process for process in psutil.process_iter(["name"]) if self._is_ours(process)]
        for process in left:
            try:
                process.send_signal(self._stop_signals[0][0])
            except psutil.Error:
                continue
        wait_gone(left, LEFTOVER_SECONDS)
        kill_all(left)

    def _is_ours(self, process: psutil.Process) -> bool:
        if not (process.info["name"] or "").lower().startswith(self._program):
            return False
        try:
            return process.cwd() == str(self.home)
        except psutil.Error:
            return False


def run_whole(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run `command` to its end; its exit code and what it said. Interrupted, it is ended with all that it started."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        errors="replace", env=environment,
    ) as running:
        try:
            output, errors = running.communicate()
        except BaseException:
            running.send_signal(signal.SIGSTOP)  # so that it starts nobody while we look for whom it has started
            kill_all(with_children(running.pid))
            raise
        return running.returncode, (errors or output).strip()


def open_log(path: Path) -> int:
    """Open for appending; a large one starts afresh and keeps its predecessor as `.old`."""
    if path.exists() and path.stat().st_size > LOG_MAX_BYTES:
        path.replace(path.with_suffix(path.suffix + ".old"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def with_children(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill_all(processes: Sequence[psutil.Process]) -> None:
    """SIGKILL them, in this order, and wait until all are gone."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    wait_gone(processes, LEFTOVER_SECONDS)


def wait_gone(processes: Sequence[psutil.Process], deadline_seconds: float) -> None:
    """Wait until all have ended; a zombie has, whoever reaps it and when."""
    deadline = time.monotonic() + deadline_seconds
    while any(map(alive, processes)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
