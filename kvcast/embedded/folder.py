"""The data folder of a local run: who is in charge of it, and where its sockets go."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
from pathlib import Path
from types import TracebackType

from kvcast.errors import KvcastError

SOCKET_PATH_MAX_BYTES = 100  # sockaddr_un takes 108 on Linux, 104 on macOS
LONGEST_SOCKET_NAME = "/.s.PGSQL.5432.lock"


class FolderInUse(KvcastError):
    """Another process is in charge of the data folder. pid: that process, 0 when it has not said so yet."""

    def __init__(self, folder: Path, pid: int) -> None:
        super().__init__(f"kvcast already runs on {folder}" + (f" (pid {pid})." if pid else "."))
        self.pid = pid


class FolderLock:
    """Held while a process is in charge of `folder`. The kernel drops it with the process, however that ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None

    def __enter__(self) -> FolderLock:
        file = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.read(file, 20)
            os.close(file)
            raise FolderInUse(self._folder, int(text) if text.strip().isdigit() else 0) from None
        os.ftruncate(file, 0)
        os.write(file, b"%d\n" % os.getpid())
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None


def make_private(folder: Path) -> Path:
    """Create `folder`, for its owner only, where it is missing; return its absolute path."""
    folder = folder.resolve()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        mend = "set KVCAST_DATA to a folder that you may write"
        raise KvcastError(f"The folder {folder} cannot be made ({error.strerror}); {mend}.") from None
    return folder


def socket_folder(folder: Path) -> Path:
    """A private folder for the Unix sockets of the servers of `folder`: below it where the path is short enough."""
    inside = folder / "sockets"
    if len(os.fsencode(inside)) + len(LONGEST_SOCKET_NAME) <= SOCKET_PATH_MAX_BYTES:
        return make_private(inside)
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    short = make_private(Path(tempfile.gettempdir()) / f"kvcast-{digest}")
    status = short.lstat()
    # Anyone may have made a folder of this name in the shared temporary folder before us.
    if status.st_uid not in (os.geteuid(), 65534) or stat.S_IMODE(status.st_mode) & 0o077:
        raise KvcastError(f"{short} belongs to someone else; set KVCAST_DATA to a folder with a shorter path.")
    return short
