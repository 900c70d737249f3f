"""Rate limits: who is counted, what counts, what a refusal says, and that no proxy header or dead Redis lifts them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kvcast.embedded import Stores
from kvcast.tokens import Token, digest_of
from tests.calls import Caller, Reply, assert_error
from tests.conftest import Server
from tests.polling import eventually

Names = Callable[..., str]
WRITES, BATCHES, READS = 7, 5, 9
LIMITS = {
    "KVCAST_WRITE_LIMIT": f"{WRITES} per hour", "KVCAST_BATCH_LIMIT": f"{BATCHES} per hour",
    "KVCAST_READ_LIMIT": f"{READS} per hour",
}
CLIENTS = ("ann", "bob", "cid", "dan", "eve")
TOKENS = "\n".join(Token(name, (("write", ""),), digest_of(f"token of {name}")).entry() for name in CLIENTS)


@pytest.fixture(scope="module")
def behind_proxy(stores: Stores) -> Iterator[Server]:
    """One proxy in front, and no Redis: each test is a client of its own, by its token or its address."""
    environment = {"KVCAST_TRUSTED_HOPS": "1", "REDIS_URL": "unix:///nonexistent/redis", "KVCAST_TOKENS": TOKENS}
    server = Server(stores, "local", {**LIMITS, **environment})
    server.start()
    yield server
    server.close()


def as_client(server: Server, name: str | None) -> Caller:
    return Caller(server.url, f"token of {name}" if name else None)


def remaining(reply: Reply) -> int:
    return int(reply.headers["ratelimit-remaining"])


def assert_limited(call: Callable[[], Reply], most: int) -> None:
    """`call` is answered `most` times, counting down, and refused from then on."""
    for left in reversed(range(most)):
        reply = call()
        assert reply.status != 429
        assert (reply.headers["ratelimit-limit"], remaining(reply)) == (str(most), left)
        assert 0 < int(reply.headers["ratelimit-reset"]) <= 3600
    for _ in range(3):
        refused = call()
        assert f"{most} per" in assert_error(refused, 429, "too_many_requests")
        assert 3000 < int(refused.headers["retry-after"]) <= 3600
        assert (refused.headers["ratelimit-limit"], remaining(refused)) == (str(most), 0)


def test_writes_are_limited_together_without_redis(behind_proxy: Server, unique_key: Names) -> None:
    call = as_client(behind_proxy, "ann")
    calls: Iterator[Callable[[], Reply]] = iter([
        lambda: call.add(unique_key(), "1"), lambda: call("DELETE", f"/keys/{unique_key()}"),
        lambda: call("POST", "/add", "no json"), lambda: call.add(unique_key(), "2", if_none_match="*"),
        *[lambda: call.add(unique_key(), "1")] * (WRITES - 4),
        *[lambda: call("DELETE", f"/keys/{unique_key()}"), lambda: call.add(unique_key(), "1")] * 2,
    ])
    assert_limited(lambda: next(calls)(), WRITES)
    assert call("POST", "/batch", "[]").status == 200  # a limit of its own
    assert as_client(behind_proxy, "bob").add(unique_key(), "1").status == 200  # and nobody else's


def test_batches_are_limited(behind_proxy: Server) -> None:
    call = as_client(behind_proxy, "bob")
    assert_limited(lambda: call("POST", "/batch", "[]"), BATCHES)


def test_reads_are_limited_together_and_each_counts_once(behind_proxy: Server, unique_key: Names) -> None:
    call = as_client(behind_proxy, "cid")
    paths = iter(["/get/a", "/keys?limit=1", "/mget?key=a", "/history/a", "/stats", "/openapi.json", "/", "/admin",
                  "/viewer/a", "/get/a", "/keys", "/admin"])
    assert_limited(lambda: call("GET", next(paths)), READS)


def test_health_and_metrics_are_never_limited(behind_proxy: Server) -> None:
    call = as_client(behind_proxy, "dan")
    for _ in range(READS + 3):
        for path in ("/healthz/live", "/healthz/ready", "/metrics"):
            reply = call("GET", path, x_forwarded_for="198.51.100.9")
            assert reply.status == 200
            assert not any(name.startswith("ratelimit") for name in reply.headers)


def test_a_bad_token_buys_no_fresh_allowance(behind_proxy: Server, unique_key: Names) -> None:
    numbers = iter(range(100))
    call = Caller(behind_proxy.url)

    def guess() -> Reply:
        return call.add(
            unique_key(), "1", authorization=f"Bearer guess-{next(numbers)}", x_forwarded_for="198.51.100.1"
        )

    assert_limited(guess, WRITES)
    refused = call.add(unique_key(), "1", x_forwarded_for="198.51.100.1")
    assert_error(refused, 429, "too_many_requests")
    # a good token from the same address is another client
    assert as_client(behind_proxy, "eve").add(unique_key(), "1", x_forwarded_for="198.51.100.1").status == 200


def test_behind_one_proxy_its_word_counts_and_a_clients_does_not(behind_proxy: Server) -> None:
    call = Caller(behind_proxy.url)
    numbers = iter(range(100))

    def forged() -> Reply:
        return call("GET", "/get/a", x_forwarded_for=f"10.0.0.{next(numbers)}, 198.51.100.2")

    assert_limited(forged, READS)
    assert call("GET", "/get/a", x_forwarded_for="198.51.100.3").status == 404


def test_without_a_proxy_the_header_counts_for_nothing(serve: Callable[..., Server], unique_key: Names) -> None:
    server = serve("local", **LIMITS)
    call = Caller(server.url)
    numbers = iter(range(100))
    assert_limited(lambda: call("GET", "/get/a", x_forwarded_for=f"10.0.0.{next(numbers)}"), READS)
    assert_limited(lambda: call.add(unique_key(), "1", x_forwarded_for=f"10.0.0.{next(numbers)}"), WRITES)


def test_write_processes_share_one_limit(serve: Callable[..., Server], unique_key: Names) -> None:
    """What arrives in the tenth of a second between two exchanges may be let through, and no more."""
    limits = {"KVCAST_WRITE_LIMIT": "300 per hour", "KVCAST_READ_LIMIT": "300 per hour"}
    first, second = serve("write", **limits), serve("write", **limits)
    with Caller(first.url, check=False) as one, Caller(second.url, check=False) as other:
        for _ in range(300):
            assert one.add(unique_key(), "1").status == 401
        assert one.add(unique_key(), "1").status == 429
        # at most 150 calls of its own 300: it refuses because of what the first one counted
        eventually(lambda: other.add(unique_key(), "1").status == 429, within=15, every=0.1)
        assert one.add(unique_key(), "1").status == 429


def test_workers_of_one_process_group_share_one_limit(serve: Callable[..., Server], unique_key: Names) -> None:
    server = serve("write", KVCAST_WORKERS="2", KVCAST_WRITE_LIMIT="400 per hour")
    call = Caller(server.url, check=False)  # a connection for each call, so that both workers get some

    def refused() -> bool:
        return call.add(unique_key(), "1").status == 429

    assert not any(refused() for _ in range(400))
    # at most 150 more are let through, and not the 400 that a second allowance would be
    eventually(lambda: all(refused() for _ in range(50)), within=15, every=0.1)
