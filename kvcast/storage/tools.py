"""PostgreSQL's own programs for backups: which of them to take, and how they connect."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from kvcast.errors import SettingsError
from kvcast.storage.pool import connect_arguments

_MEND = "install PostgreSQL's client programs (Debian: apt install postgresql-client), of version {major} or newer"


class Tools(NamedTuple):
    """pg_dump, pg_restore and psql of one installation."""

    folder: Path
    major: int

    def command(self, name: str) -> str:
        return str(self.folder / name)


def find_tools(server_major: int, further: Sequence[Path] = ()) -> Tools:
    """The first of PATH and of the folders `further` that is not older than the server. Raises SettingsError."""
    on_path = shutil.which("pg_dump")
    found = [
        Tools(folder, major)
        for folder in ([Path(on_path).parent] if on_path else []) + list(further)
        if (major := _major(folder))
    ]
    mend = _MEND.format(major=server_major)
    if not found:
        raise SettingsError(f"pg_dump, pg_restore and psql are not on the PATH; {mend}.")
    for tools in found:
        if tools.major >= server_major:
            return tools
    newest = max(found, key=lambda tools: tools.major)
    raise SettingsError(
        f"{newest.command('pg_dump')} is of version {newest.major} and the server of {server_major}; {mend}."
    )


def _major(folder: Path) -> int:
    """The version of pg_dump in `folder`; 0 where one of the three is missing."""
    if not all(shutil.which(name, path=str(folder)) for name in ("pg_dump", "pg_restore", "psql")):
        return 0
    said = subprocess.run([folder / "pg_dump", "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"\(PostgreSQL\) (\d+)", said)
    return int(version[1]) if version else 0


def libpq_environment(url: str) -> dict[str, str]:
    """Our environment, with what makes the programs connect as `url` says; options would show the password to `ps`."""
    arguments = connect_arguments(url)
    query = {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}
    mode = query.get("sslmode", "disable")
    socket = arguments.get("unix_sock")
    folder, _, port = str(socket).rpartition("/.s.PGSQL.") if socket else ("", "", "")
    given = {
        "PGHOST": folder or arguments.get("host"), "PGPORT": port or str(arguments.get("port")),
        "PGUSER": arguments["user"], "PGPASSWORD": arguments["password"],
        "PGDATABASE": arguments["database"] or arguments["user"], "PGAPPNAME": "kvcast",
        "PGSSLMODE": mode, "PGSSLROOTCERT": query.get("sslrootcert", "system" if mode == "verify-full" else None),
        "PGCONNECT_TIMEOUT": "10", "PGCLIENTENCODING": "UTF8", "LC_ALL": "C",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return inherited | {name: value for name, value in given.items() if value}
