"""backup and restore: the whole store in one file."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kvcast.cli.connection import data_folder, local_run
from kvcast.cli.output import line, note
from kvcast.errors import SettingsError

if TYPE_CHECKING:
    from kvcast.storage.tools import Tools


class Store(NamedTuple):
    """url: as the schema's owner; functions_url: as the functions; setting: where url is from."""

    url: str
    functions_url: str
    setting: str


def register(commands: Any) -> None:
    described = argparse.RawDescriptionHelpFormatter
    where = (
        "The database is that of KVCAST_MIGRATION_URL, else DATABASE_URL, else the local run's in KVCAST_DATA,\n"
        "which need not be running. It takes pg_dump, pg_restore and psql: from the PATH, else those of the local run."
    )
    parser = commands.add_parser(
        "backup", formatter_class=described, help="write the whole store to a file",
        description=f"Write everything to a file, as it was at one moment, while writes go on.\n{where}",
        epilog="examples:\n  kvcast backup\n  kvcast backup /backups/monday.dump\n"
        "  kvcast backup - | ssh elsewhere 'cat > kvcast.dump'",
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="default kvcast-DATE-TIME.dump; - writes to the output")
    parser.set_defaults(run=run_backup)

    parser = commands.add_parser(
        "restore", formatter_class=described, help="make the store what it was at a backup",
        description="Bring back everything that a backup holds, in one transaction: all of it or nothing. Functions\n"
        f"may run meanwhile; they notice, and every viewer gets the restored values.\n{where}",
        epilog="examples:\n  kvcast restore kvcast-20260102-030405.dump\n  kvcast restore --force /backups/monday.dump",
    )
    parser.add_argument("file", metavar="FILE", help="what `kvcast backup` wrote")
    parser.add_argument("--force", action="store_true", help="replace what the database holds now")
    parser.set_defaults(run=run_restore)


def run_backup(arguments: argparse.Namespace) -> int:
    from kvcast.storage.backups import back_up, whole_or_nothing

    with _store() as store:
        tools = _tools(store)
        if arguments.file == "-":
            back_up(store.url, tools, sys.stdout.buffer)
            return 0
        path = Path(arguments.file or time.strftime("kvcast-%Y%m%d-%H%M%S.dump"))
        if path.exists():
            raise SettingsError(f"{path} is there already; name another file, or remove it first.")
        with whole_or_nothing(path) as target:
            back_up(store.url, tools, target)
    line(f"Wrote {path} ({path.stat().st_size:,} bytes).")
    return 0


def run_restore(arguments: argparse.Namespace) -> int:
    from kvcast.storage.backups import restore

    path = Path(arguments.file)
    if not path.is_file():
        raise SettingsError(f"{path} is no file; name one that `kvcast backup` wrote.")
    with _store() as store:
        restore(
            store.url, path, _tools(store), functions_url=store.functions_url, setting=store.setting,
            force=arguments.force, say=note,
        )
    line(f"Restored {path}. Functions that run take it up within seconds, and viewers get everything anew.")
    return 0


@contextmanager
def _store() -> Iterator[Store]:
    """The database that the settings name, else the local run's, started where it is not running."""
    from kvcast.config import Settings

    settings = Settings.from_environment()
    if settings.migration_url or settings.database_url:
        setting = "KVCAST_MIGRATION_URL" if settings.migration_url else "DATABASE_URL"
        yield Store(settings.migration_url or settings.database_url, settings.database_url, setting)
        return
    folder = data_folder().absolute()
    if not (folder / "postgres").is_dir():
        raise SettingsError(
            f"No database is named, and no local run has its data in {folder}; set KVCAST_MIGRATION_URL or KVCAST_DATA."
        )
    from kvcast.embedded import Postgres
    from kvcast.embedded.folder import FolderLock

    postgres = Postgres(folder)
    store = Store(postgres.migration_url, postgres.database_url, "KVCAST_DATA")
    if local_run() is not None:
        yield store
        return
    with FolderLock(folder):
        postgres.start()
        try:
            yield store
        finally:
            postgres.stop()


def _tools(store: Store) -> Tools:
    from kvcast.storage.backups import server_major
    from kvcast.storage.tools import find_tools

    return find_tools(server_major(store.url, store.setting), _own_programs())


def _own_programs() -> list[Path]:
    """The folder of the local run's programs, where its packages are installed."""
    try:
        from kvcast.embedded.postgres import program
    except ModuleNotFoundError:
        return []
    from kvcast.embedded import ServerFailed

    try:
        return [Path(program("pg_dump")).parent]
    except ServerFailed:
        return []
