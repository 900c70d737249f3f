"""A real Chromium on the real local run. Tests take `page`, or `new_page(...)` for a language, a theme, a size."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from kvcast.embedded import Stores
from tests.browser.chromium import NoChromium, launch
from tests.browser.faults import Faults
from tests.calls import Caller
from tests.conftest import Server
from tests.databases import Database
from tests.polling import HANG_SECONDS

ROOT = Path(__file__).parents[2]
PATIENCE_MS = 1000 * HANG_SECONDS
expect.set_options(timeout=PATIENCE_MS)
PRICES = {
    ("gold", "metal"): 2345.60, ("vàng-SJC", "metal"): 8450.00, ("silver", "metal"): 29.40,
    ("bitcoin", "crypto"): 97_250.10, ("ether", "crypto"): 3120.50, ("oil.brent", "energy"): 78.30,
}
TEXTS = {
    "status": '"open until 17:00"', "desk": '{"name":"Hà Nội","limits":{"day":1500000.00,"order":20000},"on":true}',
    "switch": "false", "empty": "null",
}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests; each test has contexts of its own, which share nothing."""
    if os.environ.get("KVCAST_SKIP_BROWSER") == "1":
        pytest.skip("KVCAST_SKIP_BROWSER=1")
    with sync_playwright() as playwright:
        try:
            browser = launch(playwright)
        except NoChromium as error:
            pytest.fail(str(error), pytrace=False)
        yield browser
        browser.close()


@pytest.fixture
def faults() -> Iterator[Faults]:
    """Fails the test on an error in the console, an uncaught one, a dialog, or a violation of the CSP.

    A test that takes the server away says `faults.expect_server_away()`.
    """
    faults = Faults()
    yield faults
    faults.check()


@pytest.fixture
def behind() -> Iterator[ExitStack]:
    """What outlives the pages of a test and its servers."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def new_context(
    browser: Browser, faults: Faults, behind: ExitStack, serve: Callable[..., Server]
) -> Iterator[Callable[..., BrowserContext]]:
    """`new_context(language="vi-VN", theme="light", size=(360, 740))`; further options are those of Playwright.

    The pages are closed before the servers, whose end would be an error to them.
    """
    contexts: list[BrowserContext] = []

    def make(
        language: str = "en-US", theme: Any = "dark", size: tuple[int, int] = (1280, 800), **options: Any
    ) -> BrowserContext:
        viewport: Any = {"width": size[0], "height": size[1]}
        context = browser.new_context(locale=language, color_scheme=theme, viewport=viewport, **options)
        context.set_default_timeout(PATIENCE_MS)
        faults.watch(context)
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def new_page(new_context: Callable[..., BrowserContext]) -> Callable[..., Page]:
    """A page in a context of its own; the options are those of `new_context`."""
    return lambda *arguments, **options: new_context(*arguments, **options).new_page()


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    """English, dark, 1280 x 800."""
    return new_page()


@pytest.fixture
def console_url(app: Server) -> str:
    """The admin link of the shared app."""
    return f"{app.url}/admin#token={app.token}"


@pytest.fixture
def fresh_app(behind: ExitStack, serve: Callable[..., Server], stores: Stores) -> Server:
    """The three functions on an empty database: no other test's keys, and it may be killed and started again."""
    return serve("local", **behind.enter_context(Database(stores)).environment())


@pytest.fixture(scope="session")
def filled_app(stores: Stores) -> Iterator[Server]:
    """The three functions on a database that holds what pages show: prices with a past, texts. Only to be read."""
    with Database(stores) as database:
        server = Server(stores, "local", database.environment())
        try:
            server.start()
            fill(server)
            yield server
        finally:
            server.close()


def fill(server: Server) -> None:
    with Caller(server.url, server.token) as call:
        for tick in range(40):
            for (key, category), price in PRICES.items():
                moved = price + 1.25 * (tick % 7) - 0.5 * (tick % 3)
                call.rev_of(key, f"{moved:.2f}", more=f',"category":"{category}"')
        for key, value in TEXTS.items():
            call.rev_of(key, value, more=',"category":"desk"')


@pytest.fixture
def fresh_call(fresh_app: Server) -> Iterator[Caller]:
    with Caller(fresh_app.url, fresh_app.token) as caller:
        yield caller


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """`feed(server, "gold,2345.60\\n", "--loop")` runs `kvcast feed` on these lines until the test ends."""
    running: list[subprocess.Popen[bytes]] = []

    def start(server: Server, lines: str, *options: str) -> subprocess.Popen[bytes]:
        file = tmp_path / f"feed-{len(running)}.csv"
        file.write_text("key,value\n" + lines, encoding="utf-8")
        environment = {**os.environ, "KVCAST_URL": server.url, "KVCAST_TOKEN": server.token}
        running.append(
            subprocess.Popen(
                [sys.executable, "-m", "kvcast", "feed", str(file), *options],
                cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        return running[-1]

    yield start
    for process in running:
        process.terminate()
        process.wait(HANG_SECONDS)
