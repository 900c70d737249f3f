from __future__ import annotations

import time
from collections.abc import Callable

from kvcast.messages import encode_record
from tests.conftest import Server
from tests.databases import Database
from tests.functions.push.changing import change
from tests.functions.push.raw import WebSocket

VIEWERS = 200
MESSAGES = 45_000


def test_viewers_are_served_while_more_arrives_than_can_be_handled(
    serve: Callable[..., Server], database: Database
) -> None:
    server = serve("push", **database.environment())
    viewers = [WebSocket(server.url) for _ in range(VIEWERS)]
    for viewer in viewers:
        viewer.subscribe(prefixes=["p."], max_rate=0.01)  # what is handed on is no load on this test
    lively = WebSocket(server.url)
    channel = database.cache().channel
    for start in range(0, MESSAGES, 1_000):
        with database.redis.pipeline(transaction=False) as pipeline:
            for number in range(start, start + 1_000):
                pipeline.publish(channel, encode_record(change(f"p.{number % 100}", number + 1, max(0, number - 99))))
            pipeline.execute()
    began = time.monotonic()
    lively.send({"op": "ping"})
    lively.last("hb", within=30)
    delay = time.monotonic() - began
    for viewer in [*viewers, lively]:
        viewer.close()
    assert delay < 1.0
