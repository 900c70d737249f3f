"""Calls that fuzzing found to be answered wrongly, or that it must know are right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.calls import Caller, assert_error
from tests.conftest import Server

SEEDS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "seeds.json").read_text())


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"{seed['method']} {seed['path']}")
def test_a_seed_has_its_answer(target: Server, seed: dict[str, Any]) -> None:
    call = Caller(target.url, target.token)
    if "fuzz.seeds" in seed["path"]:
        call.rev_of("fuzz.seeds")
    reply = call(seed["method"], seed["path"], seed.get("body", "").encode("latin-1") or None)
    if "code" in seed:
        assert_error(reply, seed["status"], seed["code"])
        assert ("allow" in reply.headers) == (seed["status"] == 405)
    else:
        assert reply.status == seed["status"]
