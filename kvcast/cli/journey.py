"""The part of doctor that follows one value: write, read, push. Its temporary key is deleted whatever happens."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from queue import Empty, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING

from kvcast.cli.doctor import Finding
from kvcast.errors import KvcastError, NotFound

if TYPE_CHECKING:
    from kvcast.client import Client
    from kvcast.updates import Notice, Update
    from kvcast.watching import Watch

DEADLINE_SECONDS = 5.0
SLOW_MILLISECONDS = 1000.0
CATEGORY = "kvcast.doctor"


class _Listener:
    """Watches one key in a thread; `connected` is set after the snapshot, or when the watch failed."""

    def __init__(self, client: Client, key: str) -> None:
        self.connected = Event()
        self.error: KvcastError | None = None
        self.updates: Queue[Update] = Queue()
        self.watch: Watch = client.watch(key, on_notice=self._notice)
        self._thread = Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _notice(self, notice: Notice) -> None:
        if notice.kind == "connected":
            self.connected.set()

    def _listen(self) -> None:
        try:
            for update in self.watch:
                self.updates.put(update)
        except KvcastError as error:
            self.error = error
        self.connected.set()


def follow(client: Client, key: str, clocks: dict[str, float], *, may_write: bool) -> Iterator[Finding]:
    """clocks: gets how far ahead of this machine the server's clock is, in seconds."""
    listener = _Listener(client, key)
    try:
        listening = listener.connected.wait(DEADLINE_SECONDS) and listener.error is None
        if not listening:
            reason = listener.error.message if listener.error else f"No answer within {DEADLINE_SECONDS:g} s."
            yield Finding("fail", "websocket", f"{reason} Check that the way to /ws lets WebSockets through.")
        else:
            yield Finding("ok", "websocket", "It opens, says hello and takes a subscription.")
        if listener.watch.clock_ahead_seconds is not None:
            clocks["server"] = listener.watch.clock_ahead_seconds
        if may_write:
            yield from _value(client, key, listener if listening else None)
    finally:
        listener.watch.close()


def _value(client: Client, key: str, listener: _Listener | None) -> Iterator[Finding]:
    value = secrets.token_hex(8)
    try:
        began = time.monotonic()
        rev = client.set(key, value, category=CATEGORY, ttl=60).rev
        yield _timed("write", "A value was committed", began)
        if listener is not None:
            yield _pushed(listener, value, began)
        began = time.monotonic()
        entry = client.get(key, min_rev=rev)
        if entry.value == value:
            yield _timed("read", f"It was read back from {entry.source or 'the server'}", began)
        else:
            yield Finding("fail", "read", "Another value was read than was written; check that one Redis serves all.")
    except KvcastError as error:
        yield Finding("fail", "value", error.message)
    finally:
        yield _removed(client, key)


def _pushed(listener: _Listener, value: str, began: float) -> Finding:
    try:
        update = listener.updates.get(timeout=DEADLINE_SECONDS)
    except Empty:
        mend = "check that push reaches the same PostgreSQL and Redis as write."
        return Finding("fail", "push", f"The value did not arrive within {DEADLINE_SECONDS:g} s; {mend}")
    if update.value != value:
        return Finding("fail", "push", "Another value arrived than was written; check that one PostgreSQL serves all.")
    return _timed("push", "It arrived over the WebSocket, counted from before the write,", began)


def _removed(client: Client, key: str) -> Finding:
    try:
        client.delete(key)
    except NotFound:
        pass
    except KvcastError as error:
        return Finding("warn", "clean-up", f"{key} could not be deleted ({error.message}); it expires within 60 s.")
    return Finding("ok", "clean-up", f"{key} was deleted.")


def _timed(about: str, message: str, began: float) -> Finding:
    took = (time.monotonic() - began) * 1000
    if took > SLOW_MILLISECONDS:
        return Finding("warn", about, f"{message} after {took:.0f} ms; look at the load of the server and its stores.")
    return Finding("ok", about, f"{message} after {took:.1f} ms.")
