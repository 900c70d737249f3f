"""Waiting for what another process does: asked again and again until a deadline, never slept for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.01
HANG_SECONDS = 30.0  # what takes longer hangs, on a slow and busy machine too


def eventually(check: Callable[[], T], within: float = HANG_SECONDS, every: float = POLL_SECONDS) -> T:
    """The first true answer of `check`. An AssertionError of it counts as no; after `within` seconds it is raised.

    within: other than that only where it is a promise that is tested. every: seconds between two checks, more where
    asking is dear.
    """
    deadline = time.monotonic() + within
    while True:
        last = time.monotonic() > deadline  # looked at before: a check that was held up until then is made once more
        try:
            answer = check()
            if answer:
                return answer
            failure = AssertionError(f"{answer!r} after {within:g} s")
        except AssertionError as error:
            failure = error
        if last:
            raise failure
        time.sleep(every)


def never_within(check: Callable[[], object], seconds: float) -> bool:
    """Whether `check` stayed false until `seconds` were over."""
    try:
        eventually(check, seconds)
    except AssertionError:
        return True
    return False
