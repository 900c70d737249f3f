"""How many examples a test of this folder tries: few in `make test`, many in `make fuzz`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

MANY = int(os.environ.get("KVCAST_FUZZ_EXAMPLES", "0"))


def examples(few: int) -> settings:
    """Without deadlines and a database of examples: what was found is kept as an @example or in seeds.json."""
    return settings(
        max_examples=max(few, MANY), deadline=None, database=None, derandomize=not MANY,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )  # fmt: skip
