"""The Python client against the real server, also over a network that breaks."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from queue import Empty, Queue
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvcast.client import Client, Item, Notice
from kvcast.errors import (
    Conflict,
    InvalidKey,
    InvalidRequest,
    InvalidValue,
    KeyNotFound,
    KvcastError,
    PreconditionFailed,
    Unauthorized,
)
from kvcast.seen import Seen, Wanted
from kvcast.transport import Unreachable, error_of
from kvcast.updates import Update, decode_frame
from kvcast.watching import Watch
from tests.network import Network
from tests.polling import eventually

DEADLINE_SECONDS = 30.0


@pytest.fixture
def client(app: Any) -> Iterator[Client]:
    with Client(app.url, app.token) as client:
        yield client


@pytest.fixture
def name(unique_key: Callable[..., str]) -> str:
    return unique_key()


@pytest.fixture
def network(app: Any) -> Iterator[Network]:
    with Network(app.url) as network:
        yield network


class Listener:
    """Iterates a watch in a thread, so that a test can wait with a deadline."""

    def __init__(self, client: Client, *keys: str, **options: Any) -> None:
        self.notices: Queue[Notice] = Queue()
        self.updates: Queue[Update] = Queue()
        self.error: KvcastError | None = None
        self.watch: Watch = client.watch(*keys, on_notice=self.notices.put, **options)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for update in self.watch:
                self.updates.put(update)
        except KvcastError as error:
            self.error = error

    def next(self) -> Update:
        return self.updates.get(timeout=DEADLINE_SECONDS)

    def until(self, kind: str) -> Notice:
        while True:
            notice = self.notices.get(timeout=DEADLINE_SECONDS)
            if notice.kind == kind:
                return notice

    def end(self) -> None:
        self.watch.close()
        self._thread.join(DEADLINE_SECONDS)
        assert not self._thread.is_alive()


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    listeners: list[Listener] = []

    def start(client: Client, *keys: str, **options: Any) -> Listener:
        listeners.append(Listener(client, *keys, **options))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.end()


def test_a_value_comes_back_exactly_as_it_was_written(client: Client, name: str) -> None:
    written = client.set(name, msgspec.Raw(b"2345.60"), category="metal")
    entry = client.get(name, min_rev=written.rev)
    assert (entry.key, entry.value, entry.raw) == (name, 2345.6, b"2345.60")
    assert (entry.category, entry.rev, entry.updated_at) == ("metal", written.rev, written.updated_at)


@pytest.mark.parametrize("value", [None, True, 0, -1.5, "vàng", [1, {"a": [None]}], {}, 2**70, "null"])
def test_python_values_survive_the_way(client: Client, name: str, value: Any) -> None:
    client.set(name, value)
    assert client.get(name).value == value


def test_numbers_that_no_float_holds_do_not_break_reading(client: Client, name: str) -> None:
    client.set(name, msgspec.Raw(b"1e400"))
    entry = client.get(name)
    assert (entry.value, entry.raw) == (float("inf"), b"1e400")


@pytest.mark.parametrize("value", [float("nan"), [1.0, float("inf")], {"a": float("-inf")}, object(), "\ud800"])
def test_what_json_does_not_have_is_refused_before_it_is_sent(client: Client, name: str, value: Any) -> None:
    with pytest.raises(InvalidValue):
        client.set(name, value)
    with pytest.raises(KeyNotFound):
        client.get(name)


def test_keys_outside_ascii_are_one_key_in_either_form(client: Client, name: str) -> None:
    client.set(f"{name}-va\u0300ng", 1)
    assert client.get(f"{name}-v\u00e0ng").value == 1


def test_errors_are_the_classes_of_kvcast_errors(client: Client, app: Any, name: str) -> None:
    with pytest.raises(KeyNotFound):
        client.get(name)
    with pytest.raises(KeyNotFound):
        client.delete(name)
    with pytest.raises(InvalidKey):
        client.get("no blank")
    with pytest.raises(Unauthorized):
        Client(app.url).set(name, 1)
    with pytest.raises(Unauthorized):
        Client(app.url, "wröng").set(name, 1)


def test_an_unknown_code_becomes_the_class_of_its_status() -> None:
    assert type(error_of("brand_new", "New.", 412)) is PreconditionFailed
    assert error_of("brand_new", "New.", 412).error_code == "brand_new"
    assert type(error_of("brand_new", "New.", 418)) is KvcastError


def test_conditions_are_held(client: Client, name: str) -> None:
    first = client.set(name, 1, create_only=True)
    with pytest.raises(PreconditionFailed):
        client.set(name, 2, create_only=True)
    second = client.set(name, 2, if_rev=first.rev)
    with pytest.raises(PreconditionFailed):
        client.set(name, 3, if_rev=first.rev)
    assert client.get(name, min_rev=second.rev).value == 2


def test_an_idempotency_key_applies_once(client: Client, name: str) -> None:
    first = client.set(name, 1, idempotency_key=name)
    assert client.set(name, 1, idempotency_key=name) == first
    with pytest.raises(Conflict):
        client.set(name, 2, idempotency_key=name)


def test_a_deletion_has_a_newer_rev(client: Client, name: str) -> None:
    written = client.set(name, 1)
    assert client.delete(name).rev > written.rev
    with pytest.raises(KeyNotFound):
        client.get(name)


def test_mget_leaves_absent_keys_out_and_takes_any_number(client: Client, name: str) -> None:
    keys = [f"{name}.{number}" for number in range(120)]
    client.batch((key, number) for number, key in enumerate(keys))
    found = client.mget([*keys, f"{name}.absent", keys[0]])
    assert {key: entry.value for key, entry in found.items()} == {key: number for number, key in enumerate(keys)}


def test_mget_of_the_longest_keys_fits_the_request_line(client: Client, name: str) -> None:
    keys = [f"{name}.{number:03}.".ljust(128, "đ")[:128] for number in range(100)]
    keys = [key for key in keys if len(key.encode()) <= 256]
    assert len(keys) == 100
    client.batch((key, number) for number, key in enumerate(keys))
    assert [entry.value for entry in client.mget(keys).values()] == [*range(100)]


def test_keys_and_entries_run_over_every_page(client: Client, name: str) -> None:
    keys = sorted(f"{name}.{number}" for number in range(1005))
    results = client.batch(Item(key, key, category="many") for key in keys)
    assert [result.key for result in results] == keys
    assert list(client.keys(f"{name}.")) == keys
    assert [entry.value for entry in client.entries(f"{name}.", "many")] == keys
    assert list(client.keys(f"{name}.", "other")) == []


def test_a_refused_item_does_not_stop_the_others(client: Client, name: str) -> None:
    results = client.batch([(name, 1), {"key": name, "value": "x" * 70_000}, Item(name, 3)])
    assert [result.error is None for result in results] == [True, False, True]
    assert isinstance(results[1].error, InvalidRequest)
    assert client.get(name, min_rev=results[2].rev).value == 3


def test_history_gives_ticks_and_buckets(client: Client, name: str) -> None:
    for price in (b"1.50", b"3.00", b"2.00"):
        client.set(name, msgspec.Raw(price))
    ticks = client.history(name)
    assert [tick.raw for tick in ticks] == [b"1.50", b"3.00", b"2.00"]
    assert [tick.raw for tick in client.history(name, limit=1)] == [b"2.00"]
    buckets = client.history(name, bucket="1d")
    assert (buckets[0].open, buckets[0].high, buckets[0].low) == (1.5, 3.0, 1.5)
    assert sum(bucket.count for bucket in buckets) == 3


def test_stats_count_keys(client: Client, name: str) -> None:
    client.set(name, 1)
    assert eventually(lambda: client.stats()["keys"] >= 1)


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(Unreachable, match=r"Cannot reach http://127\.0\.0\.1:1 \(connection refused\)"):
        Client("http://127.0.0.1:1", retry_seconds=0.1).get("gold")
    with pytest.raises(Unreachable):
        next(Client("http://127.0.0.1:1", retry_seconds=0.1).watch("gold"))


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://a", "http://", "http://a:99999", "http://a/?b=1", ""])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
        Client(url)


def test_a_lost_answer_is_asked_for_again_and_applied_once(app: Any, network: Network, name: str) -> None:
    client = Client(network.url, app.token)
    network.answers_to_lose = 2
    written = client.set(name, 1)
    assert network.answers_to_lose == 0
    assert [tick.rev for tick in client.history(name)] == [written.rev]


def test_a_lost_deletion_is_not_reported_as_absent(app: Any, network: Network, name: str) -> None:
    client = Client(network.url, app.token)
    written = client.set(name, 1)
    network.answers_to_lose = 1
    assert client.delete(name).rev > written.rev


def test_a_call_waits_for_a_server_that_comes_back(app: Any, network: Network, name: str) -> None:
    client = Client(network.url, app.token, retry_seconds=DEADLINE_SECONDS)
    network.cut()
    threading.Timer(0.3, network.mend).start()
    client.set(name, 1)


def test_watch_begins_with_the_value_and_follows(client: Client, listen: Any, name: str) -> None:
    client.set(name, msgspec.Raw(b"2345.60"), category="metal")
    listener = listen(client, name)
    first = listener.next()
    assert (first.key, first.value, first.raw, first.snapshot) == (name, 2345.6, b"2345.60", True)
    listener.until("connected")
    client.set(name, 2)
    client.delete(name)
    updates = [listener.next()]
    while not updates[-1].deleted:
        updates.append(listener.next())
    assert updates[-1].value is None
    assert updates[-1].rev > first.rev


def test_watch_takes_prefixes_categories_and_keys_to_come(client: Client, listen: Any, name: str) -> None:
    by_key = listen(client, name)
    by_prefix = listen(client, prefixes=[f"{name}."])
    by_category = listen(client, categories=[f"of-{name}"])
    assert by_key.until("absent").keys == (name,)
    by_prefix.until("connected")
    by_category.until("connected")
    client.set(name, 1)
    client.set(f"{name}.x", 2, category=f"of-{name}")
    assert by_key.next().value == 1
    assert by_prefix.next().value == 2
    assert by_category.next().key == f"{name}.x"


def test_many_keys_are_watched_in_frames_that_the_server_takes(client: Client, listen: Any, name: str) -> None:
    keys = [f"{name}.{'x' * 30}.{number}" for number in range(300)]
    client.batch((key, number) for number, key in enumerate(keys))
    listener = listen(client, *keys)
    assert {listener.next().key for _ in keys} == set(keys)


def test_watch_resumes_after_a_lost_connection(app: Any, network: Network, listen: Any, name: str) -> None:
    direct = Client(app.url, app.token)
    direct.set(name, 1)
    listener = listen(Client(network.url, app.token), name)
    assert listener.next().value == 1
    network.cut()
    listener.until("disconnected")
    direct.set(name, 2)
    network.mend()
    assert listener.next().value == 2


def test_a_deletion_during_an_interruption_is_told(app: Any, network: Network, listen: Any, name: str) -> None:
    direct = Client(app.url, app.token)
    direct.set(name, 1)
    listener = listen(Client(network.url, app.token), name)
    assert listener.next().value == 1
    network.cut()
    listener.until("disconnected")
    direct.delete(name)
    network.mend()
    assert listener.next().deleted


def test_every_tick_of_an_interruption_follows_in_order(
    app: Any, network: Network, listen: Any, name: str
) -> None:
    direct = Client(app.url, app.token)
    direct.set(name, 0)
    listener = listen(Client(network.url, app.token), name, mode="every")
    assert listener.next().value == 0
    listener.until("connected")
    network.cut()
    listener.until("disconnected")
    for value in range(1, 6):
        direct.set(name, value)
    network.mend()
    assert [listener.next().value for _ in range(5)] == [1, 2, 3, 4, 5]


def test_a_snapshot_that_stands_for_lost_ticks_is_a_gap(serve: Any, listen: Any, name: str) -> None:
    server = serve("local", KVCAST_HISTORY_DAYS="0", KVCAST_HISTORY_WINDOW="0")
    client = Client(server.url, server.token)
    held = client.set(name, 0).rev
    for value in range(1, 4):
        client.set(name, value)
    listener = listen(client, name, mode="every", since={name: held})
    assert listener.until("gap").message == f"Ticks of {name} were missed."
    assert listener.next().value == 3


def test_silence_is_noticed(app: Any, network: Network, listen: Any, name: str) -> None:
    direct = Client(app.url, app.token)
    direct.set(name, 1)
    listener = listen(Client(network.url, app.token), name, silence_seconds=0.5)
    assert listener.next().value == 1
    network.stall()
    assert "heard" in listener.until("disconnected").message
    network.flow()
    direct.set(name, 2)
    assert listener.next().value == 2


def test_another_process_resumes_with_since_and_epoch(client: Client, listen: Any, name: str) -> None:
    client.set(name, 1)
    first = listen(client, name)
    first.next()
    first.end()
    second = listen(client, name, since=first.watch.since, epoch=first.watch.epoch)
    second.until("connected")
    client.set(name, 2)
    assert second.next().value == 2


def test_close_from_another_thread_ends_the_iteration(client: Client, name: str) -> None:
    listener = Listener(client, name)
    listener.until("connected")
    listener.end()
    assert listener.error is None
    with pytest.raises(Empty):
        listener.updates.get_nowait()


def test_close_ends_a_watch_that_waits_to_connect_again(app: Any, network: Network, name: str) -> None:
    listener = Listener(Client(network.url, app.token), name)
    listener.until("connected")
    network.cut()
    listener.until("disconnected")
    listener.end()


def test_a_bad_token_ends_the_watch(app: Any, name: str) -> None:
    with pytest.raises(Unauthorized):
        next(Client(app.url, "wrong").watch(name))


def test_watching_nothing_is_refused(client: Client) -> None:
    with pytest.raises(InvalidRequest):
        client.watch()


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 20))))
def test_a_key_never_goes_back(messages: list[tuple[str, int]]) -> None:
    seen = Seen()
    passed = [(key, rev) for key, rev in messages if seen.newer(key, rev)]
    for key in "ab":
        revs = [rev for of, rev in passed if of == key]
        assert revs == sorted(set(revs))
        assert (revs[-1] if revs else 0) == max((rev for of, rev in messages if of == key), default=0)


def test_another_epoch_forgets_the_revs() -> None:
    seen = Seen({"gold": 9}, "one")
    seen.greeted("one")
    assert not seen.newer("gold", 8)
    seen.greeted("two")
    assert seen.newer("gold", 1)


def test_a_pattern_whose_replay_was_cut_is_resumed_from_before_it() -> None:
    seen = Seen({"p.a": 5, "p.c": 9, "gold": 3}, "epoch")
    wanted = Wanted(("gold",), ("p.",), (), "every", None)

    def since() -> dict[str, int]:
        return {key: rev for one in wanted.messages(seen)[0] for key, rev in msgspec.json.decode(one)["since"].items()}

    for _ in range(2):
        seen.greeted("epoch")
        seen.resume_began()
        assert seen.newer("gold", 12) == seen.newer("p.a", 20)  # p.b, made at 11, was still to come
        assert since() == {"gold": 12, "p.a": 5, "p.c": 9} == seen.resumable(wanted.keys)
    seen.resume_ended()
    assert since() == {"gold": 12, "p.a": 20, "p.c": 9}
    seen.resume_began()
    seen.greeted("another")
    assert since() == {}


def test_a_first_snapshot_that_was_cut_is_resumed_from_what_came_of_it() -> None:
    seen = Seen()
    seen.greeted("epoch")
    seen.resume_began()
    assert seen.newer("p.a", 20)
    assert seen.resumable(()) == {"p.a": 20}


@given(st.lists(st.text("äx", min_size=1, max_size=128), unique=True, max_size=200), st.booleans())
def test_no_subscription_is_larger_than_a_frame_may_be(keys: list[str], by_prefix: bool) -> None:
    seen = Seen(dict.fromkeys(keys, 2 ** 63 - 1), "epoch")
    wanted = Wanted((), ("",), (), "every", 5.0) if by_prefix else Wanted(tuple(keys), (), (), "latest", None)
    messages, complete = wanted.messages(seen)
    assert all(len(message) <= 4096 for message in messages)
    decoded = [msgspec.json.decode(message) for message in messages]
    if not by_prefix:
        assert complete
        assert [key for message in decoded for key in message["keys"]] == keys
    named = {key for message in decoded for key in message["since"]}
    assert named == set(keys) or not complete


def test_a_frame_holds_one_object_or_an_array() -> None:
    one = '{"op":"upd","key":"gold","value":2345.60,"rev":1,"updatedAt":"x","category":"c","later":1}'
    assert [frame.key for frame in decode_frame(one)] == ["gold"]
    assert [bytes(frame.value) for frame in decode_frame(f" [{one},{one}]")] == [b"2345.60"] * 2


def test_the_client_imports_neither_flask_nor_gevent() -> None:
    code = "import sys, kvcast.client; sys.exit(bool({'flask', 'gevent', 'pg8000', 'redis'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
