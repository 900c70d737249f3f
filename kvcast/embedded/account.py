"""As whom the stores run: as ourselves, but PostgreSQL refuses root, and initdb users without a name."""

from __future__ import annotations

import os
import pwd
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
    """`same` for ordinary users. Else `mapped`, a user of a user namespace; for root `nobody` when refused.

    The namespace is better, because files keep their owner and closed folders stay reachable; the default
    seccomp profile of Docker forbids it.
    """
    root = os.geteuid() == 0
    if not root and has_name(os.geteuid()):
        return "same"
    probe = launch_command("mapped", Path("/"), (), signal.SIGKILL)
    if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
        return "mapped"
    return "nobody" if root else "same"


def has_name(user: int) -> bool:
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True


def hand_over(folder: Path, account: Account) -> None:
    """Make `folder`, and all below it, belong to `account`."""
    if account == "same":
        return
    owner = launch.NOBODY if account == "nobody" else os.geteuid()
    if account == "nobody":
        folder.parent.chmod(0o711)  # so that it can pass through; what else lies there is closed by its own mode
    if folder.stat().st_uid == owner:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner, -1, follow_symlinks=False)
