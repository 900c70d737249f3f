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
from tests.checker import Verdict, check, stored
from tests.checker.load.http import Caller
from tests.checker.load.plan import READ_SECONDS, Plan, Shared
from tests.checker.load.readers import get
from tests.checker.load.watchers import Watcher
from tests.checker.load.writers import Writer
from tests.checker.records import Add, End, Fault, Get, Mode, Open, Recorder, now
from tests.conftest import TOKEN, Server
from tests.databases import Database

POLL_SECONDS = 0.02


class Observed:
    """A database and one server of each of `names`, without the cures that are `disabled`. Keys are numbers.

    names: write, read, push, local; or read, a blank, and `module:app` that serves as it.
    """

    def __init__(self, stores: Stores, folder: Path, *names: str, disabled: str = "", **environment: str) -> None:
        self._open = ExitStack()
        self._folder = folder / "history"
        self.database = self._open.enter_context(Database(stores))
        settings = {**self.database.environment(), "KVCAST_TEST_DISABLE": disabled, **environment}
        functions, apps = zip(*[(name.split()[0], name.split()[-1]) for name in names], strict=True)
        self.servers = [Server(stores, app, settings) for app in apps]
        for server in self.servers:
            self._open.callback(server.close)
            server.start()
        write, read, push = (
            [server.url for name, server in zip(functions, self.servers, strict=True) if name in (function, "local")]
            for function in ("write", "read", "push")
        )
        recorder = self._open.enter_context(Recorder(self._folder / "observed.jsonl"))
        self._recorder = recorder
        plan = Plan(write=write, read=read, push=push, token=TOKEN, keys=4, name="observed")
        self.shared = Shared(plan, recorder)
        self._viewers: list[gevent.Greenlet[..., None]] = []
        self._numbers: set[int] = set()  # of the keys that were written
        self._guard = "guard" not in disabled

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        gevent.killall(self._viewers)
        self.shared.close()
        self._open.close()

    @cached_property
    def _writer(self) -> Writer:
        return Writer(self.shared, 0)

    @cached_property
    def _reader(self) -> Caller:
        return self.shared.caller(self.shared.plan.read, 0, READ_SECONDS)

    @property
    def cache(self) -> Cache:
        """As a process of this kvcast has it."""
        return self.database.cache(guard=self._guard)

    def watch(self, number: int, mode: Mode = "latest") -> Watcher:
        """A viewer that is subscribed."""
        who = f"observed.v{len(self._viewers)}"
        viewer = Watcher(
            self.shared, len(self._viewers), Open(at=0, who=who, keys=[self.shared.plan.key(number)], mode=mode)
        )
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

    def read(self, number: int, **options: Any) -> Get:
        """GET /get. options: of `get`, and headers."""
        return get(self.shared, self._reader, "observed.r", number, **options)

    def shows(self, viewer: Watcher, number: int, rev: int, seconds: float = 5.0) -> bool:
        return until(lambda: viewer.revs.get(self.shared.plan.key(number), 0) >= rev, seconds)

    @contextmanager
    def fault(self, name: str, drains: str = "") -> Iterator[None]:
        """Recorded, as who breaks something does it."""
        self._recorder(Fault(at=now(), who="faults", name=name, phase="begin", drains=drains))
        yield
        self._recorder(Fault(at=now(), who="faults", name=name, phase="end"))

    def verdict(self) -> Verdict:
        """Of all that happened so far; ends the viewers."""
        for number in self._numbers if self.shared.plan.read else ():
            self.read(number, final=True)
        gevent.killall(self._viewers)
        self._recorder(End(at=now(), who="observed"))
        self._recorder.flush()
        url = self.database.database_url
        return check(self._folder, stored.rows(url), stored.ticks(url))


def until(done: Callable[[], Any], seconds: float = 5.0) -> bool:
    """Whether `done` became true in time. Unlike tests.polling it lets greenlets run."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        gevent.sleep(POLL_SECONDS)
    return True
