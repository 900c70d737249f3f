"""What has to be done from time to time, by whichever write worker comes first."""

from __future__ import annotations

import logging
import random
import time
from threading import Event

from kvcast.config import Settings
from kvcast.errors import KvcastError
from kvcast.loops import start_loop
from kvcast.storage import audit, reads, sweeps
from kvcast.storage.pool import Pool
from kvcast.storage.writes import Statements, expire

from functions.write.publisher import Publisher

EXPIRE_SECONDS = 1.0
REAP_SECONDS = 60.0
_EXPIRE_MOST = 1000
_log = logging.getLogger(__name__)


class Housekeeping:
    """Ends keys whose ttl has passed, reaps what is over, makes the coming days' partitions, counts keys.

    Rows are taken with SKIP LOCKED and partitions under an advisory lock, so workers do not disturb one another.
    """

    def __init__(self, pool: Pool, statements: Statements, publisher: Publisher, settings: Settings) -> None:
        self._pool = pool
        self._statements = statements
        self._publisher = publisher
        self._settings = settings
        self._keys = 0
        self._ended = Event()

    def start(self) -> None:
        self._keys = reads.count_keys(self._pool)
        start_loop("housekeeping", self._run_for_ever)

    def stop(self) -> None:
        self._ended.set()

    def full(self) -> bool:
        """Whether the store holds as many keys as it may, as counted a moment ago."""
        return self._keys >= self._settings.max_keys

    def _run_for_ever(self) -> None:
        roll_at = count_at = 0.0
        reap_at = time.monotonic() + random.uniform(0, REAP_SECONDS)
        while not self._ended.wait(EXPIRE_SECONDS * random.uniform(0.8, 1.2)):
            try:
                self._expire()
                if time.monotonic() >= roll_at:  # at first too: it may have been stopped for longer than a week
                    sweeps.roll_partitions(self._pool, self._settings.history_days)
                    roll_at = time.monotonic() + REAP_SECONDS
                if time.monotonic() >= reap_at:
                    reap_at = time.monotonic() + REAP_SECONDS
                    sweeps.reap(self._pool)
                    audit.reap(self._pool)
                if time.monotonic() >= count_at:
                    started = time.monotonic()
                    self._keys = reads.count_keys(self._pool)
                    # counting a large table takes long: then count seldom
                    count_at = time.monotonic() + max(1.0, 50 * (time.monotonic() - started))
            except KvcastError as error:
                _log.warning("Housekeeping is put off: %s", error.message)

    def _expire(self) -> None:
        while True:
            into = self._publisher.cache
            with self._pool.session() as session:
                changes = expire(session, self._statements, _EXPIRE_MOST)
            if changes:
                self._publisher.publish_and_wait(changes, into)
            if len(changes) < _EXPIRE_MOST:
                return
