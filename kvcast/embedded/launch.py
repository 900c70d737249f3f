"""Becomes a server: takes the account it shall have, ties its life to its parent's, then exec's it.

Run as a script, `launch.py PARENT_PID DEATH_SIGNAL ACCOUNT FOLDER COMMAND...`, with the standard library
only. A script and not `preexec_fn`: Python code between fork and exec can deadlock in a threaded parent.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from pathlib import Path

NOBODY = 65534
CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1


def enter_user_namespace() -> None:
    """Be a known ordinary user to ourselves, and who we were to the file system.

    PostgreSQL refuses to run as root, and initdb as a user without a name. Raises OSError where the kernel
    or a sandbox forbids it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    known = {entry.pw_uid for entry in pwd.getpwall()} - {0}
    if not known:
        raise FileNotFoundError("no ordinary user")
    inside = NOBODY if NOBODY in known else min(known)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{inside} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{inside} {group} 1")


def become(account: str) -> None:
    if account == "mapped":
        enter_user_namespace()
    elif account == "nobody":
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def die_with_parent(parent: int, death_signal: int) -> None:
    """Must come after `become`: a change of credentials clears the request."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)


def main() -> None:
    parent, death_signal, account, folder, *command = sys.argv[1:]
    os.umask(0o077)
    become(account)
    who = f"uid {os.geteuid()}, as which this server must run,"
    try:
        os.chdir(folder)
    except OSError as error:
        sys.exit(f"{who} cannot enter {folder} ({error.strerror}); set KVCAST_DATA to a folder it can reach.")
    if command and not os.access(command[0], os.X_OK):
        sys.exit(f"{who} cannot run {command[0]}; install kvcast where every user can read, or do not run it as root.")
    die_with_parent(int(parent), int(death_signal))
    if command:
        os.execv(command[0], command)


if __name__ == "__main__":
    main()
