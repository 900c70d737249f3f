"""The connection comes and goes; what a page shows is right, or the page says that it may not be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.faults import Faults
from tests.browser.looking import eventually_true, expect_live, expect_not_live, open_live
from tests.calls import Caller
from tests.conftest import Server
from tests.network import Network

VALUE = "#value"
NOTE_STATES = """() => {
  window.states = [];
  const shown = document.querySelector("#state");
  new MutationObserver(() => states.push(shown.dataset.state)).observe(shown, { attributes: true });
}"""


@pytest.fixture
def gold(page: Page, fresh_app: Server, fresh_call: Caller) -> Page:
    """A viewer of gold at 2345.60, live."""
    fresh_call.rev_of("gold", "2345.60")
    open_live(page, f"{fresh_app.url}/viewer/gold")
    expect(page.locator(VALUE)).to_have_text("2345.60")
    return page


def test_a_killed_server_is_told_at_once_with_the_age_of_the_value(
    gold: Page, fresh_app: Server, faults: Faults
) -> None:
    faults.expect_server_away()
    fresh_app.kill()
    expect_not_live(gold)
    expect(gold.locator(VALUE)).to_have_text("2345.60")
    expect(gold.locator("#state-age")).to_contain_text("old")


def test_a_server_that_comes_back_makes_the_page_right_by_itself(
    gold: Page, fresh_app: Server, faults: Faults
) -> None:
    faults.expect_server_away()
    fresh_app.kill()
    expect_not_live(gold)
    fresh_app.start()
    Caller(fresh_app.url, fresh_app.token).rev_of("gold", "2345.70")
    expect(gold.locator(VALUE)).to_have_text("2345.70")
    expect_live(gold)
    expect(gold.locator("#state-age")).to_be_empty()


def test_a_key_that_was_deleted_meanwhile_is_gone(gold: Page, fresh_app: Server, faults: Faults) -> None:
    faults.expect_server_away()
    fresh_app.kill()
    expect_not_live(gold)
    fresh_app.start()
    assert Caller(fresh_app.url, fresh_app.token)("DELETE", "/keys/gold").status == 200
    expect(gold.locator("main")).to_contain_text("This key was deleted")
    expect(gold.locator("main")).not_to_contain_text("2345.60", use_inner_text=True)
    expect_live(gold)


def test_a_board_survives_the_death_of_its_server(
    page: Page, fresh_app: Server, fresh_call: Caller, faults: Faults
) -> None:
    for key, value in (("gold", "2345.60"), ("silver", "29.410")):
        fresh_call.rev_of(key, value)
    open_live(page, fresh_app.url)
    expect(page.locator("main")).to_contain_text("29.410")
    faults.expect_server_away()
    fresh_app.kill()
    expect_not_live(page)
    expect(page.locator("main")).to_contain_text("29.410")
    fresh_app.start()
    with Caller(fresh_app.url, fresh_app.token) as call:
        call.rev_of("silver", "29.420")
        assert call("DELETE", "/keys/gold").status == 200
        call.rev_of("copper", "4.310")
    for text in ("29.420", "4.310"):
        expect(page.locator("main")).to_contain_text(text)
    expect(page.locator("main")).not_to_contain_text("2345.60")
    expect_live(page)


@pytest.fixture
def network(serve: Callable[..., Server]) -> Network:
    """The way to a server that says something twice a second, so that its silence is noticed soon."""
    return Network(serve("local", KVCAST_HEARTBEAT_SECONDS="0.5").url)


def test_a_silent_connection_is_told_and_trusted_again(
    page: Page, network: Network, faults: Faults, unique_key: Callable[..., str]
) -> None:
    faults.expect_server_away()
    with network:
        open_live(page, f"{network.url}/viewer/{unique_key()}")
        network.stall()
        expect_not_live(page)
        network.flow()
        expect_live(page)


def test_a_browser_that_is_offline_says_so_and_comes_back(page: Page, app: Server, faults: Faults) -> None:
    faults.expect_server_away()
    open_live(page, f"{app.url}/viewer/offline")
    page.evaluate(NOTE_STATES)
    page.context.set_offline(True)
    # Chromium leaves the open socket alone, so the page is soon live again.
    eventually_true(page, "states.includes('stale')")
    page.context.set_offline(False)
    expect_live(page)


def test_a_page_that_was_cut_off_shows_what_was_written_meanwhile(
    page: Page, app: Server, faults: Faults, unique_key: Callable[..., str]
) -> None:
    faults.expect_server_away()
    key, call = unique_key(), Caller(app.url, app.token)
    call.rev_of(key, "1.10")
    with Network(app.url) as network:
        open_live(page, f"{network.url}/viewer/{key}")
        expect(page.locator(VALUE)).to_have_text("1.10")
        network.cut()
        expect_not_live(page)
        for value in ("1.20", "1.30", "1.40"):
            call.rev_of(key, value)
        network.mend()
        expect(page.locator(VALUE)).to_have_text("1.40")
        expect_live(page)
