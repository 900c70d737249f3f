"""Writers at a bounded pace, so that what viewers get can be told from what was sent."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Sequence

from benchmarks.figures import quantile
from benchmarks.http_load import WRITE_HEADERS
from benchmarks.worlds import Server


def stamp() -> str:
    return f"T{time.time():.6f}"


class Writer:
    """One keep-alive connection. Raises OSError, or RuntimeError for a refusal."""

    def __init__(self, server: Server, path: str = "/add") -> None:
        self._connection = http.client.HTTPConnection(*server.address, timeout=30)
        self._path = path

    def write(self, keys: Sequence[str]) -> str:
        """Give each key the present time as its value; several go into one call. Returns that value."""
        value = stamp()
        items = [{"key": key, "value": value} for key in keys]
        self._connection.request(
            "POST", self._path, json.dumps(items if self._path == "/batch" else items[0]), WRITE_HEADERS
        )
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{self._path} answered {answer.status}: {said[:200]!r}")
        return value

    def close(self) -> None:
        self._connection.close()


class Published:
    """What writers did. took: seconds of each call; failures: what went wrong."""

    def __init__(self) -> None:
        self.calls = 0
        self.took: list[float] = []
        self.failures: list[str] = []
        self.seconds = 0.0

    def took_ms(self, part: float) -> float:
        return 1000 * quantile(sorted(self.took), part)


def publish(
    server: Server, seconds: float, *, groups: Sequence[Sequence[str]], rate: float, writers: int = 4,
    path: str = "/add", may_go: Callable[[int], bool] = lambda calls: True,
) -> Published:
    """Write `groups` of keys in turn, `rate` calls a second at most, for `seconds`.

    may_go: is given how many calls were made, and says whether the next may be; asked again until it may.
    """
    published = Published()
    lock = threading.Lock()
    began = time.monotonic()

    def write() -> None:
        writer = Writer(server, path)
        try:
            while True:
                with lock:
                    number = published.calls
                    due = began + number / rate
                    if max(due, time.monotonic()) >= began + seconds:
                        return
                    go = may_go(number)
                    if go:
                        published.calls += 1
                if not go:
                    time.sleep(0.001)
                    continue
                time.sleep(max(0.0, due - time.monotonic()))
                started = time.perf_counter()
                writer.write(groups[number % len(groups)])
                published.took.append(time.perf_counter() - started)
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            published.failures.append(str(error))
        finally:
            writer.close()

    threads = [threading.Thread(target=write) for _ in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    published.seconds = time.monotonic() - began
    return published
