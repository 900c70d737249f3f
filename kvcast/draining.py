"""A process that was told to stop: who wants to know, what comes when, and when it is over.

gunicorn's gevent worker tells nobody that it was asked to end; functions/gunicorn_worker.py notices and calls
`begin`: readiness turns 503, and all else goes on. Some seconds later it calls `hand_over`: push closes its sockets.
A proxy that keeps sessions sends its clients back to an unready pod until it has seen that it is unready. `end` is
called right before the process ends.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

_begun = Event()
_hands_over = Event()
_callbacks: list[Callable[[], None]] = []
_counts: list[Callable[[], int]] = []
_last: list[Callable[[], None]] = []


def on_hand_over(callback: Callable[[], None], left: Callable[[], int]) -> None:
    """Call `callback` once, when clients shall go elsewhere. left: how many have not gone."""
    _callbacks.append(callback)
    _counts.append(left)


def clients_left() -> int:
    """Of those that were to go elsewhere."""
    return sum(count() for count in _counts)


def draining() -> bool:
    return _begun.is_set()


def begin() -> None:
    _begun.set()


def handing_over() -> bool:
    return _hands_over.is_set()


def hand_over() -> bool:
    """Whether anybody has clients to send elsewhere, which takes the seconds of the drain."""
    if not _hands_over.is_set():
        _hands_over.set()
        for callback in _callbacks:
            callback()
    return bool(_callbacks)


def at_the_end(callback: Callable[[], None]) -> None:
    """Call `callback` when nobody is served any more."""
    _last.append(callback)


def end() -> None:
    for callback in _last:
        callback()
