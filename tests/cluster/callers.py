"""The load's writers and readers: threads that call at a steady rate on connections they keep."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, NamedTuple

from tests.cluster.records import Acknowledged, Answered, Failure, Kind, Plan, Records

CALL_SECONDS = 15.0
AFTER_FAILURE_SECONDS = 0.05


class Call(NamedTuple):
    kind: Kind
    method: str
    path: str
    body: bytes | None
    done: Callable[[Any], str]  # gets the decoded answer of a 200; the code of an error in it, or nothing


class Callers:
    """All of them, and what they know together."""

    def __init__(self, plan: Plan, records: Records) -> None:
        self._plan = plan
        self._records = records
        self._numbers = itertools.count(1)
        self.ended = threading.Event()
        self.newest: dict[str, int] = {}  # acknowledged revs
        self._threads = [
            threading.Thread(target=self._go, args=(make, rate / plan.callers), daemon=True)
            for make, rate in ((self._add, plan.adds), (self._batch, plan.batches), (self._get, plan.gets))
            if rate
            for _ in range(plan.callers)
        ]

    def write_each_key(self) -> None:
        """So that every key is there. Raises OSError when the writes are not taken."""
        connection = self._connection()
        for key in self._plan.keys:
            if not self._do(connection, self._add(key)):
                raise OSError(f"the first write failed: {self._records.failures[-1]}")
        connection.close()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self.ended.set()
        for thread in self._threads:
            thread.join(CALL_SECONDS + 1)

    def _connection(self) -> HTTPConnection:
        return HTTPConnection(*self._plan.address, timeout=CALL_SECONDS)

    def _go(self, make: Callable[[], Call], rate: float) -> None:
        period = 1 / rate
        connection = self._connection()
        due = time.monotonic() + random.uniform(0, period)
        while not self.ended.wait(max(0.0, due - time.monotonic())):
            due = max(due + period, time.monotonic())
            if not self._do(connection, make()):
                connection.close()
                self.ended.wait(AFTER_FAILURE_SECONDS)
        connection.close()

    def _do(self, connection: HTTPConnection, call: Call) -> bool:
        began = time.time()
        headers = {"Host": self._plan.host, "Content-Type": "application/json"}
        if call.method != "GET":
            headers["Authorization"] = f"Bearer {self._plan.token}"
        try:
            connection.request(call.method, call.path, call.body, headers)
            response = connection.getresponse()
            body = response.read()
            refusal = call.done(json.loads(body)) if response.status == 200 else ""
            if response.status == 200 and not refusal:
                self._records.answered.append(Answered(time.time(), call.kind, time.time() - began))
                return True
            failure = _refused(call.kind, response, body, refusal)
        except (HTTPException, OSError, ValueError) as error:
            failure = Failure(time.time(), call.kind, 0, f"{type(error).__name__}: {error}")
        self._records.failures.append(failure)
        return False

    def _add(self, key: str | None = None) -> Call:
        number = next(self._numbers)
        name = key or random.choice(self._plan.keys)
        body = json.dumps({"key": name, "value": number}).encode()
        return Call("add", "POST", "/add", body, lambda answer: self._acknowledge(name, number, answer))

    def _batch(self) -> Call:
        items = [(random.choice(self._plan.keys), next(self._numbers)) for _ in range(self._plan.batch_items)]
        body = json.dumps([{"key": key, "value": number} for key, number in items]).encode()

        def done(answer: Any) -> str:
            refusal = ""
            for (key, number), result in zip(items, answer["results"], strict=True):
                if "error" in result:
                    refusal = str(result["error"]["code"])
                else:
                    self._acknowledge(key, number, result)
            return refusal

        return Call("batch", "POST", "/batch", body, done)

    def _get(self) -> Call:
        key = random.choice(self._plan.keys)
        asked = self.newest.get(key, 0) if self._plan.min_rev and random.random() < 0.5 else 0

        def done(answer: Any) -> str:
            if answer["rev"] < asked:
                self._records.too_old.append((asked, answer["rev"]))
            return ""

        return Call("get", "GET", f"/get/{key}" + (f"?min_rev={asked}" if asked else ""), None, done)

    def _acknowledge(self, key: str, number: int, answer: Any) -> str:
        rev = int(answer["rev"])
        self._records.acknowledged.append(Acknowledged(time.time(), key, rev, number))
        self.newest[key] = max(rev, self.newest.get(key, 0))
        return ""


def _refused(kind: Kind, response: HTTPResponse, body: bytes, code: str) -> Failure:
    with suppress(ValueError, KeyError, TypeError):
        code = code or str(json.loads(body)["error"]["code"])
    reason = body[:200].decode(errors="replace")
    return Failure(time.time(), kind, response.status, reason, code, response.headers.get("Retry-After", ""))
