"""Ten times the writes that can be committed."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median, quantiles

import pytest

from tests.calls import Caller
from tests.conftest import Server
from tests.databases import Database
from tests.polling import eventually
from tests.soak.sampling import sample

Serve = Callable[..., Server]
COMMITTED_PER_SECOND = 1000  # by the trigger below, so that a test can offer ten times as many
BATCH = 100
THREADS = 64
LIMIT = "1000000 per second"
SLOW = """
CREATE FUNCTION kvcast.slow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep((SELECT count(*) FROM changed) / {rate}.0); RETURN NULL; END $$;
CREATE TRIGGER slow_insert AFTER INSERT ON kvcast.kv REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION kvcast.slow();
CREATE TRIGGER slow_update AFTER UPDATE ON kvcast.kv REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION kvcast.slow();
"""


@pytest.fixture
def slow(database: Database) -> Iterator[Database]:
    """Commits COMMITTED_PER_SECOND rows, however fast the machine is."""
    database.as_owner(*(part for part in SLOW.format(rate=COMMITTED_PER_SECOND).split(";\n") if part.strip()))
    yield database
    database.as_owner("DROP FUNCTION kvcast.slow CASCADE")


class Flood:
    """Offers batches at a rate, whatever becomes of them."""

    def __init__(self, server: Server, seconds: float, writes_per_second: float, threads: int = THREADS) -> None:
        self.outcomes: Counter[str] = Counter()
        self.took: dict[str, list[float]] = {"accepted": [], "refused": []}
        self.unhelpful = 0  # refusals without Retry-After
        self.committed = 0
        self._server = server
        self._lock = threading.Lock()
        self._ends = time.monotonic() + seconds
        self._every = threads * BATCH / writes_per_second
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(self._client, range(threads)))

    def _client(self, number: int) -> None:
        with Caller(self._server.url, self._server.token, check=False) as call:
            due = time.monotonic() + self._every * (number % 16) / 16
            turn = 0
            while due < self._ends:
                threading.Event().wait(max(0.0, due - time.monotonic()))
                due = max(due + self._every, time.monotonic())
                turn += 1
                body = json.dumps([{"key": f"flood.{number}.{item}", "value": turn} for item in range(BATCH)])
                began = time.monotonic()
                reply = call("POST", "/batch", body)
                self._note(reply.status, reply.headers, reply.body, time.monotonic() - began)

    def _note(self, status: int, headers: dict[str, str], body: bytes, took: float) -> None:
        good = status == 200 and b'"success":true' in body
        with self._lock:
            code = "" if good else json.loads(body).get("error", {}).get("code", "elements failed")
            self.outcomes[f"{status} {code}".strip()] += 1
            self.took["accepted" if good else "refused"].append(took)
            self.committed += BATCH if good else 0
            self.unhelpful += not good and "retry-after" not in headers


def p99(values: list[float]) -> float:
    return quantiles(values, n=100)[-1] if len(values) > 1 else max(values, default=0.0)


@pytest.mark.parametrize("queue_max", [1000, 10_000])
def test_ten_times_the_writes(slow: Database, serve: Serve, full: bool, queue_max: int) -> None:
    server = serve(
        "local", KVCAST_BATCH_LIMIT=LIMIT, KVCAST_WRITE_LIMIT=LIMIT, KVCAST_READ_LIMIT=LIMIT,
        KVCAST_QUEUE_MAX_ITEMS=str(queue_max), **slow.environment(),
    )  # fmt: skip
    seconds = 20.0 if full else 5.0
    with Caller(server.url, server.token, check=False) as call:
        call.rev_of("read.meanwhile")
        before = sample(server)["memory MiB"]
        reads: list[float] = []
        over = threading.Event()

        def read() -> None:
            with Caller(server.url, check=False) as caller:
                while not over.wait(0.02):
                    began = time.monotonic()
                    assert caller.get("read.meanwhile").status == 200
                    reads.append(time.monotonic() - began)

        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(read)
            flood = Flood(server, seconds, 10 * COMMITTED_PER_SECOND)
            ended = time.monotonic()
            grown = sample(server)["memory MiB"] - before
            eventually(lambda: _quick(call))
            recovered = time.monotonic() - ended
            over.set()
            reading.result()
    late = sum(took > 1.0 for took in flood.took["refused"])
    print(
        f"\nqueue of {queue_max}: offered {10 * COMMITTED_PER_SECOND} writes/s, committed "
        f"{flood.committed / seconds:.0f}/s; "
        f"{dict(flood.outcomes)}; accepted p99 {p99(flood.took['accepted']):.2f} s, refused p99 "
        f"{p99(flood.took['refused']):.2f} s, p50 {1000 * median(flood.took['refused']):.0f} ms, {late} after more"
        f" than 1 s; reads p99 {1000 * p99(reads):.0f} ms; memory +{grown:.1f} MiB; "
        f"recovered in {recovered:.2f} s"
    )
    # elements fail with the first group, which is as large as a quick store would take
    known = {"200", "200 elements failed", "503 overloaded", "429 too_many_requests"}
    assert set(flood.outcomes) <= known, flood.outcomes
    assert flood.outcomes["503 overloaded"] > flood.outcomes["200"]
    assert not flood.unhelpful
    assert flood.committed > 0.4 * COMMITTED_PER_SECOND * seconds, "work is done for nobody"
    assert max(flood.took["accepted"]) < 6.0
    assert p99(reads) < 0.5
    # what waited before it was known how slow the store is; all, where each waits for its turn in vain
    assert late < len(flood.took["refused"]) / 2, "refused at once"
    assert grown < 40


def _quick(call: Caller) -> bool:
    began = time.monotonic()
    return call.add("flood.after", "1").status == 200 and time.monotonic() - began < 0.5
