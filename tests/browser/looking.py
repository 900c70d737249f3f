"""What the tests ask of a page, and of the server about its pages."""

from __future__ import annotations

import re
import urllib.request

from playwright.sync_api import Locator, Page, expect

from tests.conftest import Server
from tests.polling import HANG_SECONDS, eventually

# How soon a page must tell that the server is gone. Two seconds are promised and tried in tests/web/silence.test.mjs;
# a busy machine is slower. A page that only waits for the heartbeat, every 10 s, tells later than this.
SEEN_WITHIN_MS = 10_000
_VISIBILITY = """(hidden) => {
  const state = hidden ? "hidden" : "visible";
  Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def state(page: Page) -> Locator:
    """The connection's state in the header."""
    return page.locator("#state")


def expect_live(page: Page) -> None:
    expect(state(page)).to_have_attribute("data-state", "live")


def expect_not_live(page: Page) -> None:
    """The page says so, in attributes and in words, within the promised time."""
    told = re.compile("^(stale|offline|connecting)$")
    expect(state(page)).to_have_attribute("data-state", told, timeout=SEEN_WITHIN_MS)
    expect(state(page)).not_to_contain_text("Live")


def open_live(page: Page, url: str) -> Page:
    page.goto(url)
    expect_live(page)
    return page


def set_hidden(page: Page, hidden: bool) -> None:
    """As a browser tells a page that another tab is in front; headless Chromium never does."""
    page.evaluate(_VISIBILITY, hidden)


def metric(server: Server, name: str) -> float:
    """The sum of this metric over its labels, as GET /metrics tells it."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))


def eventually_true(page: Page, expression: str, within: float = HANG_SECONDS) -> None:
    """Like wait_for_function, which the pages' CSP forbids."""
    eventually(lambda: page.evaluate(expression), within)


def viewers(server: Server) -> float:
    """Open sockets and event streams."""
    return metric(server, "kvcast_connections")
