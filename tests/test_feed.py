"""`kvcast feed`: reading ticks, their pace, batches, and a real price history on a real server."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import vega_datasets
from hypothesis import given
from hypothesis import strategies as st

from kvcast.answers import BatchResult
from kvcast.client import Client
from kvcast.errors import Forbidden, InvalidRequest, KeyNotFound, KvcastError, OutcomeUnknown, StorageUnavailable
from kvcast.feeding import BATCH_MAX_ITEMS, Counts, GaveUp, Pace, Source, demo_ticks, gather, send
from kvcast.ticks import LINE_MAX_BYTES, Options, Tick, csv_value, lines_of, parse_time, read_csv, read_ndjson
from tests.network import Network
from tests.polling import eventually

STOCKS = Path(vega_datasets.__file__).parent / "_data" / "stocks.csv"
DEADLINE_SECONDS = 60.0


class Reports:
    """Collects what was said about bad lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []

    def __call__(self, number: int, message: str) -> None:
        self.lines.append((number, message))


def csv_ticks(text: str | bytes, options: Options | None = None) -> tuple[list[Tick], list[tuple[int, str]]]:
    reports = Reports()
    data = text.encode() if isinstance(text, str) else text
    ticks = list(read_csv(lines_of(io.BytesIO(data), reports), options or Options(), reports))
    return ticks, reports.lines


def ndjson_ticks(text: str, options: Options | None = None) -> tuple[list[Tick], list[tuple[int, str]]]:
    reports = Reports()
    lines = lines_of(io.BytesIO(text.encode()), reports)
    return list(read_ndjson(lines, options or Options(), reports)), reports.lines


def test_the_real_price_history_is_read_whole() -> None:
    with STOCKS.open("rb") as stream:
        reports = Reports()
        ticks = list(read_csv(lines_of(stream, reports), Options(), reports))
    assert reports.lines == []
    assert len(ticks) == len(STOCKS.read_text().splitlines()) - 1
    assert ticks[0] == Tick("MSFT", b"39.81", None, 946_684_800.0, 2)
    assert {tick.key for tick in ticks} == {"MSFT", "AMZN", "IBM", "GOOG", "AAPL"}


@pytest.mark.parametrize("number", ["2345.60", "0", "-1.5e-3", "1E+10", "123456789012345678901234567890"])
def test_numbers_are_sent_as_they_are_written(number: str) -> None:
    assert csv_ticks(f"key,value\ngold,{number}\n")[0][0].value == number.encode()


@pytest.mark.parametrize("text", ["01", "1.", ".5", "+1", "NaN", "Infinity", "0x10", "1_000", "null", "true", "١٢"])
def test_what_is_no_json_number_is_sent_as_a_string(text: str) -> None:
    assert json.loads(csv_value(text)) == text


@pytest.mark.parametrize("header", ["key,value", "Symbol,Price", "ticker;price", "KEY\tVALUE", "\ufeffkey,value"])
def test_headers_are_found_by_their_accepted_names(header: str) -> None:
    line = "gold,1".replace(",", max(",;\t", key=header.count))
    assert csv_ticks(f"{header}\n{line}\n")[0][0].body() == b'{"key":"gold","value":1}'


@pytest.mark.parametrize("header", ["a,b", "key,b", "value", '"'])
def test_a_header_without_key_or_value_is_refused_with_the_mend(header: str) -> None:
    with pytest.raises(InvalidRequest, match="call one"):
        csv_ticks(f"{header}\n1,2\n")


def test_bad_lines_are_named_and_the_others_kept() -> None:
    text = "key,value,time\ngold,1,\nno blank,2,\ngold\n\ngold,,\ngold,3,soon\ngold,4,2026-01-31\n"
    ticks, reports = csv_ticks(text)
    assert [tick.value for tick in ticks] == [b"1", b"4"]
    assert [number for number, _ in reports] == [3, 4, 6, 7]


def test_bytes_that_are_no_utf8_and_endless_lines_cost_one_line_each() -> None:
    text = b"key,value\ngold,\xff\n" + b"x" * (2 * LINE_MAX_BYTES) + b"\ngold,1\n"
    ticks, reports = csv_ticks(text)
    assert [tick.value for tick in ticks] == [b"1"]
    assert [number for number, _ in reports] == [2, 3]


def test_quoted_cells_hold_delimiters_and_line_breaks() -> None:
    ticks, reports = csv_ticks('key,value\nnote,"a, ""b""\nc"\ngold,1\n')
    assert reports == []
    assert json.loads(ticks[0].value) == 'a, "b"\nc'
    assert ticks[1].line == 4


