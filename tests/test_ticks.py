"""kvcast/ticks.py takes what tests/wire/ticks.json says; the console's import, in JavaScript, takes the same."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from kvcast.ticks import Options, lines_of, looks_like_json, read_csv, read_ndjson

EXAMPLES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "wire/ticks.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("example", EXAMPLES, ids=[example["name"] for example in EXAMPLES])
def test_lines_become_elements_of_a_batch(example: dict[str, Any]) -> None:
    refused: list[int] = []

    def report(line: int, _: str) -> None:
        refused.append(line)

    read = read_ndjson if looks_like_json(example["text"]) else read_csv
    lines = lines_of(io.BytesIO(example["text"].encode()), report)
    assert [tick.body().decode() for tick in read(lines, Options(), report)] == example["elements"]
    assert refused == example["refused"]
