"""Several tabs of one browser: one socket, and each tab right by itself."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.faults import Faults
from tests.browser.looking import eventually_true, expect_live, expect_not_live, open_live, set_hidden, viewers
from tests.calls import Caller
from tests.conftest import Server
from tests.polling import eventually, never_within

# Counts what a handler is told, as another person's page would see it.
COUNT = """async ({ key, shared }) => {
  const { connect } = await import("/client.js");
  window.told = [];
  window.connection = connect({ url: "/ws", shared });
  window.connection.watch([key], {}, ({ value }) => value !== undefined && window.told.push(value));
}"""

WORKERS_ASKED = """window.workersAsked = 0;
window.SharedWorker = class extends SharedWorker {
  constructor(...given) { super(...given); window.workersAsked += 1; }
};"""
HEARD = """window.heard = [];
window.WebSocket = class extends WebSocket {
  constructor(...given) { super(...given); this.addEventListener("message", ({ data }) => window.heard.push(data)); }
};"""

# Nobody's turn comes by itself any more.
STAND_STILL = "() => { const now = Date.now(); Date.now = () => now; window.setTimeout = () => 0; }"


@pytest.fixture
def context(new_context: Callable[..., BrowserContext]) -> BrowserContext:
    return new_context()


@pytest.fixture
def two_tabs(context: BrowserContext, fresh_app: Server, fresh_call: Caller) -> tuple[Page, Page]:
    """Viewers of gold and of silver in one browser."""
    tabs = []
    for key, value in (("gold", "2345.60"), ("silver", "29.410")):
        fresh_call.rev_of(key, value)
        tabs.append(open_live(context.new_page(), f"{fresh_app.url}/viewer/{key}"))
        expect(tabs[-1].locator("#value")).to_have_text(value)
    return tabs[0], tabs[1]


def test_two_tabs_use_one_socket(two_tabs: tuple[Page, Page], fresh_app: Server, fresh_call: Caller) -> None:
    assert viewers(fresh_app) == 1
    assert never_within(lambda: viewers(fresh_app) != 1, 1.0)
    fresh_call.rev_of("gold", "2345.70")
    fresh_call.rev_of("silver", "29.420")
    expect(two_tabs[0].locator("#value")).to_have_text("2345.70")
    expect(two_tabs[1].locator("#value")).to_have_text("29.420")


def test_a_further_tab_is_not_taken_for_dead(context: BrowserContext, fresh_app: Server, fresh_call: Caller) -> None:
    """The worker learns of a tab's end by a lock of the tab; it may ask for the lock only when the tab holds it."""
    context.add_init_script(WORKERS_ASKED)
    tabs = []
    for number in range(6):
        fresh_call.rev_of(f"key{number}", "2345.60")
        tabs.append(open_live(context.new_page(), f"{fresh_app.url}/viewer/key{number}"))
        expect(tabs[-1].locator("#value")).to_have_text("2345.60")
    assert viewers(fresh_app) == 1
    # A tab that was taken for dead hears of it with the next beat, and asks for a worker anew.
    assert never_within(lambda: any(tab.evaluate("workersAsked") > 1 for tab in tabs), 1.5)


def test_tabs_on_the_same_key_are_told_the_same(
    two_tabs: tuple[Page, Page], fresh_app: Server, fresh_call: Caller
) -> None:
    third = two_tabs[0].context.new_page()
    open_live(third, f"{fresh_app.url}/viewer/gold")
    expect(third.locator("#value")).to_have_text("2345.60")
    fresh_call.rev_of("gold", "2345.70")
    for tab in (two_tabs[0], third):
        expect(tab.locator("#value")).to_have_text("2345.70")
    assert viewers(fresh_app) == 1


@pytest.mark.parametrize("closed", [0, 1], ids=["the first", "the second"])
def test_a_tab_stays_right_when_another_closes(
    two_tabs: tuple[Page, Page], fresh_app: Server, fresh_call: Caller, closed: int
) -> None:
    two_tabs[closed].close()
    for value in ("31.10", "31.20"):
        fresh_call.rev_of("gold", value)
        fresh_call.rev_of("silver", value)
        expect(two_tabs[1 - closed].locator("#value")).to_have_text(value)
    assert viewers(fresh_app) == 1


def test_the_socket_goes_with_the_last_tab(two_tabs: tuple[Page, Page], fresh_app: Server) -> None:
    for tab in two_tabs:
        tab.close()
    eventually(lambda: viewers(fresh_app) == 0)


def test_every_tab_tells_that_the_server_died_and_comes_back(
    two_tabs: tuple[Page, Page], fresh_app: Server, faults: Faults
) -> None:
    faults.expect_server_away()
    fresh_app.kill()
    for tab in two_tabs:
        expect_not_live(tab)
    fresh_app.start()
    with Caller(fresh_app.url, fresh_app.token) as call:
        call.rev_of("gold", "1.00")
        call.rev_of("silver", "2.00")
    for tab, value in zip(two_tabs, ("1.00", "2.00"), strict=True):
        expect(tab.locator("#value")).to_have_text(value)
        expect_live(tab)
    assert viewers(fresh_app) == 1


def test_a_hidden_tab_asks_for_one_update_a_second_and_catches_up_when_shown(
    page: Page, app: Server, unique_key: Callable[..., str], feed: Callable[..., object]
) -> None:
    key = unique_key()
    call = Caller(app.url, app.token)
    call.rev_of(key, "0")
    page.goto(f"{app.url}/docs")
    page.evaluate(COUNT, {"key": key, "shared": True})
    eventually_true(page, "told.length > 0")
    set_hidden(page, True)
    feed(app, "".join(f"{key},{n}.50\n" for n in range(1, 101)), "--rate", "25", "--loop")
    eventually_true(page, "told.length > 2")
    began, before = time.monotonic(), page.evaluate("told.length")
    eventually_true(page, f"told.length >= {before + 6}")
    assert time.monotonic() - began > 2.5, "six updates, which are five seconds of one a second"
    while_hidden = page.evaluate("told.length")
    set_hidden(page, False)
    eventually_true(page, f"told.length > {while_hidden + 50}")  # more than one a second


def test_what_waits_for_a_hidden_tab_is_told_when_it_is_shown_and_waits_for_no_timer(
    page: Page, app: Server, unique_key: Callable[..., str]
) -> None:
    key = unique_key()
    page.add_init_script(HEARD)
    page.goto(f"{app.url}/docs")
    with Caller(app.url, app.token) as call:
        call.rev_of(key, "0.0")
        page.evaluate(COUNT, {"key": key, "shared": False})
        eventually_true(page, "told.length > 0")
        page.evaluate(STAND_STILL)
        set_hidden(page, True)
        for n in range(1, 30):
            call.rev_of(key, f"{n}.0")
    eventually_true(page, """heard.some((text) => text.includes('"value":29.0'))""")
    assert "29.0" not in page.evaluate("told")
    set_hidden(page, False)
    eventually_true(page, "told.at(-1) === '29.0'")


def test_a_tab_that_is_shown_again_catches_up(
    page: Page, app: Server, unique_key: Callable[..., str]
) -> None:
    key = unique_key()
    with Caller(app.url, app.token) as call:
        call.rev_of(key, "0.0")
        open_live(page, f"{app.url}/viewer/{key}")
        expect(page.locator("#value")).to_have_text("0.0")
        set_hidden(page, True)
        for n in range(1, 30):
            call.rev_of(key, f"{n}.0")
        set_hidden(page, False)
        expect(page.locator("#value")).to_have_text("29.0")
