"""client.js as other people's pages use it: in a real browser, on the real server, with what may be in its way."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page

from tests.browser.conftest import PATIENCE_MS
from tests.browser.faults import Faults
from tests.browser.looking import SEEN_WITHIN_MS, eventually_true, set_hidden, viewers
from tests.calls import Caller
from tests.conftest import Server
from tests.polling import eventually

# `told` is what the handler got: values as text, other events by their name.
START = """async ({ keys, options, connecting }) => {
  const { connect } = await import(connecting.source ?? "/client.js");
  window.told = [];
  window.toldAt = [];
  window.connection = connect(connecting);
  const text = ({ op, value, recovered }) => value ?? (op === "ready" ? `ready ${recovered}` : op);
  connection.watch(keys, options, (event) => toldAt.push(performance.now()) && told.push(text(event)));
}"""
NO_SOCKETS = """window.WebSocket = class extends WebSocket {
  constructor(url) { super(`${url}/../blocked`); }
};"""
OTHER_PAGE = b"<!doctype html><title>another site</title><link rel=icon href=data:,>"


def start(page: Page, keys: list[str], options: dict[str, Any] | None = None, **connecting: Any) -> None:
    page.evaluate(START, {"keys": keys, "options": options or {}, "connecting": connecting})


def expect_told(page: Page, told: list[str]) -> None:
    with suppress(AssertionError):
        eventually_true(page, f"JSON.stringify(told) === JSON.stringify({json.dumps(told)})")
    assert page.evaluate("told") == told


def values_told(page: Page) -> list[str]:
    return [told for told in page.evaluate("told") if told[0].isdigit()]


def open_plain(page: Page, server: Server) -> Page:
    page.goto(f"{server.url}/docs")
    return page


@pytest.fixture
def other_site() -> Iterator[str]:
    """A page of another origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(OTHER_PAGE)

        def log_message(self, *_: Any) -> None:
            pass

    site = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    yield f"http://localhost:{site.server_port}"
    site.shutdown()
    site.server_close()


def test_a_value_is_written_and_read_to_the_letter(
    page: Page, app: Server, faults: Faults, unique_key: Callable[..., str]
) -> None:
    faults.expect("404")
    key = unique_key("vàng")
    open_plain(page, app)
    start(page, [key], token=app.token)
    eventually_true(page, "connection.state === 'live'")
    written = page.evaluate("key => connection.set(key, '2345.60', { raw: true, category: 'metal' })", key)
    expect_told(page, ["absent", "ready true", "2345.60"])
    entry = page.evaluate("key => connection.get(key)", key)
    assert (entry["value"], entry["category"], entry["rev"]) == ("2345.60", "metal", written["rev"])
    assert page.evaluate("key => connection.get(key + '.never')", key) is None


def test_a_conflict_is_told_with_what_it_was_about(
    page: Page, app: Server, faults: Faults, unique_key: Callable[..., str]
) -> None:
    faults.expect("412")
    key = unique_key()
    open_plain(page, app)
    start(page, [], {"prefix": key}, token=app.token)
    first = page.evaluate("key => connection.set(key, 1)", key)
    second = page.evaluate("([key, rev]) => connection.set(key, 2, { ifRev: rev })", [key, first["rev"]])
    tried = "([key, options]) => connection.set(key, 3, options).catch((e) => [e.name, e.status, e.code])"
    for options in ({"ifRev": first["rev"]}, {"createOnly": True}):
        assert page.evaluate(tried, [key, options]) == ["KvcastError", 412, "precondition_failed"]
    assert page.evaluate("key => connection.get(key)", key)["rev"] == second["rev"]


