"""Checks of what readers were answered: fresh, and not stale for long; and what they saw is learnt."""

from __future__ import annotations

from tests.checker.availability import Availability
from tests.checker.findings import Finding
from tests.checker.history import History
from tests.checker.records import Get
from tests.checker.staleness import Staleness
from tests.checker.truth import Truth


class Reading:
    """One pass over all reads. finals: the last answer to each key by each server, after all had settled."""

    def __init__(self, history: History, truth: Truth, staleness: Staleness, converged: Finding) -> None:
        self.fresh = Finding("fresh", "reads with min_rev")
        self.available = Availability("read")
        self.count = 0
        self.finals: dict[tuple[str, str], Get] = {}
        self._truth = truth
        self._staleness = staleness
        self._converged = converged
        for get in history.gets():
            self._take(get)

    def _take(self, get: Get) -> None:
        self.count += 1
        if not get.final:
            self.available.take(get)
        if get.final:
            self.finals[get.key, get.url] = get
        if get.status == 200:
            self._truth.learn(get.key, get.rev, get.value, (get.who, get.at))
        if get.status in (200, 304, 404):
            if get.min_rev:
                self._min_rev(get)
            self._stale(get)

    def _rev(self, get: Get) -> int | None:
        return self._truth.absent_rev(get.key, get.at) if get.status == 404 else get.rev

    def _min_rev(self, get: Get) -> None:
        self.fresh.checked += 1
        rev = self._rev(get)
        if rev is not None and rev < get.min_rev:
            answered = f"rev {rev}" if get.status != 404 else "that there is no such key"
            self.fresh.broken(
                f"{get.who} asked for {get.key} no older than rev {get.min_rev} and was answered {answered}",
                (get.who, get.at),
            )

    def _stale(self, get: Get) -> None:
        acknowledged = self._truth.acknowledged.get(get.key)
        rev = self._rev(get)
        if acknowledged is None or rev is None:
            return
        at, who, newer = acknowledged.first_after(rev)
        if at < get.sent_at:
            self._staleness.add(
                self._converged, at, get.sent_at, get.who, f"read rev {rev} of {get.key} in place of {newer}, stale",
                (who, at), (get.who, get.at),
            )