def test_an_empty_input_has_no_ticks() -> None:
    assert csv_ticks("") == ([], [])
    assert ndjson_ticks("") == ([], [])


def test_ndjson_values_stay_as_written_and_unknown_members_are_ignored() -> None:
    ticks, reports = ndjson_ticks('{"key":"gold","value":2345.60,"category":"metal","time":1,"source":"x"}\n')
    assert reports == []
    assert ticks == [Tick("gold", b"2345.60", "metal", 1.0, 1)]


@pytest.mark.parametrize(
    "line",
    [
        "{", "[]", '{"key":"a"}', '{"key":1,"value":1}', '{"key":"a","value":NaN}', '{"key":"a","value":"\\u0000"}',
        '{"key":"a b","value":1}', '{"key":"a","value":' + "[" * 3000 + "]" * 3000 + "}",
        '{"key":"a","value":1,"time":"soon"}', '{"key":"a","value":1,"category":"a b"}',
    ],
)
def test_bad_ndjson_is_named_and_left_out(line: str) -> None:
    ticks, reports = ndjson_ticks(f'{line}\n{{"key":"gold","value":1}}\n')
    assert [tick.key for tick in ticks] == ["gold"]
    assert [number for number, _ in reports] == [1]


def test_prefix_and_category_are_put_before_and_behind() -> None:
    ticks, _ = csv_ticks("key,value,category\na,1,\nb,2,own\n", Options("x.", "given"))
    assert [(tick.key, tick.category) for tick in ticks] == [("x.a", "given"), ("x.b", "own")]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0), ("1700000000", 1.7e9), ("1700000000123", 1_700_000_000.123), ("1970-01-01", 0.0),
        ("1970-01-01T00:00:01Z", 1.0), ("1970-01-01T01:00:00+01:00", 0.0), ("Jan 1 1970", 0.0),
    ],
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert parse_time(text) == pytest.approx(seconds)


