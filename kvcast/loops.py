"""Background loops that outlive an error that nobody foresaw."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Thread

_PAUSE_SECONDS = 1.0
_log = logging.getLogger(__name__)


def start_loop(name: str, loop: Callable[[], object]) -> None:
    """Run `loop` in a daemon thread until it returns; after an exception it is logged and started again."""

    def run() -> None:
        while True:
            try:
                loop()
            except Exception:
                _log.exception("The loop %s failed for a reason that nobody foresaw; it goes on", name)
                time.sleep(_PAUSE_SECONDS)
            else:
                return

    Thread(target=run, daemon=True, name=name).start()
