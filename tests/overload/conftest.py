"""How much: a little in `make test`, all of it in `make test-overload`."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def full() -> bool:
    return os.environ.get("KVCAST_OVERLOAD") == "full"
