"""Subscribing while changes fly: many viewers come, go and resume; none goes back, none misses what it was promised."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import pytest

from kvcast.client import Client
from tests.conftest import Server
from tests.databases import Database
from tests.functions.push.raw import WebSocket
from tests.polling import HANG_SECONDS, eventually

SECONDS = 5.0


class Writer:
    """Writes to every key in turn as fast as it can; `committed` holds the revs of each key, in order."""

    def __init__(self, server: Server, keys: list[str]) -> None:
        self.keys = keys
        self.committed: dict[str, list[int]] = {key: [] for key in keys}
        self._client = Client(server.url, server.token)
        self._ended = Event()
        self._threads = [Thread(target=self._run, args=(keys[number::2],)) for number in range(2)]

    def _run(self, keys: list[str]) -> None:
        number = 0
        while not self._ended.is_set():
            items = [(key, number + step) for step in range(3) for key in keys]
            for item, result in zip(items, self._client.batch(items), strict=True):
                assert result.rev is not None
                self.committed[item[0]].append(result.rev)
            number += 3

    def __enter__(self) -> Writer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(HANG_SECONDS)
        self._client.close()


class Restless(Thread):
    """A viewer that subscribes, unsubscribes and reconnects; its findings are in `complaints`."""

    def __init__(self, server: Server, writer: Writer, number: int, target: dict[str, list[str]], mode: str) -> None:
        super().__init__()
        self._server = server
        self._writer = writer
        self._random = random.Random(number)
        self._target = target
        self.mode = mode
        self.seen: dict[str, int] = {}
        self.runs: list[dict[str, list[int]]] = []  # mode every: the revs of each key, from one snapshot to the next
        self.complaints: list[str] = []
        self.writing = True
        self.resumes = 0

    def run(self) -> None:
        try:
            while self.writing:
                with WebSocket(self._server.url) as socket:
                    self._subscribe(socket)
                    self._read(socket, self._random.uniform(0.05, 0.5))
                    if self._random.random() < 0.3:
                        socket.send({"op": "unsub"} | self._target, {"op": "ping"})
                        for one in socket.until("hb"):  # what was on its way when it unsubscribed
                            self._take(one)
                        self._subscribe(socket)
                        self._read(socket, self._random.uniform(0.05, 0.3))
            with WebSocket(self._server.url) as socket:
                self._subscribe(socket)
                self._converge(socket)
        except Exception as error:
            self.complaints.append(repr(error))

    def _subscribe(self, socket: WebSocket) -> None:
        self.resumes += 1
        since = {"since": self.seen, "epoch": socket.hello["epoch"]}
        socket.send({"op": "sub", "mode": self.mode} | self._target | since)

    def _read(self, socket: WebSocket, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            try:
                self._take(socket.next(left))
            except TimeoutError:
                return

    def _take(self, one: dict[str, Any]) -> None:
        if one["op"] == "error":
            self.complaints.append(repr(one))
        if one["op"] == "subbed" and not one["recovered"]:
            self.complaints.append(f"not recovered: {one}")
        if one["op"] not in ("snap", "upd"):
            return
        key, rev = one["key"], one["rev"]
        held = self.seen.get(key, 0)
        if rev <= held and not (self.mode == "latest" and rev == held):
            self.complaints.append(f"in mode {self.mode} {key} went from {held} to {rev}")
        self.seen[key] = rev
        if self.mode == "every":
            if one["op"] == "snap":
                self.runs.append({})
            run = next((run for run in reversed(self.runs) if key in run), None)
            if run is None or one["op"] == "snap":
                run = {key: []}
                self.runs.append(run)
            run[key].append(rev)

    def _converge(self, socket: WebSocket) -> None:
        wanted = {key: revs[-1] for key, revs in self._writer.committed.items()}
        ends = time.monotonic() + HANG_SECONDS
        while self.seen != wanted:
            if time.monotonic() > ends:
                self.complaints.append(f"has {self.seen}, not {wanted}")
                return
            try:
                self._take(socket.next(0.5))
            except TimeoutError:
                continue


@pytest.mark.parametrize("window", ["1000", "0"])
def test_nobody_goes_back_and_every_tick_comes_once(
    window: str, serve: Callable[..., Server], database: Database
) -> None:
    server = serve("local", **database.environment(), KVCAST_HISTORY_WINDOW=window)
    keys = [f"p.{name}" for name in ("a", "b", "c", "d", "e")]
    targets = [{"keys": keys}, {"prefixes": ["p."]}, {"prefixes": [""]}, {"categories": ["default"]}]
    writer = Writer(server, keys)
    modes = ("latest", "every", "every")
    viewers = [Restless(server, writer, number, targets[number % 4], modes[number % 3]) for number in range(20)]
    with writer:
        for viewer in viewers:
            viewer.start()
        Event().wait(SECONDS if window != "0" else SECONDS / 2)
        eventually(lambda: sum(viewer.resumes for viewer in viewers) > 60)
    for viewer in viewers:
        viewer.writing = False
    for viewer in viewers:
        viewer.join(2 * HANG_SECONDS)
    assert not [complaint for viewer in viewers for complaint in viewer.complaints]
    for viewer in viewers:
        if viewer.mode == "every":
            for run in viewer.runs:
                for key, revs in run.items():
                    start = writer.committed[key].index(revs[0])
                    assert revs == writer.committed[key][start : start + len(revs)], "each tick once and in order"
