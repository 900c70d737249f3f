"""A kvcast whose clients record what they see, for faults that a test provokes step by step in one thread."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import gevent

from kvcast.bus.cache import Cache
from kvcast.embedded import Stores
from kvcast.messages import Change, Write
from kvcast.storage.pool import Session
from kvcast.storage.writes import write_all
from tests.checker import Verdict, check, stored
from tests.checker.load.http import Caller
from tests.checker.load.plan import READ_SECONDS, Plan, Shared
from tests.checker.load.readers import get
from tests.checker.load.watchers import Watcher
from tests.checker.load.writers import Writer
from tests.checker.recording import Recorder
from tests.checker.records import Add, End, Fault, Get, Mode, Open, now
from tests.conftest import TOKEN, Server
from tests.databases import Database
from tests.polling import HANG_SECONDS

POLL_SECONDS = 0.02


class World:
    """A database and a server of it. app: a function's name, local, or `module:app`."""

    def __init__(self, stores: Stores, app: str, disabled: str) -> None:
        self._open = ExitStack()
        self.guard = "guard" not in disabled
        self.database = self._open.enter_context(Database(stores))
        self.server = Server(stores, app, {**self.database.environment(), "KVCAST_TEST_DISABLE": disabled})
        self._open.callback(self.server.close)
        self._open.callback(self.server.kill)  # first: nobody waits for its drain
        self.server.start()

    def close(self) -> None:
        self._open.close()


class Observed:
    """A history of a world. Its keys are numbers. name: no other history of that world has it."""

    def __init__(self, world: World, folder: Path, name: str) -> None:
        self.world = world
        self.database = world.database
        self._folder = folder / "history"
        self._name = name
        self._recorder = Recorder(self._folder / f"{name}.jsonl")
        urls = [world.server.url]
        self.shared = Shared(Plan(write=urls, read=urls, push=urls, token=TOKEN, keys=4, name=name), self._recorder)
        self._viewers: list[gevent.Greenlet[..., None]] = []
        self._numbers: set[int] = set()  # of the keys that were written

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        gevent.killall(self._viewers)
        self.shared.close()
        self._recorder.close()

    @cached_property
    def _writer(self) -> Writer:
        return Writer(self.shared, 0)

    @cached_property
    def _reader(self) -> Caller:
        return self.shared.caller(self.shared.plan.read, 0, READ_SECONDS)

    @property
    def cache(self) -> Cache:
        """As a process of this kvcast has it."""
        return self.database.cache(guard=self.world.guard)

    def watch(self, number: int, mode: Mode = "latest") -> Watcher:
        """A viewer that is subscribed."""
        who = f"{self._name}.v{len(self._viewers)}"
        wanted = Open(at=0, who=who, keys=[self.shared.plan.key(number)], mode=mode)
        viewer = Watcher(self.shared, len(self._viewers), wanted)
        self._viewers.append(gevent.spawn(viewer.run))
        assert until(lambda: viewer.subscribed)
        return viewer

    def write(self, number: int) -> int:
        """POST /add; its rev."""
        self._numbers.add(number)
        self._writer.write_first(number)
        return self.shared.newest[number]

    def commit(self, number: int) -> Change:
        """What a process leaves that dies between its commit and its publish; nobody knows how the write ended."""
        self._numbers.add(number)
        key, value = self.shared.plan.key(number), f"dead:{time.monotonic_ns()}"
        sent_at = now()
        [change] = self.database.commit(Write(key, json.dumps(value)))
        at = now()
        self._recorder(Add(at=at, who="dead", took=at - sent_at, status=0, key=key, value=value))
        return change

    @contextmanager
    def commit_under_way(self, number: int) -> Iterator[None]:
        """Two writes in one transaction, at the begin and at the end of the block, and the last one is published."""
        self._numbers.add(number)
        session = self.database.session()
        session.run("BEGIN")
        self._write_in(session, number)
        yield
        change = self._write_in(session, number)
        self.cache.publish([change])  # a moment early, lest who waits for the row comes between
        session.run("COMMIT")

    def _write_in(self, session: Session, number: int) -> Change:
        key, value = self.shared.plan.key(number), f"dead:{time.monotonic_ns()}"
        self._recorder(Add(at=now(), who="dead", status=0, key=key, value=value))
        [change] = write_all(session, self.database.statements, [Write(key, json.dumps(value))])
        return change

    def blocked_writers(self) -> int:
        """That wait for a lock."""
        sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = :name"
        return int(self.database.own.run(sql, name=self.database.name)[0][0])

    def read(self, number: int, **options: Any) -> Get:
        """GET /get. options: of `get`, and headers."""
        return get(self.shared, self._reader, f"{self._name}.r", number, **options)

    def shows(self, viewer: Watcher, number: int, rev: int, seconds: float = HANG_SECONDS) -> bool:
        return until(lambda: viewer.revs.get(self.shared.plan.key(number), 0) >= rev, seconds)

    @contextmanager
    def fault(self, name: str, drains: str = "") -> Iterator[None]:
        """Recorded, as who breaks something does it."""
        self._recorder(Fault(at=now(), who="faults", name=name, phase="begin", drains=drains))
        yield
        self._recorder(Fault(at=now(), who="faults", name=name, phase="end"))

    def verdict(self, *, readers: bool = True) -> Verdict:
        """Of all that happened so far, and what is read in the end; ends the viewers."""
        for number in self._numbers if readers else ():
            self.read(number, final=True)
        gevent.killall(self._viewers)
        self._recorder(End(at=now(), who=self._name))
        self._recorder.flush()
        url = self.database.database_url
        return check(self._folder, stored.rows(url), stored.ticks(url))


def until(done: Callable[[], Any], seconds: float = HANG_SECONDS) -> bool:
    """Whether `done` became true in time. Unlike tests.polling it lets greenlets run."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        gevent.sleep(POLL_SECONDS)
    return True
