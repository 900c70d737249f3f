"""Sockets of a worker: their heartbeat, and their end when their token ends or the worker is told to stop.

gunicorn's gevent worker lets sockets run into the end of its graceful timeout, without a close frame. Here each is
closed with 1012 at a random moment of the drain, so that the clients do not come back all at once.
"""

from __future__ import annotations

import itertools
import random
import time

import gevent

from kvcast.config import Settings
from kvcast.draining import handing_over, on_hand_over
from kvcast.loops import start_loop
from kvcast.messages import CLOSE_RESTART

from functions.push.frames import control_frame
from functions.push.sessions import Session

LET_GO_SECONDS = 2.0
CHECK_TOKENS_SECONDS = 1.0  # so long a revoked token may still be served


class Drain:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sessions: dict[Session, None] = {}

    def start(self) -> None:
        if self._settings.cured("drain"):
            on_hand_over(self.begin, lambda: len(self._sessions))
        start_loop("heartbeat", self._beat_for_ever)
        start_loop("revocation", self._check_tokens_for_ever)

    def opened(self, session: Session) -> None:
        self._sessions[session] = None
        if handing_over():
            self._close_later(session, 0.0)

    def closed(self, session: Session) -> None:
        self._sessions.pop(session, None)

    def begin(self) -> None:
        """Close every socket within the drain's time."""
        for session in self._sessions:
            self._close_later(session, random.uniform(0, self._settings.drain_seconds))

    def close_all(self, reason: str) -> None:
        """Close every socket within LET_GO_SECONDS; clients come back and take a snapshot."""
        for session in self._sessions:
            self._close_later(session, random.uniform(0, LET_GO_SECONDS), reason)

    def _close_later(self, session: Session, seconds: float, reason: str = "this server restarts") -> None:
        gevent.spawn_later(seconds, session.close, CLOSE_RESTART, reason)

    def _check_tokens_for_ever(self) -> None:
        while True:
            gevent.sleep(CHECK_TOKENS_SECONDS)
            for session in list(self._sessions):
                session.check_token()

    def _beat_for_ever(self) -> None:
        for number in itertools.count(1):
            gevent.sleep(self._settings.heartbeat_seconds)
            frame = control_frame("hb", time=time.time())
            for session in list(self._sessions):
                session.beat(frame, ping=number % 3 == 0)
