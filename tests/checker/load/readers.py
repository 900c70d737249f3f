"""Clients that read: plainly, with If-None-Match, with min_rev."""

from __future__ import annotations

from time import monotonic

import gevent
import msgspec

from tests.checker.load.http import Answer, Caller
from tests.checker.load.plan import READ_SECONDS, Shared
from tests.checker.records import Get

CONDITIONAL = 0.2
MIN_REV = 0.15
RETRY_SECONDS = 0.05


class _Entry(msgspec.Struct):
    rev: int
    value: str


_entry = msgspec.json.Decoder(_Entry)


def get(
    shared: Shared, call: Caller, who: str, number: int, *, min_rev: int = 0, known: int = 0, final: bool = False,
    **headers: str,
) -> Get:
    """GET /get, recorded."""
    key = shared.plan.key(number)
    if known:
        headers["If-None-Match"] = f'"{known}"'
    answer = call("GET", f"/get/{key}" + (f"?min_rev={min_rev}" if min_rev else ""), None, headers)
    record = recorded(answer, who, key, min_rev=min_rev, known=known, final=final)
    shared.called("read", record, good=answer.status in (200, 304, 404))
    return record


def recorded(answer: Answer, who: str, key: str, *, min_rev: int = 0, known: int = 0, final: bool = False) -> Get:
    entry = _entry.decode(answer.body) if answer.status == 200 else None
    rev = entry.rev if entry else known if answer.status == 304 else 0
    return Get(
        at=answer.ended, who=who, url=answer.url, took=answer.ended - answer.began, status=answer.status,
        code="" if answer.status in (200, 304) else answer.code, key=key, rev=rev,
        value=entry.value if entry else None, min_rev=min_rev, known=known, final=final,
    )


class Reader:
    def __init__(self, shared: Shared, number: int) -> None:
        self.who = f"{shared.plan.name}.r{number}"
        self._shared = shared
        self._random = shared.random(self.who)
        self._call = shared.caller(shared.plan.read, number, READ_SECONDS)
        self._known: dict[int, int] = {}

    def run(self, reads_per_second: float) -> None:
        """Until the load stops."""
        due = monotonic()
        while not self._shared.stopping.is_set():
            if not self._one():
                gevent.sleep(RETRY_SECONDS)
            due += self._random.uniform(0.5, 1.5) / reads_per_second
            now = monotonic()
            due = max(due, now - 1)
            self._shared.stopping.wait(max(0.0, due - now))

    def _one(self) -> bool:
        number = int(self._shared.plan.keys * self._random.random() ** 1.5)
        how = self._random.random()
        known = self._known.get(number, 0) if how < CONDITIONAL else 0
        min_rev = self._shared.newest.get(number, 0) if how > 1 - MIN_REV else 0
        record = get(self._shared, self._call, self.who, number, min_rev=min_rev, known=known)
        if record.rev:
            self._known[number] = record.rev
        return record.status != 0
