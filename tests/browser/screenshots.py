"""`make screenshots`: each page in both themes, of a run on real share prices (vega_datasets) and the demo feed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import vega_datasets
from playwright.sync_api import Browser, expect, sync_playwright

from kvcast.embedded import FUNCTIONS_ROLE, Stores
from kvcast.storage.schema import migrate
from tests.browser.chromium import launch
from tests.browser.looking import expect_live
from tests.calls import Caller
from tests.conftest import Server
from tests.polling import eventually

SHARES = Path(vega_datasets.__file__).parent / "_data" / "stocks.csv"
MOST_BYTES = 200_000
TICKS = 50  # of a share before the pictures are taken
DESKTOP, TALL, TELEPHONE = (1440, 900), (1440, 1240), (360, 740)
PICTURES = {
    "board": ("/", DESKTOP),
    "viewer": ("/viewer/AAPL", DESKTOP),
    "viewer-object": ("/viewer/desk", DESKTOP),
    "admin": ("/admin#token=", TALL),
    "docs": ("/docs", DESKTOP),
    "board-telephone": ("/", TELEPHONE),
    "viewer-telephone": ("/viewer/AAPL", TELEPHONE),
    "admin-telephone": ("/admin#token=", TELEPHONE),
}
DESK = '{"name":"Hà Nội","opens":"09:00","limits":{"day":1500000.00,"order":20000.50},"keys":["AAPL","MSFT"],"on":true}'


@contextmanager
def running() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="kvcast-screenshots-") as folder, Stores(Path(folder)) as stores:
        migrate(stores.migration_url, functions_role=FUNCTIONS_ROLE)
        server = Server(stores, "local", {"KVCAST_SERVER_NAME": "local"})
        server.start()
        try:
            yield server
        finally:
            server.close()


@contextmanager
def feeding(server: Server, *arguments: str) -> Iterator[None]:
    environment = {**os.environ, "KVCAST_URL": server.url, "KVCAST_TOKEN": server.token}
    command = [sys.executable, "-m", "kvcast", "feed", *arguments]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def in_time_order(folder: Path) -> str:
    """The share prices as they came month by month, not share by share."""
    head, *lines = SHARES.read_text().splitlines()
    lines.sort(key=lambda line: datetime.strptime(line.split(",")[1] + " +0000", "%b %d %Y %z"))
    file = folder / "shares.csv"
    file.write_text("\n".join([head, *lines]) + "\n")
    return str(file)


def history_is_long(call: Caller) -> bool:
    return len(call("GET", f"/history/AAPL?limit={TICKS}").json().get("data", [])) >= TICKS


def take(browser: Browser, server: Server, name: str, theme: str, folder: Path) -> None:
    path, (width, height) = PICTURES[name]
    context = browser.new_context(
        locale="en-US", color_scheme="dark" if theme == "dark" else "light",
        viewport={"width": width, "height": height}, reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(server.url + path + (server.token if path.endswith("=") else ""))
    expect(page.locator("main")).to_contain_text("/add" if path == "/docs" else "AAPL", timeout=20_000)
    if path != "/docs":
        expect_live(page)
    if "AAPL" in path:
        page.get_by_role("button", name="1 min", exact=True).click()
    page.wait_for_timeout(2_000)  # lets the trends and the latencies fill
    file = folder / f"{name}-{theme}.png"
    page.screenshot(path=file, animations="disabled", caret="hide", scale="css")
    context.close()
    size = file.stat().st_size
    print(f"{file.name}: {size // 1000} kB")
    if size > MOST_BYTES:
        sys.exit(f"{file} has {size} bytes, more than {MOST_BYTES}.")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        server = stack.enter_context(running())
        shares = in_time_order(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        stack.enter_context(feeding(server, shares, "--rate", "4", "--category", "shares"))
        stack.enter_context(feeding(server, "--demo"))
        call = stack.enter_context(Caller(server.url, server.token))
        call.rev_of("desk", DESK, more=',"category":"desk"')
        eventually(lambda: history_is_long(call), 120)
        browser = launch(stack.enter_context(sync_playwright()))
        for name in PICTURES:
            for theme in ("dark", "light"):
                take(browser, server, name, theme, folder)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
