"""Connections between two requests: how long they have been idle, and their end."""

from __future__ import annotations

import socket
from contextlib import suppress
from types import TracebackType
from typing import Any

import gevent

_LOOK_SECONDS = 0.5


class Waiting:
    """`client`, a connection, in `among` whenever it waits; after `seconds` of one wait it is ended without a word.

    A timer for each wait would cost more than reading a plain request does, so `end_idle` looks at all of them.
    """

    __slots__ = ("_among", "_client", "_loop", "_since", "seconds")

    def __init__(self, client: Any, seconds: float, among: set[Waiting]) -> None:
        self._client = client
        self._among = among
        self.seconds = seconds
        self._loop = gevent.get_hub().loop
        self._since = 0.0

    def __enter__(self) -> Waiting:
        self._since = self._loop.now()
        self._among.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._among.discard(self)

    def idle_seconds(self) -> float:
        return float(self._loop.now() - self._since)

    def is_late(self) -> bool:
        return self.idle_seconds() >= self.seconds

    def end(self) -> None:
        """What has arrived is read before the end is."""
        with suppress(OSError):  # the client has gone
            # gevent's own shutdown throws an error into whoever waits, though there may be something to read
            self._client._sock.shutdown(socket.SHUT_RD)


def end_idle(among: set[Waiting]) -> None:
    """For ever."""
    while True:
        gevent.sleep(_LOOK_SECONDS)
        for waiting in [one for one in among if one.is_late()]:
            waiting.end()
