"""As whom the stores run. Only root needs an answer: PostgreSQL refuses to be root."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from kvcast.embedded import launch

Account = Literal["same", "mapped", "nobody"]


def launch_command(account: Account, folder: Path, command: Sequence[str], death_signal: int) -> list[str]:
    """The command that becomes `command`, in `folder`, as `account`, and dies with this thread."""
    script = [sys.executable, "-I", "-S", launch.__file__]
    return [*script, str(os.getpid()), str(int(death_signal)), account, str(folder), *command]


@cache
def store_account() -> Account:
    """`same` for ordinary users. For root: an ordinary user of a user namespace, else uid 65534.

    The namespace is better, because files keep their owner and closed folders stay reachable; the default
    seccomp profile of Docker forbids it.
    """
    if os.geteuid() != 0:
        return "same"
    probe = launch_command("mapped", Path("/"), (), signal.SIGKILL)
    return "mapped" if subprocess.run(probe, capture_output=True, check=False).returncode == 0 else "nobody"


def hand_over(folder: Path, account: Account) -> None:
    """Make `folder`, and all below it, belong to `account`."""
    if account == "same":
        return
    owner = launch.NOBODY if account == "nobody" else 0
    if account == "nobody":
        folder.parent.chmod(0o711)  # so that it can pass through; what else lies there is closed by its own mode
    if folder.stat().st_uid == owner:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner, owner, follow_symlinks=False)
