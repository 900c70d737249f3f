"""The one retry policy: exponential back-off with full jitter, always bounded, only for what can pass.

Full jitter (a uniform wait below the exponential bound) spreads a herd best:
https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from retrying import Retrying

from kvcast.errors import KvcastError, OutcomeUnknown

P = ParamSpec("P")
T = TypeVar("T")


def full_jitter_seconds(attempt: int, first_seconds: float = 0.05, most_seconds: float = 10.0) -> float:
    """How long to wait after failed `attempt` (1, 2, ...): uniform in 0..min(most, first * 2^(attempt-1))."""
    bound = min(most_seconds, first_seconds * 2.0 ** min(attempt - 1, 32))
    return random.uniform(0, bound)


def may_repeat(error: BaseException) -> bool:
    """Whether the failed call was surely not applied and may pass when it is repeated."""
    return (
        isinstance(error, KvcastError)
        and not error.permanent
        and not isinstance(error, OutcomeUnknown)
    )


def may_repeat_reading(error: BaseException) -> bool:
    """For calls that change nothing: an unknown outcome may be repeated as well."""
    return may_repeat(error) or isinstance(error, OutcomeUnknown)


def with_retries(
    call: Callable[P, T],
    *,
    attempts: int = 3,
    most_seconds: float = 1.0,
    first_wait_seconds: float = 0.05,
    only_if: Callable[[BaseException], bool] = may_repeat,
) -> Callable[P, T]:
    """Wrap `call`: repeat it at most `attempts` times and no later than `most_seconds` after the start.

    The last error leaves unchanged. Errors for which `only_if` is false leave at once.
    """

    def wait_milliseconds(attempt: int, _elapsed_ms: int) -> float:
        return 1000 * full_jitter_seconds(attempt, first_wait_seconds, most_seconds)

    policy = Retrying(
        stop_max_attempt_number=attempts,
        stop_max_delay=int(most_seconds * 1000),
        wait_func=wait_milliseconds,
        retry_on_exception=only_if,
    )

    def retried(*args: P.args, **kwargs: P.kwargs) -> T:
        result: T = policy.call(call, *args, **kwargs)
        return result

    return retried


def persistently(
    call: Callable[[], T],
    failed: Callable[[KvcastError, bool], object],
    *,
    only_if: Callable[[BaseException], bool] = may_repeat_reading,
    first_wait_seconds: float = 0.1,
    most_wait_seconds: float = 5.0,
) -> T:
    """Repeat `call` for as long as it takes. failed: gets each error, and whether its message is a new one."""
    told: set[str] = set()
    for attempt in itertools.count(1):
        try:
            return call()
        except KvcastError as error:
            if not only_if(error):
                raise
            failed(error, error.message not in told)
            told.add(error.message)
        time.sleep(full_jitter_seconds(attempt, first_wait_seconds, most_wait_seconds))
    raise AssertionError("counting does not end")
