"""Which server a command talks to, and with which token."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kvcast.errors import SettingsError

if TYPE_CHECKING:
    from kvcast.client import Client

DEFAULT_URL = "http://127.0.0.1:8000"
RETRY_SECONDS = 1.0


class Login(msgspec.Struct, frozen=True):
    """url: of the server; token: None where there is none; source: where they were found, for people."""

    url: str
    token: str | None = None
    source: str = "the default"


class _Running(msgspec.Struct):
    url: str
    pid: int
    token: str


def options() -> argparse.ArgumentParser:
    """The options of every command that talks to a server."""
    parent = argparse.ArgumentParser(add_help=False)
    group = parent.add_argument_group("connection")
    group.add_argument("--url", help="server, such as http://127.0.0.1:8000 (KVCAST_URL)")
    group.add_argument("--token", help="token; better kept in KVCAST_TOKEN or `kvcast login` (processes show options)")
    return parent


def login_path() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "kvcast" / "login.json"


def stored_login() -> Login | None:
    """What `kvcast login` kept. Raises SettingsError when the file cannot be read."""
    path = login_path()
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Login)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise SettingsError(f"{path} cannot be read ({error}); run `kvcast login` again.") from None
    return Login(found.url, found.token, str(path))


def store_login(login: Login) -> Path:
    """Keep a login where only this user reads it."""
    path = login_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode({"url": login.url, "token": login.token}))
    fresh.replace(path)
    return path


def data_folder() -> Path:
    return Path(os.environ.get("KVCAST_DATA") or ".kvcast")


def local_run() -> Login | None:
    """The local run of this folder, when it is alive."""
    folder = data_folder()
    try:
        running = msgspec.json.decode((folder / "running.json").read_bytes(), type=_Running)
        os.kill(running.pid, 0)
    except PermissionError:
        pass  # alive, and another user's
    except (OSError, msgspec.DecodeError):
        return None
    return Login(running.url, running.token, f"the local run in {folder}")


def find_login(arguments: argparse.Namespace) -> Login:
    """The first that names a server; a stored token goes only to the server that it was stored for."""
    given_url = arguments.url or os.environ.get("KVCAST_URL")
    given_token = arguments.token or os.environ.get("KVCAST_TOKEN")
    source = "--url" if arguments.url else "KVCAST_URL"
    candidates = [found for found in (stored_login(), local_run()) if found is not None]
    if given_url:
        known = next((found.token for found in candidates if found.url.rstrip("/") == given_url.rstrip("/")), None)
        return Login(given_url, given_token or known, source)
    found = candidates[0] if candidates else Login(DEFAULT_URL)
    return Login(found.url, given_token or found.token, found.source)


def connect(arguments: argparse.Namespace) -> Client:
    from kvcast.client import Client

    login = find_login(arguments)
    return Client(login.url, login.token, retry_seconds=RETRY_SECONDS)
