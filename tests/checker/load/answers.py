"""What a write asks for in its headers, and what its answer says, as a history has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tests.checker.load.http import Answer
from tests.checker.records import Item


class _Written(msgspec.Struct):
    rev: int = 0


class _Error(msgspec.Struct):
    code: str


class _Result(msgspec.Struct):
    rev: int = 0
    error: _Error | None = None


class _Results(msgspec.Struct):
    results: list[_Result]


_written = msgspec.json.Decoder(_Written)
_results = msgspec.json.Decoder(_Results)


def conditions(identity: str, if_rev: int | None) -> dict[str, str]:
    headers = {"Idempotency-Key": identity} if identity else {}
    if if_rev is not None:
        headers |= {"If-Match": f'"{if_rev}"'} if if_rev else {"If-None-Match": "*"}
    return headers


def outcome(who: str, answer: Answer) -> dict[str, Any]:
    rev = _written.decode(answer.body).rev if answer.status == 200 else 0
    return {
        "at": answer.ended, "who": who, "url": answer.url, "took": answer.ended - answer.began, "status": answer.status,
        "code": "" if answer.status == 200 else answer.code or "", "rev": rev,
    }


def answered_items(items: Sequence[Item], answer: Answer) -> list[Item]:
    """The items of a batch with what became of each."""
    return [
        Item(one.key, one.value, one.category, result.rev, result.error.code if result.error else "")
        for one, result in zip(items, _results.decode(answer.body).results, strict=True)
    ]
