"""Real PostgreSQL and Valkey as child processes, from pip wheels, for the local run and the tests."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from kvcast.embedded.folder import FolderLock, make_private
from kvcast.embedded.postgres import FUNCTIONS_ROLE, Postgres
from kvcast.embedded.process import ServerFailed, never
from kvcast.embedded.valkey import Valkey

__all__ = ["FUNCTIONS_ROLE", "Postgres", "ServerFailed", "Stores", "Valkey"]


class Stores:
    """Both stores on one data folder, `folder`, and the lock on it."""

    def __init__(self, data_folder: Path) -> None:
        self.folder = make_private(data_folder)
        self._stack = ExitStack()
        self.postgres = Postgres(self.folder)
        self.redis = Valkey(self.folder)

    @classmethod
    def start(cls, data_folder: Path) -> Stores:
        """Start both on `data_folder`. Raises FolderInUse, ServerFailed."""
        stores = cls(data_folder)
        stores.__enter__()
        return stores

    @property
    def database_url(self) -> str:
        return self.postgres.database_url

    @property
    def migration_url(self) -> str:
        return self.postgres.migration_url

    @property
    def redis_url(self) -> str:
        return self.redis.redis_url

    @property
    def functions_redis_url(self) -> str:
        return self.redis.functions_url

    def stop(self, hurried: Callable[[], bool] = never) -> None:
        """Redis, then PostgreSQL, then the lock."""
        self.redis.stop(hurried)
        self.postgres.stop(hurried)
        self._stack.close()

    def __enter__(self) -> Stores:
        self._stack.enter_context(FolderLock(self.folder))
        try:
            self.postgres.start()
            self.redis.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
