"""The viewers count what a real push function sends, neither more nor less."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.calls import Caller
from tests.conftest import Server

from benchmarks import protocols
from benchmarks.protocols import frame
from benchmarks.viewers import Viewers
from benchmarks.worlds import Server as Address


def test_every_delivery_is_counted_once(app: Server, call: Caller, unique_key: Callable[..., str]) -> None:
    key = unique_key()
    address = Address(app.url, app.pid, lambda: None).address
    with Viewers(address, [protocols.kvcast(key, "every")] * 5) as viewers:
        for number in range(3):
            call.add(key, f'"T1764036309.00000{number}"')
        assert viewers.wait_for(15, 30)
        seen = viewers.seen()
        assert (seen.deliveries, seen.closed) == (15, 0)
        assert seen.ends == ["1764036309.000002"] * 5
        assert len(seen.delays) == 3


def test_a_long_frame_of_a_client_says_its_length() -> None:
    text = json.dumps({"op": "sub", "keys": ["k" * 200]})
    assert frame(text)[:4] == b"\x81\xfe" + len(text).to_bytes(2, "big")
    assert frame("hi") == b"\x81\x82\x00\x00\x00\x00hi"
