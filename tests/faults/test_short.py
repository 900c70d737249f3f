"""The faults that matter most, briefly and under a lighter load; `make test-faults` has all of them at full load."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import on_functions, on_network, on_postgres, on_redis  # noqa: F401  they register their faults
from tests.faults.catalogue import FAULTS
from tests.faults.running import CONVERGE_SECONDS, Amount, Worlds, called, run

LIGHT = Amount(writes_per_second=100, reads_per_second=200, viewers=40, keys=60)
MOST = (
    "kill-9-write", "kill-9-read", "kill-9-push", "redis-killed-back-empty", "postgresql-immediate-stop",
    "sigterm-push", "cut-in-mid-message-functions-postgres",
)  # fmt: skip


@pytest.fixture(scope="module")
def worlds(no_settings_from_outside: None) -> Iterator[Worlds]:
    with Worlds(seed=1) as worlds:
        yield worlds


@pytest.mark.parametrize("name", MOST)
def test_nothing_acknowledged_is_lost_and_nobody_goes_back(worlds: Worlds, tmp_path: Path, name: str) -> None:
    fault = next(fault for fault in FAULTS.values() if called(fault) == name)
    result = run(worlds(fault.where), fault, 1, tmp_path / "history", LIGHT, before_seconds=1.0, after_seconds=2.5)
    assert not result.broken, f"see {tmp_path}/history/verdict.txt"
    assert result.lost == result.regressions == 0
    assert result.converged_seconds <= CONVERGE_SECONDS
