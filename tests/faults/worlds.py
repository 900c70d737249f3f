"""The whole of kvcast on a database of its own, with the cures that a test leaves it; and viewers of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self

import msgspec
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from kvcast.embedded import Stores
from kvcast.messages import Change, Write
from tests.calls import Caller, Reply
from tests.conftest import Server
from tests.databases import Database
from tests.faults.checker import Received
from tests.polling import eventually


class Screen:
    """Connects once and records every frame that it is sent, as it is sent: no filter of a client's own."""

    def __init__(self, url: str, *keys: str, **options: Any) -> None:
        self.received: list[Received] = []
        self.epoch = ""
        self._ready = threading.Event()
        self._open = ExitStack()
        self._socket = self._open.enter_context(
            connect("ws" + url.removeprefix("http") + "/ws", compression=None, open_timeout=10)
        )
        self._socket.send(json.dumps({"op": "sub", "keys": keys, **options}))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        assert self._ready.wait(10), "no subbed"

    def _listen(self) -> None:
        try:
            for message in self._socket:
                frames = json.loads(message)
                for frame in frames if isinstance(frames, list) else [frames]:
                    self._note(frame)
        except ConnectionClosed:
            pass

    def _note(self, frame: dict[str, Any]) -> None:
        op = frame["op"]
        if op in ("snap", "upd", "del"):
            value = None if op == "del" else json.dumps(frame["value"]).encode()
            self.received.append(Received(op, frame["key"], frame["rev"], value))
        elif op == "subbed":
            self.received.append(Received(op, told=not frame["recovered"]))
            self._ready.set()
        elif op == "hello":
            self.epoch = frame["epoch"]

    def rev(self, key: str) -> int:
        return next((seen.rev for seen in reversed(self.received) if seen.key == key), 0)

    def of(self, key: str) -> list[Received]:
        return [seen for seen in self.received if seen.key in (key, "")]

    def close(self) -> list[Received]:
        self._open.close()
        self._thread.join(10)
        return self.received

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class World:
    """disabled: cures that this kvcast does without. patient: with a Redis that is slow to answer; else as served."""

    def __init__(self, stores: Stores, disabled: str, stack: ExitStack, *, patient: bool) -> None:
        self.stores = stores
        self._redis = {} if patient else {"REDIS_URL": stores.redis_url}
        self.database = stack.enter_context(Database(stores))
        self._stack = stack
        self.server = self.serve("local", disabled)
        self._call = Caller(self.server.url, self.server.token, check=False)

    def serve(self, name: str, disabled: str = "") -> Server:
        """A further process of this world."""
        environment = {**self.database.environment(), **self._redis, "KVCAST_TEST_DISABLE": disabled}
        server = Server(self.stores, name, environment)
        self._stack.callback(server.close)
        self._stack.callback(server.kill)  # first: nobody waits for its drain
        server.start()
        return server

    def watch(self, *keys: str, **options: Any) -> Screen:
        return Screen(self.server.url, *keys, **options)

    def write(self, key: str, value: Any) -> int:
        """POST /add, which must be acknowledged; the rev."""
        reply = self._call("POST", "/add", msgspec.json.encode({"key": key, "value": value}))
        assert reply.status == 200, reply.body
        return int(reply.json()["rev"])

    def commit(self, key: str, value: Any) -> Change:
        """What another process leaves that dies between its commit and its publish."""
        return self.database.commit(Write(key, json.dumps(value)))[0]

    def get(self, key: str, min_rev: int | None = None) -> Reply:
        return self._call("GET", f"/get/{key}" + (f"?min_rev={min_rev}" if min_rev is not None else ""))

    def read_rev(self, key: str) -> int:
        return int(self.get(key).json()["rev"])

    def metric(self, name: str) -> float:
        lines = self._call("GET", "/metrics").body.decode().splitlines()
        return sum(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def warm(self, key: str) -> None:
        """Make the read worker hold `key` in memory."""
        eventually(lambda: self.get(key).headers["x-cache"] == "l1")

    def cached_rev(self, key: str) -> int:
        held = self.database.cache().get([key])[0]
        return held.rev if held is not None else 0

    def where(self, screen: Screen, key: str) -> dict[str, int]:
        """The rev that each place shows."""
        return {"viewer": screen.rev(key), "read": self.read_rev(key), "redis": self.cached_rev(key)}

    def converged(self, screen: Screen, key: str, rev: int) -> bool:
        places = self.where(screen, key)
        assert set(places.values()) == {rev}, places
        return True


class Worlds:
    """Worlds by their stores and disabled cures, each started once. mortal: stores that are stalled and killed."""

    def __init__(self, stack: ExitStack, mortal: Stores) -> None:
        self._stack = stack
        self._mortal = mortal
        self._made: dict[tuple[int, str], World] = {}

    def __call__(self, stores: Stores, disabled: str = "") -> World:
        name = (id(stores), disabled)
        if name not in self._made:
            self._made[name] = World(stores, disabled, self._stack, patient=stores is not self._mortal)
        return self._made[name]


@contextmanager
def in_threads(calls: Sequence[Callable[[], None]]) -> Iterator[None]:
    """Run `calls` beside the block; leaves when all have returned, and raises the first error of theirs."""
    errors: list[BaseException] = []

    def guarded(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]
