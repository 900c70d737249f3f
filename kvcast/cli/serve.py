"""serve: one function in the foreground, for containers and service managers."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any, NoReturn

from kvcast.errors import SettingsError

FUNCTIONS = ("write", "read", "push")


def register(commands: Any) -> None:
    parser = commands.add_parser(
        "serve", formatter_class=argparse.RawDescriptionHelpFormatter, help="serve one function, until SIGTERM",
        description="Become gunicorn with one of the three functions. It needs DATABASE_URL and REDIS_URL.",
        epilog="examples:\n  HOST=0.0.0.0 kvcast serve read\n"
        "  DATABASE_URL_FILE=/run/secrets/database-url REDIS_URL=redis://cache kvcast serve push",
    )
    parser.add_argument("function", choices=FUNCTIONS, help="which of them")
    parser.set_defaults(run=run_serve)


def run_serve(arguments: argparse.Namespace) -> NoReturn:
    """Becomes gunicorn, under the same process id, so that signals reach its master. Raises SettingsError."""
    from kvcast.config import Settings
    from kvcast.serving import bound_socket, gunicorn_command, importable

    settings = Settings.from_environment()
    _check_stores(settings.database_url, settings.redis_url)
    ports = [settings.port, *([settings.management_port] if settings.management_port else [])]
    listeners = [bound_socket(settings.host, port) for port in ports]
    for listener in listeners:
        listener.set_inheritable(True)
    command = gunicorn_command(f"functions.{arguments.function}:create_app()", listeners)
    os.execve(sys.executable, command, {**os.environ, **importable()})


def _check_stores(database_url: str, redis_url: str) -> None:
    from kvcast.bus.connection import open_redis
    from kvcast.storage.pool import connect_arguments

    for name, url, example in (
        ("DATABASE_URL", database_url, "postgresql://kvcast_functions:PASSWORD@db/kvcast"),
        ("REDIS_URL", redis_url, "redis://cache"),
    ):
        if not url:
            raise SettingsError(f"{name} is not set; set it, or name a file that holds it in {name}_FILE ({example}).")
    connect_arguments(database_url)
    try:
        open_redis(redis_url).close()
    except ValueError:  # its text may be a piece of the password
        raise SettingsError(
            "REDIS_URL cannot be understood; give one such as redis://:PASSWORD@cache:6379/0, "
            "with what is special in the password percent-encoded, such as / as %2F."
        ) from None
