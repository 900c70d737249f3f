"""up and migrate: what runs on the side of the server."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

from kvcast.cli.output import line, note
from kvcast.errors import KvcastError, SettingsError

_FLAGS = {
    "port": "PORT", "host": "HOST", "data": "KVCAST_DATA", "admin_token": "KVCAST_ADMIN_TOKEN",
    "database_url": "DATABASE_URL", "redis_url": "REDIS_URL", "workers": "KVCAST_WORKERS",
}


def register(commands: Any) -> None:
    described = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "up", formatter_class=described, help="start everything on this machine",
        description="Start PostgreSQL, Redis and the three functions behind one port, until Ctrl-C. Data survives.",
        epilog="examples:\n  kvcast up\n  kvcast up --port 9000 --data /var/lib/kvcast\n"
        "  kvcast up --database-url postgresql://user@db/kvcast --redis-url redis://cache",
    )
    parser.add_argument("--port", help="port to listen on; 0 takes a free one (PORT, default 8000)")
    parser.add_argument("--host", help="address to listen on (HOST, default 127.0.0.1)")
    parser.add_argument("--data", metavar="FOLDER", help="folder of the data (KVCAST_DATA, default .kvcast)")
    parser.add_argument("--admin-token", metavar="TOKEN", help="may do everything (KVCAST_ADMIN_TOKEN, else made)")
    parser.add_argument("--database-url", metavar="URL", help="your PostgreSQL instead of an own one (DATABASE_URL)")
    parser.add_argument("--redis-url", metavar="URL", help="your Redis instead of an own one (REDIS_URL)")
    parser.add_argument("--workers", help="worker processes (KVCAST_WORKERS, default 1)")
    parser.set_defaults(run=run_up)

    parser = commands.add_parser(
        "migrate", formatter_class=described, help="make or update the schema",
        description="Bring the database of KVCAST_MIGRATION_URL, else DATABASE_URL, to the schema of this release.\n"
        "Where both are set, the role of DATABASE_URL is made or gets its password, and may read and write rows.",
        epilog="examples:\n  kvcast migrate\n  kvcast migrate --wait    # as an init container",
    )
    parser.add_argument("--functions-role", metavar="ROLE", help="the functions' role: gets to read and write rows")
    parser.add_argument("--wait", action="store_true", help="go on trying while the database cannot be used")
    parser.set_defaults(run=run_migrate)


def run_up(arguments: argparse.Namespace) -> int:
    from kvcast.config import Settings

    try:
        from kvcast.up import run
    except ModuleNotFoundError as error:  # as in the image, whose stores are elsewhere
        raise SettingsError(f"The local run needs {error.name}; install it with pip install 'kvcast[local]'.") from None

    given = {name: getattr(arguments, flag) for flag, name in _FLAGS.items() if getattr(arguments, flag) is not None}
    inherited = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in given}
    return run(Settings.from_environment({**inherited, **given})) or 0


def run_migrate(arguments: argparse.Namespace) -> int:
    from kvcast.config import Settings
    from kvcast.retries import persistently
    from kvcast.storage.schema import migrate

    settings = Settings.from_environment()
    setting = "KVCAST_MIGRATION_URL" if settings.migration_url else "DATABASE_URL"
    url = settings.migration_url or settings.database_url
    if not url:
        raise SettingsError("No database is named; set KVCAST_MIGRATION_URL or DATABASE_URL.")
    signal.signal(signal.SIGTERM, _end)

    def once() -> None:
        migrate(url, arguments.functions_role, functions_url=settings.database_url, setting=setting, say=note)

    def waits(error: KvcastError, new: bool) -> None:
        if new:
            note(f"Waiting: {error.message}")

    if arguments.wait:
        persistently(once, waits)
    else:
        once()
    line("The schema is up to date.")
    return 0


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    """The first process of a container is not ended by a signal that it does not handle."""
    sys.exit(128 + number)