def test_every_tick_survives_the_death_of_the_server(
    page: Page, fresh_app: Server, fresh_call: Caller, faults: Faults
) -> None:
    faults.expect_server_away()
    fresh_call.rev_of("gold", "1")
    open_plain(page, fresh_app)
    start(page, ["gold"], {"mode": "every"})
    expect_told(page, ["1", "ready true"])
    fresh_app.kill()
    eventually_true(page, "connection.state !== 'live'", SEEN_WITHIN_MS / 1000)
    fresh_app.start()
    with Caller(fresh_app.url, fresh_app.token) as call:
        for value in ("2", "3.0", "4.00"):
            call.rev_of("gold", value)
    eventually_true(page, "told.includes('4.00')")
    assert values_told(page) == ["1", "2", "3.0", "4.00"]
    assert "ready false" not in page.evaluate("told")


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "alone"])
def test_another_site_may_use_it_when_its_origin_is_allowed(
    page: Page, serve: Callable[..., Server], other_site: str, unique_key: Callable[..., str], shared: bool
) -> None:
    server, key = serve("local", KVCAST_ALLOWED_ORIGINS=other_site), unique_key()
    page.goto(other_site)
    start(page, [key], url=server.url, token=server.token, shared=shared, source=f"{server.url}/client.js")
    eventually_true(page, "connection.state === 'live'")
    page.evaluate("key => connection.set(key, '2.50', { raw: true })", key)
    expect_told(page, ["absent", "ready true", "2.50"])
    assert page.evaluate("connection.carrier") == "SocketLink"
    assert page.evaluate("key => connection.get(key)", key)["value"] == "2.50"


def test_another_site_is_refused_when_its_origin_is_not_allowed(
    page: Page, app: Server, other_site: str, faults: Faults
) -> None:
    faults.expect("CORS|net::ERR_FAILED|Failed to fetch")
    page.goto(other_site)
    refused = page.evaluate("url => import(url).then(() => false, () => true)", f"{app.url}/client.js")
    assert refused


@pytest.mark.parametrize("carrier", ["EventLink", "PollLink"])
def test_where_the_socket_is_blocked_the_same_comes_another_way(
    page: Page, app: Server, faults: Faults, unique_key: Callable[..., str], carrier: str
) -> None:
    faults.expect(r"WebSocket connection to|/sse|net::ERR_FAILED")
    key, call = unique_key(), Caller(app.url, app.token)
    call.rev_of(key, "2345.60")
    page.add_init_script(NO_SOCKETS)
    if carrier == "PollLink":
        page.route("**/sse*", lambda route: route.abort())
    open_plain(page, app)
    start(page, [key, f"{key}.later"], shared=False)
    expect_told(page, ["2345.60", "absent", "ready true"])
    assert page.evaluate("connection.carrier") == carrier
    call.rev_of(key, "2345.70")
    call.rev_of(f"{key}.later", '{"a": 1.0}')
    expect_told(page, ["2345.60", "absent", "ready true", "2345.70", '{"a": 1.0}'])
    assert call("DELETE", f"/keys/{key}").status == 200
    eventually_true(page, "['del', 'absent'].includes(told.at(-1)) && told.length === 6")


