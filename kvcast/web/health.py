"""Liveness, which touches nothing, and readiness, which asks what the parts registered."""

from __future__ import annotations

from collections.abc import Callable

from kvcast.draining import draining
from kvcast.errors import KvcastError
from kvcast.web.answers import Answer, Environ, json_answer

Probe = Callable[[], object]


class Health:
    """Probes report; only a start that is not finished, and draining, make a function unready.

    A store that goes down is down for every replica. Were they all unready, the ingress would answer with an
    empty 503 in place of cached reads and of an error that says what is wrong.

    waits_for: why the function cannot serve yet, in a sentence; None once it serves.
    """

    def __init__(self) -> None:
        self.waits_for: str | None = None
        self._probes: dict[str, Probe] = {}

    def probe(self, name: str, check: Probe) -> None:
        """`check` returns when all is well and raises KvcastError when it is not."""
        self._probes[name] = check

    def report(self) -> dict[str, str]:
        return {name: _outcome(check) for name, check in self._probes.items()}

    def live(self, _environ: Environ) -> Answer:
        return json_answer({"status": "ok"})

    def obstacles(self) -> dict[str, str]:
        """What makes it unready, by name."""
        found = {"start": self.waits_for} if self.waits_for is not None else {}
        return found | ({"drain": "This worker is stopping."} if draining() else {})

    def ready(self, _environ: Environ) -> Answer:
        return readiness(self.obstacles(), self.report())


def readiness(obstacles: dict[str, str], probes: dict[str, str]) -> Answer:
    if obstacles:
        return json_answer({"status": "unready", "probes": obstacles | probes}, 503)
    well = all(outcome == "ok" for outcome in probes.values())
    return json_answer({"status": "ok" if well else "degraded", "probes": probes})


def _outcome(check: Probe) -> str:
    try:
        check()
    except KvcastError as error:
        return error.message
    return "ok"