class Clock:
    """A clock that moves only when something waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def source_of(ticks: Sequence[Tick | KvcastError]) -> Source:
    source: Source = Queue()
    for tick in [*ticks, None]:
        source.put(tick)
    return source


def sent_at(ticks: Sequence[Tick], pace: Pace) -> list[float]:
    clock = Clock()
    began = clock.now
    times = []
    for batch in gather(source_of(ticks), pace, Counts(), clock=clock, wait=clock.wait):
        times += [clock.now - began] * len(batch)
    return times


def timed(*times: float | None) -> list[Tick]:
    return [Tick("gold", b"1", time=time) for time in times]


def test_ticks_go_at_the_pace_of_their_own_times() -> None:
    assert sent_at(timed(100, 101, 101, 103), Pace(speed=1)) == pytest.approx([0, 1, 1, 3])


def test_speed_multiplies_their_pace() -> None:
    assert sent_at(timed(100, 110, 130), Pace(speed=10)) == pytest.approx([0, 1, 3])


def test_times_that_go_back_begin_anew() -> None:
    assert sent_at(timed(100, 102, 50, 51), Pace(speed=1)) == pytest.approx([0, 2, 2, 3])


def test_ticks_without_a_time_go_at_once() -> None:
    assert sent_at(timed(None, None, None), Pace(speed=1)) == [0, 0, 0]


def test_a_rate_is_kept() -> None:
    assert sent_at(timed(None, None, None, None), Pace(rate=2)) == pytest.approx([0, 0.5, 1, 1.5])


def test_a_long_stall_is_not_made_up_for_with_a_burst() -> None:
    pace = Pace(rate=10)
    assert pace.due(timed(None)[0], 0.0) == 0.0
    assert pace.due(timed(None)[0], 100.0) == 99.0


def test_batches_take_what_is_there_and_never_more_than_their_limit() -> None:
    batches = list(gather(source_of(timed(*[None] * (BATCH_MAX_ITEMS + 1))), Pace(), Counts()))
    assert [len(batch) for batch in batches] == [BATCH_MAX_ITEMS, 1]


def test_large_values_make_small_batches() -> None:
    big = Tick("gold", b'"' + b"x" * 200_000 + b'"')
    batches = list(gather(source_of([big] * 10), Pace(), Counts()))
    assert sum(map(len, batches)) == 10
    assert max(sum(len(tick.body()) for tick in batch) for batch in batches) < 1_000_000


def test_an_error_comes_after_the_ticks_before_it() -> None:
    batches = gather(source_of([*timed(None), InvalidRequest("Bad.")]), Pace(), Counts())
    assert len(next(batches)) == 1
    with pytest.raises(InvalidRequest):
        next(batches)


@given(st.lists(st.floats(0, 1e6) | st.none(), max_size=50), st.sampled_from([Pace(), Pace(speed=7.0), Pace(rate=3.0)]))
def test_no_tick_is_lost_or_reordered(times: list[float | None], pace: Pace) -> None:
    clock = Clock()
    ticks = [Tick("gold", b"%d" % number, time=time) for number, time in enumerate(times)]
    batches = gather(source_of(ticks), pace, Counts(), clock=clock, wait=clock.wait)
    assert [tick for batch in batches for tick in batch] == ticks


def answers(*outcomes: KvcastError | None) -> tuple[Callable[[Sequence[bytes], str], list[BatchResult]], list[str]]:
    """A `post` that fails as told and then accepts, and the Idempotency-Keys that it saw."""
    left = list(outcomes)
    keys: list[str] = []

    def post(bodies: Sequence[bytes], idempotency_key: str) -> list[BatchResult]:
        keys.append(idempotency_key)
        if left and (error := left.pop(0)):
            raise error
        return [BatchResult(None, 1) for _ in bodies]

    return post, keys


def test_a_batch_is_repeated_with_one_idempotency_key_until_it_is_answered() -> None:
    post, keys = answers(StorageUnavailable("Away."), OutcomeUnknown("Perhaps."), StorageUnavailable("Away."))
    clock, counts = Clock(), Counts()
    assert send(timed(None), post, counts, clock=clock, wait=clock.wait) == []
    assert len(keys) == 4
    assert len(set(keys)) == 1
    assert (counts.acknowledged, counts.retries, counts.away) == (1, 3, None)
    assert clock.now >= 1003  # the Retry-After of each


def test_what_can_never_pass_is_not_repeated() -> None:
    post, keys = answers(Forbidden("No."))
    with pytest.raises(Forbidden):
        send(timed(None), post, Counts())
    assert len(keys) == 1


def test_it_gives_up_when_told_to() -> None:
    post, _ = answers(*[StorageUnavailable("Away.")] * 1000)
    clock = Clock()
    with pytest.raises(GaveUp):
        send(timed(None), post, Counts(), give_up_after_seconds=30, clock=clock, wait=clock.wait)
    assert clock.now <= 1030


def test_the_demo_is_labelled() -> None:
    ticks = demo_ticks(seed=1)
    for tick in (next(ticks) for _ in range(100)):
        assert tick.key.startswith("demo.")
        assert tick.category == "demo"
        assert float(tick.value) > 0


class Feed:
    """`kvcast feed` as a process."""

    def __init__(self, url: str, token: str) -> None:
        self._environment = {**os.environ, "KVCAST_URL": url, "KVCAST_TOKEN": token}
        self._environment["PYTHONPATH"] = str(Path(__file__).parents[1])

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "kvcast", "feed", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self._environment,
        )

    def __call__(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str]:
        with self.start(*arguments) as process:
            _, said = process.communicate(stdin, timeout=DEADLINE_SECONDS)
            return process.returncode, said.decode()


@pytest.fixture
def client(app: Any) -> Iterator[Client]:
    with Client(app.url, app.token) as client:
        yield client


@pytest.fixture
def feed(app: Any) -> Feed:
    return Feed(app.url, app.token)


@pytest.fixture
def prefix(unique_key: Callable[..., str]) -> str:
    return unique_key("")


def stock_prices() -> dict[str, list[bytes]]:
    prices: dict[str, list[bytes]] = {}
    for line in STOCKS.read_bytes().splitlines()[1:]:
        symbol, _, price = line.split(b",")
        prices.setdefault(symbol.decode(), []).append(price)
    return prices


def assert_history(client: Client, prefix: str, expected: dict[str, list[bytes]]) -> None:
    for key, values in expected.items():
        assert [tick.raw for tick in client.history(prefix + key, limit=10_000)] == values


def test_the_real_price_history_arrives_whole_in_order_and_as_written(feed: Feed, client: Client, prefix: str) -> None:
    code, said = feed(str(STOCKS), "--rate", "max", "--key-prefix", prefix, "--category", "stock")
    assert code == 0
    assert "560 acknowledged" in said
    assert_history(client, prefix, stock_prices())
    assert client.get(f"{prefix}IBM").category == "stock"


def test_nothing_is_lost_doubled_or_reordered_over_a_bad_network(app: Any, client: Client, prefix: str) -> None:
    with Network(app.url) as network:
        with Feed(network.url, app.token).start("-", "--rate", "max", "--key-prefix", prefix) as process:
            assert process.stdin is not None
            lines = STOCKS.read_bytes().splitlines(keepends=True)
            for start in range(0, len(lines), 120):  # it goes on only when it has met with the next break
                before = network.connections
                network.answers_to_lose = 1
                process.stdin.write(b"".join(lines[start : start + 120]))
                process.stdin.flush()
                eventually(lambda: network.answers_to_lose == 0)
                network.cut()
                network.mend()
                eventually(lambda seen=before: network.connections > seen)  # type: ignore[misc]
            _, said = process.communicate(timeout=DEADLINE_SECONDS)
        assert process.returncode == 0
        assert b"560 acknowledged" in said
        assert b" 0 retries" not in said
    assert_history(client, prefix, stock_prices())


def test_the_server_may_be_stopped_and_started_while_it_feeds(serve: Any, prefix: str) -> None:
    server = serve("local")
    client = Client(server.url, server.token)
    with Feed(server.url, server.token).start(str(STOCKS), "--rate", "300", "--key-prefix", prefix) as process:
        eventually(lambda: next(iter(client.keys(prefix)), None) is not None)
        server.kill()
        server.start()
        _, said = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, said
    assert_history(client, prefix, stock_prices())


def test_standard_input_is_a_live_bridge(feed: Feed, client: Client, prefix: str) -> None:
    with feed.start("-", "--key-prefix", prefix) as process:
        assert process.stdin is not None
        for number in (b"1.50", b"2.50"):
            process.stdin.write(b'{"key":"a","value":%s}\n' % number)
            process.stdin.flush()
            eventually(lambda sent=number: [t.raw for t in _history(client, f"{prefix}a")][-1:] == [sent])  # type: ignore[misc]
        process.stdin.close()
        assert process.wait(DEADLINE_SECONDS) == 0


def _history(client: Client, key: str) -> list[Any]:
    try:
        return list(client.history(key))
    except KeyNotFound:
        return []


def test_bad_lines_are_skipped_and_named_or_stop_it_when_strict(feed: Feed, client: Client, prefix: str) -> None:
    lines = b"key,value\na,1\nno blank,2\na,3\n"
    code, said = feed("-", "--key-prefix", prefix, stdin=lines)
    assert code == 1
    assert "line 3 skipped" in said
    assert_history(client, prefix, {"a": [b"1", b"3"]})
    code, said = feed("-", "--strict", "--key-prefix", f"{prefix}strict.", stdin=lines)
    assert code == 1
    assert "Line 3" in said
    assert_history(client, f"{prefix}strict.", {"a": [b"1"]})


def test_refused_ticks_are_counted_and_shown(feed: Feed, client: Client, prefix: str) -> None:
    lines = b'{"key":"a","value":1}\n{"key":"b","value":"%s"}\n{"key":"a","value":2}\n' % (b"x" * 70_000)
    code, said = feed("-", "--key-prefix", prefix, stdin=lines)
    assert code == 1
    assert "refused: line 2" in said
    assert "1 refused" in said
    assert_history(client, prefix, {"a": [b"1", b"2"]})


def test_a_bad_token_stops_it(app: Any) -> None:
    code, said = Feed(app.url, "wrong")("-", stdin=b"key,value\na,1\n")
    assert code == 1
    assert "token" in said


def test_it_gives_up_on_an_absent_server_when_told_to() -> None:
    code, said = Feed("http://127.0.0.1:1", "x")("-", "--give-up-after", "0.5", stdin=b"key,value\na,1\n")
    assert code == 3
    assert "Given up" in said


def test_a_file_that_is_not_there_is_wrong_usage(feed: Feed, tmp_path: Path) -> None:
    assert feed(str(tmp_path / "absent.csv"))[0] == 2


def test_the_demo_runs_until_ctrl_c(feed: Feed, client: Client, prefix: str) -> None:
    before = {entry.key: entry.rev for entry in client.entries("demo.", "demo")}
    with feed.start("--demo", "--rate", "50") as process:
        eventually(lambda: {entry.key: entry.rev for entry in client.entries("demo.", "demo")} != before)
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_SECONDS) == 130
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
