"""Pages where reads need a token: without one they say so, and a link that holds one opens them."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.faults import Faults
from tests.browser.looking import expect_live
from tests.calls import Caller
from tests.conftest import Server
from tests.security.signing import SECRET, shared

KEY = "closed.page.gold"
REASON = "Reading needs a token here; open the link that holds one."


def test_the_board_and_the_viewer_open_with_a_link_that_holds_a_token(
    page: Page, faults: Faults, serve: Callable[..., Server]
) -> None:
    faults.expect("401")
    server = serve("local", KVCAST_READ_AUTH="token", KVCAST_JWT_SECRET=SECRET)
    with Caller(server.url, server.token) as call:
        call.rev_of(KEY, "2345.60")
    for path in ("/", f"/viewer/{KEY}"):
        page.goto(server.url + path)
        expect(page.locator("#state")).to_contain_text(REASON)
        expect(page.locator("main")).not_to_contain_text("2345.60")
    token = shared(scope="read:closed.page.")
    page.goto("about:blank")
    page.goto(f"{server.url}/viewer/{KEY}#token={token}")
    expect_live(page)
    expect(page.locator("main")).to_contain_text("2345.60")
    assert token not in page.url
    with Caller(server.url, server.token) as call:
        call.rev_of(KEY, "2350.10")
    expect(page.locator("main")).to_contain_text("2350.10")
    page.goto("about:blank")
    page.goto(f"{server.url}/#token={server.token}")
    expect_live(page)
    expect(page.locator("main")).to_contain_text(KEY)
