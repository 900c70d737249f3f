"""How long the board's frames take: `python -m benchmarks.board --keys 5000 --rate 200 --seconds 20`.

Starts the local run on an empty database and Chromium, headless, on this machine; nothing is mocked. The empty page,
measured first under the same feed, shows what this machine does to frames by itself. `main thread` is the processor
time of the page's longest task, from Chromium's own trace: what the board takes, however busy the machine is.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from kvcast.client import Client
from kvcast.embedded import FUNCTIONS_ROLE, Stores
from kvcast.storage.schema import migrate
from tests.browser.chromium import launch
from tests.conftest import TOKEN, Server

CATEGORIES = 20
BATCH_ITEMS = 10
FRAME_MS = 50.0

MEASURE = """
async ([seconds, doing]) => {
  const frames = [], tasks = [];
  const observer = new PerformanceObserver((list) => list.getEntries().forEach((entry) => tasks.push(entry.duration)));
  observer.observe({ type: "longtask" });
  const board = document.getElementById("board"), find = document.getElementById("find");
  const words = ["k", "k1", "k12", "k123", "k12", "k1", "k", ""];
  const began = performance.now();
  let last = began, turn = 0, step = 24;
  await new Promise((done) => {
    const frame = (now) => {
      if (turn > 0) frames.push(now - last);
      last = now;
      turn += 1;
      if (doing === "scrolling" && board) {
        const { scrollTop } = board;
        board.scrollTop = scrollTop + step;
        if (board.scrollTop === scrollTop) step = -step;
      }
      if (doing === "typing" && find && turn % 12 === 0) {
        find.value = words[(turn / 12) % words.length];
        find.dispatchEvent(new InputEvent("input"));
      }
      now - began < 1000 * seconds ? requestAnimationFrame(frame) : done();
    };
    requestAnimationFrame(frame);
  });
  observer.disconnect();
  return { frames, tasks };
}
"""


class Feed:
    """Writes random keys at a steady rate, from a thread of its own."""

    def __init__(self, server: Server, keys: int, rate: float) -> None:
        self._client = Client(server.url, server.token)
        self._keys = [f"board.k{number}" for number in range(keys)]
        self._rate = rate
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.written = 0

    def fill(self) -> None:
        for start in range(0, len(self._keys), 500):
            self._client.batch([self._item(number) for number in range(start, min(start + 500, len(self._keys)))])

    def _item(self, number: int) -> dict[str, Any]:
        value = round(random.uniform(1, 9999), 2)
        return {"key": self._keys[number], "value": value, "category": f"category-{number % CATEGORIES}"}

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due += BATCH_ITEMS / self._rate
            self._client.batch([self._item(number) for number in random.sample(range(len(self._keys)), BATCH_ITEMS)])
            self.written += BATCH_ITEMS

    def __enter__(self) -> Feed:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()


@contextmanager
def local_run() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="kvcast-benchmark-"))
    try:
        with Stores(folder) as stores:
            migrate(stores.migration_url, functions_role=FUNCTIONS_ROLE)
            server = Server(stores, "local", {"KVCAST_ADMIN_TOKEN": TOKEN})
            try:
                server.start()
                yield server
            finally:
                server.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def longest_task_ms(trace: bytes) -> float:
    """Processor time of the longest task on a page's main thread."""
    events = json.loads(trace)["traceEvents"]
    main = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks: list[int] = [
        event["tdur"]
        for event in events
        if event["name"] == "RunTask" and "tdur" in event and (event["pid"], event["tid"]) in main
    ]
    return max(tasks) / 1000


def report(name: str, measured: dict[str, Any], rate: float, task_ms: float) -> None:
    frames = sorted(measured["frames"])
    p50, p99 = statistics.median(frames), frames[int(0.99 * (len(frames) - 1))]
    over = sum(1 for frame in frames if frame > FRAME_MS)
    print(
        f"{name:<12} {len(frames):>5} frames  p50 {p50:5.1f}  p99 {p99:5.1f}  max {frames[-1]:6.1f} ms"
        f"  above {FRAME_MS:g} ms: {over}  main thread {task_ms:5.1f} ms"
        f"  long tasks: {len(measured['tasks'])}, longest {max(measured['tasks'], default=0):.0f} ms"
        f"  ({rate:.0f} updates/s)",
        flush=True,
    )


def measure(page: Page, feed: Feed, name: str, seconds: float) -> None:
    browser = page.context.browser
    assert browser is not None
    browser.start_tracing(page=page, categories=["disabled-by-default-devtools.timeline"])
    before, began = feed.written, time.monotonic()
    measured = page.evaluate(MEASURE, [seconds, name])
    rate = (feed.written - before) / (time.monotonic() - began)
    report(name, measured, rate, longest_task_ms(browser.stop_tracing()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=5000)
    parser.add_argument("--rate", type=float, default=200.0, help="updates/s")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--size", default="1440x900", help="of the window")
    arguments = parser.parse_args()
    width, height = (int(part) for part in arguments.size.split("x"))
    load = "/".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"{arguments.keys} keys, {os.cpu_count()} cores, load {load}, window {arguments.size}", flush=True)
    with local_run() as server, sync_playwright() as playwright:
        feed = Feed(server, arguments.keys, arguments.rate)
        feed.fill()
        browser = launch(playwright)
        with feed:
            empty = browser.new_page(viewport={"width": width, "height": height})
            empty.goto("about:blank")
            measure(empty, feed, "empty page", arguments.seconds)
            empty.close()
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(server.url)
            page.locator("#board [role=row][aria-level='2']").first.wait_for()
            for doing in ("loading", "still", "scrolling", "typing"):
                measure(page, feed, doing, 3.0 if doing == "loading" else arguments.seconds)
        browser.close()


if __name__ == "__main__":
    main()