def open_without_sockets(page: Page, app: Server) -> list[str]:
    """The streams that are asked for from here on."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/sse?" in request.url else None)
    page.add_init_script(NO_SOCKETS)
    open_plain(page, app)
    return asked


def test_mode_and_rate_are_kept_where_the_socket_is_blocked(
    page: Page, app: Server, faults: Faults, unique_key: Callable[..., str]
) -> None:
    """Each tick stays each tick, over a further stream too; a hidden tab is asked for less, a shown one catches up."""
    faults.expect(r"WebSocket connection to")
    key, call = unique_key(), Caller(app.url, app.token)
    call.rev_of(key, "0")
    asked = open_without_sockets(page, app)
    start(page, [key], {"mode": "every"}, shared=False)
    expect_told(page, ["0", "ready true"])
    page.evaluate("key => connection.watch([key], {}, () => {})", f"{key}.other")
    for n in range(1, 40):
        call.rev_of(key, str(n))
    eventually_true(page, "told.at(-1) === '39'")
    assert values_told(page) == [str(n) for n in range(40)]
    assert page.evaluate("connection.carrier") == "EventLink"
    eventually(lambda: page.evaluate("1") and "since=" in asked[-1])
    assert all("mode=every" in url for url in asked)


def test_a_hidden_tab_asks_for_less_where_the_socket_is_blocked(
    page: Page, app: Server, faults: Faults, unique_key: Callable[..., str]
) -> None:
    faults.expect(r"WebSocket connection to")
    key, call = unique_key(), Caller(app.url, app.token)
    call.rev_of(key, "0")
    asked = open_without_sockets(page, app)
    start(page, [key], shared=False)
    expect_told(page, ["0", "ready true"])
    assert "max_rate" not in asked[-1]
    set_hidden(page, True)
    eventually(lambda: page.evaluate("1") and "max_rate=1" in asked[-1])
    began = time.monotonic()
    for n in range(1, 20):
        call.rev_of(key, str(n))
    set_hidden(page, False)
    eventually_true(page, "told.at(-1) === '19'")
    count = len(page.evaluate("told"))
    assert count < 8 + time.monotonic() - began
    eventually(lambda: page.evaluate("1") and "max_rate" not in asked[-1])

    def told_two_in_less_than_a_second() -> bool:
        call.rev_of(key, "20")
        close: bool = page.evaluate(f"toldAt.some((at, i) => i > {count} && at - toldAt[i - 1] < 500)")
        return close

    eventually(told_two_in_less_than_a_second, every=0.05)


@pytest.mark.parametrize("obstacle", ["none there", "not to be loaded"])
def test_without_a_shared_worker_it_has_a_socket_of_its_own(
    page: Page, fresh_app: Server, fresh_call: Caller, faults: Faults, obstacle: str
) -> None:
    fresh_call.rev_of("gold", "2345.60")
    if obstacle == "none there":
        page.add_init_script("delete window.SharedWorker")
    else:
        faults.expect("net::ERR_FAILED|worker")
        page.context.route("**/worker.js", lambda route: route.abort())
    open_plain(page, fresh_app)
    start(page, ["gold"])
    expect_told(page, ["2345.60", "ready true"])
    assert viewers(fresh_app) == 1


@pytest.fixture
def two_tabs(new_context: Callable[..., BrowserContext], fresh_app: Server, fresh_call: Caller) -> list[Page]:
    fresh_call.rev_of("gold", "1")
    context = new_context()
    tabs = [open_plain(context.new_page(), fresh_app) for _ in range(2)]
    for tab in tabs:
        start(tab, ["gold"], {"mode": "every"})
        expect_told(tab, ["1", "ready true"])
    return tabs


def test_tabs_survive_the_death_of_their_worker(
    two_tabs: list[Page], browser: Browser, fresh_app: Server, fresh_call: Caller
) -> None:
    assert viewers(fresh_app) == 1
    end_worker(browser, fresh_app)
    for tab in two_tabs:
        eventually_true(tab, "connection.state !== 'live' || told.length > 2")
    fresh_call.rev_of("gold", "2")
    fresh_call.rev_of("gold", "3")
    for tab in two_tabs:
        eventually_true(tab, "connection.state === 'live' && told.includes('3')")
        assert values_told(tab) == ["1", "2", "3"]
    eventually(lambda: viewers(fresh_app) == 1)


def end_worker(browser: Browser, server: Server) -> None:
    """That of the pages of `server`, from inside, since the protocol of the browser's tools has no other way."""
    session = browser.new_browser_cdp_session()
    targets = session.send("Target.getTargets")["targetInfos"]
    (worker,) = [each for each in targets if each["type"] == "shared_worker" and each["url"].startswith(server.url)]
    attached = session.send("Target.attachToTarget", {"targetId": worker["targetId"], "flatten": False})
    message = '{"id":1,"method":"Runtime.evaluate","params":{"expression":"self.close()"}}'
    session.send("Target.sendMessageToTarget", {"sessionId": attached["sessionId"], "message": message})
    session.detach()


def test_a_tab_stays_right_when_another_crashes(two_tabs: list[Page], fresh_app: Server, fresh_call: Caller) -> None:
    crashed, other = two_tabs
    crash(crashed)
    for value in ("2", "3"):
        fresh_call.rev_of("gold", value)
    # The worker may have lived in the process that crashed; then it was replaced, which `ready` tells.
    eventually_true(other, "connection.state === 'live' && told.includes('3')")
    assert values_told(other) == ["1", "2", "3"]
    eventually(lambda: viewers(fresh_app) == 1)


def crash(page: Page) -> None:
    with page.expect_event("crash"), suppress(Error):
        page.goto("chrome://crash", timeout=PATIENCE_MS)
