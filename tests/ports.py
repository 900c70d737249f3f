"""A port of our own while nobody listens there: no other program is given it, nor the very client that tries it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from kvcast.serving import bound_socket


@contextmanager
def port_of_our_own() -> Iterator[int]:
    """Whoever sets SO_REUSEADDR, as all servers here do, can listen there. Elsewhere than on Linux: a free one only."""
    place = bound_socket("127.0.0.1", 0)
    try:
        port = int(place.getsockname()[1])
        if sys.platform != "linux":  # there the place would be in the way of who listens
            place.close()
        yield port
    finally:
        place.close()
