"""The core of `kvcast feed`: when a tick is due, which ticks go together, and repeating a batch until it is answered.

No sockets and no files: what sends, the clock and the wait are given.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty, Queue

from kvcast.answers import BatchResult
from kvcast.errors import KvcastError
from kvcast.retries import full_jitter_seconds
from kvcast.ticks import Tick

BATCH_MAX_ITEMS = 500
BATCH_MAX_BYTES = 900_000
RATE_CATCH_UP_SECONDS = 1.0
FIRST_WAIT_SECONDS = 0.1
MOST_WAIT_SECONDS = 10.0

DEMO_PRICES = {
    "demo.gold": 2345.60, "demo.silver": 29.41, "demo.bitcoin": 67_250.00, "demo.ether": 3_120.50, "demo.oil": 78.35,
}

Clock = Callable[[], float]
Wait = Callable[[float], None]
Post = Callable[[Sequence[bytes], str], list[BatchResult]]


class Pace:
    """When a tick is due. rate: ticks/s; speed: times the ticks' own pace; neither: at once."""

    def __init__(self, *, rate: float | None = None, speed: float | None = None) -> None:
        self._rate = rate
        self._speed = speed
        self._next: float | None = None
        self._anchor = (0.0, 0.0)
        self._last_time: float | None = None

    @property
    def uses_times(self) -> bool:
        return not self._rate and self._speed is not None

    def due(self, tick: Tick, now: float) -> float:
        """On the clock of `now`; to be asked once for each tick, in order."""
        if self._rate:
            # A burst that makes up for an outage would be no pace; a short stall is made up for.
            due = now if self._next is None else max(self._next, now - RATE_CATCH_UP_SECONDS)
            self._next = due + 1 / self._rate
            return due
        if self._speed and tick.time is not None:
            if self._last_time is None or tick.time < self._last_time:  # a table sorted by key begins anew
                self._anchor = (tick.time, now)
            self._last_time = tick.time
            return self._anchor[1] + (tick.time - self._anchor[0]) / self._speed
        return now


@dataclass
class Counts:
    """What a feed has done so far. due: ticks whose time has come; due_at: of the next, on the monotonic clock."""

    started: float = field(default_factory=time.monotonic)
    due: int = 0
    skipped: int = 0
    acknowledged: int = 0
    refused: int = 0
    batches: int = 0
    retries: int = 0
    away: str | None = None
    due_at: float = 0.0


Source = Queue[Tick | KvcastError | None]


def gather(
    source: Source,
    pace: Pace,
    counts: Counts,
    *,
    clock: Clock = time.monotonic,
    wait: Wait = time.sleep,
) -> Iterator[list[Tick]]:
    """Batches of what is there and due, never waiting to fill one; ends at None, raises a KvcastError it meets."""
    held: Tick | None = None
    following: Tick | KvcastError | None
    while True:
        following = held or source.get()
        if following is None:
            return
        if isinstance(following, KvcastError):
            raise following
        if held is None:
            counts.due_at = pace.due(following, clock())
        wait(max(0.0, counts.due_at - clock()))
        batch, held = [following], None
        size = len(following.value)
        while len(batch) < BATCH_MAX_ITEMS:
            try:
                following = source.get_nowait()
            except Empty:
                break
            if not isinstance(following, Tick):
                yield batch
                if following is None:
                    return
                raise following
            counts.due_at = pace.due(following, clock())
            size += len(following.body()) + 1
            if counts.due_at > clock() or size > BATCH_MAX_BYTES:
                held = following
                break
            batch.append(following)
        yield batch


class GaveUp(KvcastError):
    """The server was away for longer than it was waited for."""

    code = "gave_up"


def send(
    batch: Sequence[Tick],
    post: Post,
    counts: Counts,
    *,
    give_up_after_seconds: float | None = None,
    clock: Clock = time.monotonic,
    wait: Wait = time.sleep,
) -> list[tuple[Tick, KvcastError]]:
    """Post one batch until it is answered, always with the same Idempotency-Key; returns the refused ticks.

    Raises GaveUp, or the error of a batch that can never pass.
    """
    bodies = [tick.body() for tick in batch]
    idempotency_key = uuid.uuid4().hex
    began = clock()
    attempt = 0
    while True:
        try:
            results = post(bodies, idempotency_key)
            break
        except KvcastError as error:
            if error.permanent:
                raise
            attempt += 1
            jitter = full_jitter_seconds(attempt, FIRST_WAIT_SECONDS, MOST_WAIT_SECONDS)
            pause = jitter + (error.retry_after_seconds or 0)
            if give_up_after_seconds is not None and clock() + pause > began + give_up_after_seconds:
                raise GaveUp(f"{error.message} Given up after {clock() - began:.0f} s.") from None
            counts.retries += 1
            counts.away = error.message
            wait(pause)
    counts.away = None
    counts.batches += 1
    if len(results) != len(batch):
        raise KvcastError(f"{len(batch)} ticks were sent and {len(results)} answered; is the URL a kvcast server's?")
    refused = [(tick, result.error) for tick, result in zip(batch, results, strict=True) if result.error is not None]
    counts.refused += len(refused)
    counts.acknowledged += len(batch) - len(refused)
    return refused


def demo_ticks(seed: int | None = None) -> Iterator[Tick]:
    """A random walk without end, for those who have no data; its keys and its category say `demo`."""
    chance = random.Random(seed)
    prices = dict(DEMO_PRICES)
    while True:
        key = chance.choice(list(prices))
        prices[key] = max(0.01, prices[key] * (1 + chance.gauss(0, 0.0008)))
        yield Tick(key, b"%.2f" % prices[key], "demo")
