"""The browser of the tests: whichever Chromium this machine has."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
MEND = (
    "There is no Chromium for the browser tests. Install it (Debian: apt install chromium; elsewhere Google Chrome or"
    " `playwright install chromium`), or name one in CHROMIUM, or leave these tests out with KVCAST_SKIP_BROWSER=1."
)
# The tests load nothing from anywhere else, and neither should the browser of its own accord.
OPTIONS = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-proxy-server",
)


class NoChromium(Exception):
    """None was found; the message names the mend."""


def find_chromium(playwright: Playwright) -> str:
    """The program's path: CHROMIUM, the system's, else Playwright's own. Raises NoChromium."""
    named = os.environ.get("CHROMIUM")
    if named:
        if found := shutil.which(named):
            return found
        raise NoChromium(f"CHROMIUM={named} is no program. {MEND}")
    places = [shutil.which(name) for name in NAMES] + [*MAC, playwright.chromium.executable_path]
    for place in places:
        if place and Path(place).is_file():
            return place
    raise NoChromium(MEND)


def launch(playwright: Playwright) -> Browser:
    """Raises NoChromium."""
    return playwright.chromium.launch(executable_path=find_chromium(playwright), args=[*OPTIONS])
