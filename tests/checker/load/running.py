"""The load from its first write until everybody shows the last one, and its figures."""

from __future__ import annotations

import resource
import time
from collections import Counter
from typing import Any

import gevent
from gevent.event import Event
from gevent.pool import Pool

from tests.checker.availability import GAP_SECONDS, gaps_seconds, unavailable_seconds
from tests.checker.load.plan import READ_SECONDS, Plan, Shared
from tests.checker.load.readers import Reader, get
from tests.checker.load.watchers import Watcher, watchers
from tests.checker.load.writers import Writer
from tests.checker.recording import Recorder
from tests.checker.records import End, now

POLL_SECONDS = 0.1
READY_SECONDS = 30.0


def run(plan: Plan, recorder: Recorder, stop: Event) -> dict[str, Any]:
    """Load until `stop` or for the plan's seconds, settle, and say how it went."""
    shared = Shared(plan, recorder)
    writers = [Writer(shared, number) for number in range(plan.writers)]
    viewers = watchers(shared)
    watching = [gevent.spawn(viewer.run) for viewer in viewers]
    _wait(lambda: all(viewer.subscribed for viewer in viewers), READY_SECONDS, stop)
    subscribed = sum(viewer.subscribed for viewer in viewers)
    _make_keys(plan, writers)
    usage, begun = resource.getrusage(resource.RUSAGE_SELF), now()
    written = sum(writer.written for writer in writers)
    loading: list[gevent.Greenlet[..., None]] = [
        gevent.spawn(writer.run, plan.writes_per_second / plan.writers) for writer in writers
    ]
    readers = [Reader(shared, number) for number in range(plan.readers)]
    loading += [gevent.spawn(reader.run, plan.reads_per_second / plan.readers) for reader in readers]
    flushing = gevent.spawn(_flush, recorder)
    stop.wait(plan.seconds)
    shared.stopping.set()
    ended, usage_then = now(), resource.getrusage(resource.RUSAGE_SELF)
    written = sum(writer.written for writer in writers) - written
    figures = _figures(shared, written, begun, ended)
    gevent.joinall(loading)
    settled_seconds = _settle(shared, viewers)
    gevent.killall(watching)
    flushing.kill()
    shared.close()
    recorder(End(at=now(), who=plan.name, settled=settled_seconds is not None))
    cpu = usage_then.ru_utime + usage_then.ru_stime - usage.ru_utime - usage.ru_stime
    seconds = (ended - begun) / 1e9
    ends = sum((Counter(viewer.ends) for viewer in viewers), Counter())
    return figures | {
        "cores": round(cpu / seconds, 2), "viewers": subscribed, "settled_seconds": settled_seconds,
        "viewers_ended": dict(ends),
        "calls": dict(sorted(shared.calls.items())),
    }


def _make_keys(plan: Plan, writers: list[Writer]) -> None:
    pool = Pool(len(writers))
    for number in range(plan.keys):
        pool.spawn(writers[number % len(writers)].write_first, number)
        if number % len(writers) == len(writers) - 1:
            pool.join()  # a writer does one thing at a time
    pool.join()


def _wait(done: Any, seconds: float, stop: Event | None = None) -> bool:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline or (stop is not None and stop.is_set()):
            return False
        gevent.sleep(POLL_SECONDS)
    return True


def _flush(recorder: Recorder) -> None:
    while True:
        gevent.sleep(1)
        recorder.flush()


def _settle(shared: Shared, viewers: list[Watcher]) -> float | None:
    """Wait until every viewer shows what was acknowledged last, and read each key from each read function.

    Seconds that this took; None: not within the plan's seconds.
    """
    plan, begun = shared.plan, time.monotonic()
    late = list(viewers)
    deadline = begun + plan.settle_seconds
    while late and time.monotonic() < deadline:
        late = [viewer for viewer in viewers if viewer.behind()]
        gevent.sleep(POLL_SECONDS if late else 0)
    took = time.monotonic() - begun
    pool = Pool(8)
    for number in range(plan.keys):
        for url in plan.read:
            pool.spawn(_read_finally, shared, number, url, deadline)
    pool.join()
    # Whoever was about to leave by itself may have done so meanwhile: it comes back before it is judged.
    back = _wait(lambda: not any(viewer.behind() for viewer in viewers), max(1.0, deadline - time.monotonic()))
    return None if late or not back else round(took, 3)


def _read_finally(shared: Shared, number: int, url: str, deadline: float) -> None:
    call = shared.caller([url], 0, READ_SECONDS)
    while True:
        record = get(shared, call, f"{shared.plan.name}.final", number, final=True)
        if record.status in (200, 404) or time.monotonic() > deadline:
            break
        gevent.sleep(POLL_SECONDS)


def _figures(shared: Shared, written: int, begun: int, ended: int) -> dict[str, Any]:
    """unavailable: without a good answer to any client; of each such gap what exceeds GAP_SECONDS counts."""
    seconds = (ended - begun) / 1e9
    good = {kind: [at for at in ats if begun <= at <= ended] for kind, ats in shared.good.items()}
    return {
        "seconds": round(seconds, 1),
        "writes_per_second": round(written / seconds, 1),
        "write_calls_per_second": round(len(good["write"]) / seconds, 1),
        "reads_per_second": round(len(good["read"]) / seconds, 1),
        "unavailable_seconds": {kind: round(unavailable_seconds(ats, begun, ended), 3) for kind, ats in good.items()},
        "unavailable_beyond_seconds": GAP_SECONDS,
        "longest_gap_seconds": {kind: round(max(gaps_seconds(ats, begun, ended)), 3) for kind, ats in good.items()},
    }
