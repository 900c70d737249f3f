"""A TCP proxy that hurts what passes: toxiproxy's faults, in one thread and without a program beside Python.

While a link is well, bytes pass from socket to socket as they come. TCP loses none, and neither does a toxic that
holds them back: what was under way arrives when the toxic is gone.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self, TypeVar

T = TypeVar("T")
Upstream = tuple[str, int] | str  # an address, or the path of a Unix socket
HELD_MOST_BYTES = 1 << 18


@dataclass(frozen=True)
class Delay:
    """Each piece arrives so much later."""

    seconds: float


@dataclass(frozen=True)
class Hole:
    """Nothing arrives and nobody is told, as when a cable is drawn or a packet filter drops."""


@dataclass(frozen=True)
class Trickle:
    """A byte a second, in each direction."""


@dataclass(frozen=True)
class Cut:
    """Of so many pieces one arrives in part, and is the last one of its connection."""

    one_of: int


@dataclass(frozen=True)
class Reset:
    """Connections end with a RST, new ones too."""


Toxic = Delay | Hole | Trickle | Cut | Reset


class Link:
    """From a port of ours to `upstream`. Its methods belong to the proxy's thread."""

    def __init__(self, upstream: Upstream, seed: str) -> None:
        self.upstream = upstream
        self.toxic: Toxic | None = None
        self.changed = asyncio.Event()
        self.random = random.Random(seed)
        self.ends: set[End] = set()
        self.server: asyncio.Server | None = None
        self.port = 0
        self.cuts = 0

    async def listen(self) -> Link:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: End(self), "127.0.0.1", 0, backlog=1024)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def become(self, toxic: Toxic | None) -> None:
        self.toxic = toxic
        if isinstance(toxic, Reset):
            for end in list(self.ends):
                end.reset()
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    async def pause(self, seconds: float | None = None) -> None:
        """Until the toxic changes, or `seconds` are over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.changed.wait(), seconds)


class End(asyncio.Protocol):
    """One side of a connection. What it is sent it hands to the other side, its peer."""

    def __init__(self, link: Link, peer: End | None = None) -> None:
        self._link = link
        self._peer = peer
        self._transport: asyncio.Transport | None = None
        self._held: deque[tuple[float, bytes]] = deque()  # when it came; b"": this side has closed
        self._held_bytes = 0
        self._passing: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._link.ends.add(self)
        if isinstance(self._link.toxic, Reset):
            self.reset()
        elif self._peer is None:
            transport.pause_reading()
            self._passing = asyncio.ensure_future(self._connect(transport))

    async def _connect(self, transport: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        upstream = self._link.upstream
        try:
            if isinstance(upstream, str):
                _, self._peer = await loop.create_unix_connection(lambda: End(self._link, self), upstream)
            else:
                _, self._peer = await loop.create_connection(lambda: End(self._link, self), *upstream)
        except OSError:
            self.reset()
            return
        finally:
            self._passing = None
        if not transport.is_closing():
            transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._link.toxic is None and not self._held:
            self._forward(data)
        else:
            self._hold(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._link.ends.discard(self)
        self._hold(b"")

    def pause_writing(self) -> None:
        if self._peer is not None and self._peer._transport is not None:
            self._peer._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._peer is not None and self._peer._transport is not None and not self._peer._full():
            self._peer._transport.resume_reading()

    def reset(self) -> None:
        if self._transport is None:
            return
        connection = self._transport.get_extra_info("socket")
        if connection is not None and connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _forward(self, data: bytes) -> None:
        to = self._peer._transport if self._peer is not None else None
        if to is None or to.is_closing():
            return
        if data:
            to.write(data)
        else:
            to.close()

    def _full(self) -> bool:
        return self._held_bytes > HELD_MOST_BYTES

    def _hold(self, data: bytes) -> None:
        self._held.append((asyncio.get_running_loop().time(), data))
        self._held_bytes += len(data)
        if self._full() and self._transport is not None:
            self._transport.pause_reading()
        if self._passing is None:
            self._passing = asyncio.ensure_future(self._pass_on())

    async def _pass_on(self) -> None:
        """Hand over what is held, as the toxic of that moment allows, and in order."""
        now = asyncio.get_running_loop().time
        while self._held:
            came, data = self._held[0]
            toxic = self._link.toxic
            if isinstance(toxic, Hole | Reset):
                await self._link.pause()
            elif isinstance(toxic, Delay) and now() < came + toxic.seconds:
                await self._link.pause(came + toxic.seconds - now())
            elif isinstance(toxic, Trickle) and data:
                self._take(1)
                await self._link.pause(1)
            elif isinstance(toxic, Cut) and data and self._link.random.randrange(toxic.one_of) == 0:
                self._cut(len(data))
            else:
                self._take(len(data))
        self._passing = None

    def _take(self, size: int) -> None:
        came, data = self._held.popleft()
        self._forward(data[:size])
        if data[size:]:
            self._held.appendleft((came, data[size:]))
        self._held_bytes -= size
        if self._transport is not None and not self._held and not self._transport.is_closing():
            self._transport.resume_reading()

    def _cut(self, size: int) -> None:
        """Some of it, but not all; then both sides see the other one close."""
        self._link.cuts += 1
        self._take(self._link.random.randrange(size))
        self._held.clear()
        self._forward(b"")
        if self._transport is not None:
            self._transport.close()


class Proxy:
    """Links that a thread of ours serves, in `with`. Every random choice comes of `seed`."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._links: dict[str, Link] = {}

    def open(self, name: str, upstream: Upstream) -> int:
        """The port of a new link to `upstream`."""
        self._links[name] = link = Link(upstream, f"{self._seed} {name}")
        return self._do(link.listen()).port

    def port(self, name: str) -> int:
        return self._links[name].port

    def hurt(self, toxic: Toxic | None, *names: str) -> None:
        """From now on the named links have `toxic`; None makes them well."""
        for name in names:
            self._do(self._links[name].become(toxic))

    def cuts(self, *names: str) -> int:
        return sum(self._links[name].cuts for name in names)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        for link in self._links.values():
            if link.server is not None:
                link.server.close()
            for end in list(link.ends):
                end.reset()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
