"""What `kvcast serve` and the local run need to become, or to start, gunicorn."""

from __future__ import annotations

import errno
import os
import socket
import sys
import sysconfig
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from kvcast.errors import SettingsError


def bound_socket(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet, so that nobody can take the port between our look and the start.

    Raises SettingsError, naming the mend.
    """
    where = f"Port {port} on {host or 'every address'}"
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise SettingsError(f"HOST={host} is no address of this machine ({error.strerror}); try 127.0.0.1.") from None
    listener = socket.socket(family, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        if isinstance(error, PermissionError):
            mend = f"may not be used by this user; choose one above 1023, such as PORT={port + 8000}."
        elif error.errno == errno.EADDRINUSE:
            mend = f"is taken by another program; choose another one, such as PORT={port % 65_535 + 1}."
        else:
            mend = f"cannot be used ({error.strerror}); set HOST to an address of this machine, such as 127.0.0.1."
        raise SettingsError(f"{where} {mend}") from None
    return listener


def gunicorn_command(app: str, listeners: Sequence[socket.socket], options: Sequence[str] = ()) -> list[str]:
    """What serves `app` on `listeners`, which the process must inherit."""
    binds = [text for listener in listeners for text in ("--bind", f"fd://{listener.fileno()}")]
    return [sys.executable, "-m", "gunicorn", "-c", gunicorn_conf(), *binds, *options, app]


def gunicorn_conf() -> str:
    spec = find_spec("functions")
    if spec is None or not spec.submodule_search_locations:
        raise SettingsError("The package `functions` is missing; install kvcast anew.")
    return str(Path(spec.submodule_search_locations[0]) / "gunicorn_conf.py")


def importable() -> dict[str, str]:
    """What a Python of ours must find in its environment to import the packages of a checkout that is not installed."""
    root = Path(__file__).parents[1]
    if root == Path(sysconfig.get_path("purelib")):
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))}
