"""A pool as a function uses it, under gevent: `python -m tests.storage.greenlets URL discard|keep` prints what it saw.

A program of its own, because gevent patches the whole process.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import sys  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402

from kvcast.errors import KvcastError  # noqa: E402
from kvcast.storage.pool import Pool  # noqa: E402


def own(pool: Pool) -> list[Any]:
    """What eight queries get that ask for 0 to 7."""
    seen: list[Any] = []
    for number in range(8):
        try:
            seen += pool.run("SELECT :number::int", number=number)[0]
        except KvcastError as error:
            seen.append(error.error_code)
        except Exception as error:
            seen.append(type(error).__name__)
    return seen


def killed(pool: Pool) -> None:
    observer = pool._open()
    victim = gevent.spawn(pool.run, "SELECT 'victim', pg_sleep(1)")
    while not observer.run("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' "
                           "AND usename = current_user AND application_name = 'greenlets'"):
        gevent.sleep(0.01)
    victim.kill()
    observer.close()


def timed_out(pool: Pool) -> None:
    with gevent.Timeout(0.7, False):  # type: ignore[arg-type]  # False: silent
        pool.run("SELECT 'victim', pg_sleep(1.5)")


def ended_by_the_server(pool: Pool) -> None:
    with pool.session(), pool.session():
        pass
    pool.run("SELECT pg_terminate_backend(pid, 1900) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
             "AND usename = current_user AND application_name = 'greenlets'")
    gevent.sleep(0.1)  # a connection that was used a moment ago is not looked at


def main(url: str, discard: bool) -> None:
    seen = {}
    for break_it in (killed, timed_out, ended_by_the_server):
        pool = Pool(f"{url}&application_name=greenlets", 2, discard=discard)
        pool.run("SELECT 1")
        break_it(pool)
        seen[break_it.__name__] = own(pool)
        pool.close()
    print(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] == "discard")
