"""A process that was told to stop: who wants to know, when it began, and when it is over.

gunicorn's gevent worker tells nobody that it was asked to end; functions/gunicorn_conf.py notices and
calls `begin`. Readiness turns 503 and push closes its sockets. `end` is called right before the process ends.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

_begun = Event()
_callbacks: list[Callable[[], None]] = []
_last: list[Callable[[], None]] = []


def on_drain(callback: Callable[[], None]) -> None:
    """Call `callback` once, when draining begins."""
    _callbacks.append(callback)


def draining() -> bool:
    return _begun.is_set()


def begin() -> None:
    """Start draining; later calls do nothing."""
    if not _begun.is_set():
        _begun.set()
        for callback in _callbacks:
            callback()


def at_the_end(callback: Callable[[], None]) -> None:
    """Call `callback` when nobody is served any more."""
    _last.append(callback)


def end() -> None:
    for callback in _last:
        callback()
