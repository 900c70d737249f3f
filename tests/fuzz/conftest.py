"""The three functions behind one port, whose limits no test reaches, and the poison test after each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvcast.embedded import Stores
from tests.conftest import Server
from tests.poison import assert_reads_their_own

LIMIT = "1000000 per second"


@pytest.fixture(scope="module")
def target(stores: Stores) -> Iterator[Server]:
    settings = {
        "KVCAST_WRITE_LIMIT": LIMIT, "KVCAST_BATCH_LIMIT": LIMIT, "KVCAST_READ_LIMIT": LIMIT,
        "KVCAST_HEARTBEAT_SECONDS": "60", "KVCAST_LOG_LEVEL": "warning",
    }  # fmt: skip
    server = Server(stores, "local", settings)
    try:
        server.start()
        yield server
        assert_reads_their_own(server.url, server.url, server.token)
        assert "nobody foresaw" not in server.log(), server.tail()
    finally:
        server.close()
