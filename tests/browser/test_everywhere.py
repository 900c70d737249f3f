"""What holds on every page."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.faults import Faults
from tests.conftest import Server
from tests.polling import eventually

PAGES = ["/", "/viewer/everywhere.gold", "/admin", "/docs"]


def test_every_kind_of_fault_is_noticed(page: Page, app: Server, faults: Faults) -> None:
    """Else none of these tests could fail."""
    page.goto(app.url)
    page.evaluate("console.error('in the console')")
    page.evaluate("alert('a dialog')")
    page.evaluate("setTimeout(() => { throw new Error('not caught'); })")
    page.evaluate("document.body.setAttribute('onclick', 'void 0')")
    page.evaluate("document.body.append(Object.assign(document.createElement('img'), { src: 'http://127.0.0.2/x' }))")
    expected = ["in the console", "a dialog", "not caught", "CSP: script-src-attr", "CSP: img-src"]
    eventually(lambda: page.evaluate("1") and all(fault in str(faults.seen()) for fault in expected))
    faults.expect(".")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_without_an_error(page: Page, app: Server, path: str) -> None:
    page.goto(app.url + path)
    expect(page.locator("main")).to_be_visible()
    assert page.title()


def test_a_value_comes_alive_exactly_as_it_was_written(
    page: Page, app: Server, unique_key: Callable[..., str], feed: Callable[..., object]
) -> None:
    key = unique_key("gold")
    page.goto(f"{app.url}/viewer/{key}")
    feed(app, f"{key},2345.60\n")
    expect(page.locator("#value")).to_have_text("2345.60")
    feed(app, f"{key},2345.70\n")
    expect(page.locator("#value")).to_have_text("2345.70")
