"""What holds on every page: no error, no violation, every size, both themes, keyboard only, nothing that moves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.accessibility import FOLDER, violations
from tests.browser.faults import Faults
from tests.browser.looking import eventually_true, expect_live
from tests.conftest import Server
from tests.polling import eventually

# What a page shows, by what is asked for: the address, and a text that is there when the page is complete.
PAGES = {
    "board": ("/", "2"),
    "viewer of a price": ("/viewer/gold", "2"),
    "viewer of a text": ("/viewer/status", "17:00"),
    "viewer of an object": ("/viewer/desk", "1500000.00"),
    "viewer of nothing": ("/viewer/not-yet", ""),
    "sign-in": ("/admin", ""),
    "admin": ("/admin#token=", "gold"),
    "docs": ("/docs", "/add"),
    "benchmark report": ("/benchmark-report", "make bench"),
    "push beside polling": ("/socket-vs-polling", "make bench"),
}
WORKERS_OWN = {"/sharing.js", "/outbox.js"}  # what the shared worker fetches for itself
LIVE = [name for name in PAGES if name not in ("sign-in", "docs", "benchmark report", "push beside polling")]
SIDEWAYS = """() => {
  const width = document.documentElement.clientWidth;
  const scrolls = (node) => node && node !== document.body &&
    (/auto|scroll|hidden|clip/.test(getComputedStyle(node).overflowX) || scrolls(node.parentElement));
  const outside = [...document.body.querySelectorAll("*")].filter((node) => {
    const box = node.getBoundingClientRect();
    return box.width && box.height && box.right > width + 1 && !scrolls(node.parentElement);
  });
  const named = outside.slice(0, 5).map((node) => node.outerHTML.slice(0, 120));
  const whole = document.documentElement.scrollWidth;
  return whole > width ? [`scrolls to ${whole}`, ...named] : named;
}"""
# What Tab should reach: of the radios of a group one, of what is hidden or taken out of the order nothing.
REACHABLE = """() => {
  const radios = new Set();
  const wanted = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")];
  return wanted.filter((node) => {
    if (node.tabIndex < 0 || node.disabled || !node.checkVisibility({ visibilityProperty: true })) return false;
    if (node.type !== "radio") return true;
    return !radios.has(node.name) && radios.add(node.name);
  }).length;
}"""
FOCUSED = """() => {
  const node = document.activeElement;
  if (!node || node === document.body) return null;
  window.walked ??= new Map();
  if (!walked.has(node)) walked.set(node, walked.size);
  const style = getComputedStyle(node);
  const marked = (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
  return { number: walked.get(node), marked, text: node.outerHTML.slice(0, 120) };
}"""
MOVES = """() => [...document.querySelectorAll("*")].filter((node) => {
  const style = getComputedStyle(node);
  const lasts = (times) => times.split(",").some((time) => parseFloat(time) > 0.001);
  const animated = style.animationName !== "none" && lasts(style.animationDuration);
  return animated || lasts(style.transitionDuration) || style.scrollBehavior === "smooth";
}).map((node) => node.outerHTML.slice(0, 120))"""


@pytest.fixture
def show(filled_app: Server) -> Callable[[Page, str], Page]:
    """`show(page, "viewer of a price")` opens it and waits until it is complete."""

    def show(page: Page, name: str) -> Page:
        path, text = PAGES[name]
        page.goto(filled_app.url + path + (filled_app.token if path.endswith("=") else ""))
        expect(page.locator("main")).to_contain_text(text)
        if name in LIVE:
            expect_live(page)
        return page

    return show


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


def test_a_value_comes_alive_exactly_as_it_was_written(
    page: Page, app: Server, unique_key: Callable[..., str], feed: Callable[..., object]
) -> None:
    key = unique_key("gold")
    page.goto(f"{app.url}/viewer/{key}")
    feed(app, f"{key},2345.60\n")
    expect(page.locator("#value")).to_have_text("2345.60")
    feed(app, f"{key},2345.70\n")
    expect(page.locator("#value")).to_have_text("2345.70")


@pytest.mark.parametrize("name", ["board", "viewer of a price", "admin", "docs"])
def test_every_module_is_fetched_at_once_and_none_for_nothing(
    new_page: Callable[..., Page], show: Callable[[Page, str], Page], name: str
) -> None:
    page = new_page()
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(urlsplit(request.url).path))
    show(page, name)
    preloaded = page.eval_on_selector_all(
        "link[rel=modulepreload]", "links => links.map((link) => new URL(link.href).pathname)"
    )
    own = page.eval_on_selector_all("script[src]", "scripts => scripts.map((script) => new URL(script.src).pathname)")
    modules = {path for path in fetched if path.endswith(".js")} - {"/worker.js"}
    assert modules - set(own) - WORKERS_OWN == set(preloaded) - WORKERS_OWN
    assert len(preloaded) == len(set(preloaded))
    assert set(preloaded) >= {"/i18n.js", "/chrome.js"}


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_violation_in_either_theme_and_language(
    new_page: Callable[..., Page], show: Callable[[Page, str], Page], name: str
) -> None:
    page = show(new_page(reduced_motion="reduce"), name)  # so that no colour is between two themes
    for language in ("en", "vi"):
        expect(page.locator("html")).to_have_attribute("lang", language)
        for theme in ("dark", "light"):
            page.emulate_media(color_scheme=theme)
            found = violations(page)
            assert not found, "\n".join([language, theme, *found])
        page.locator("#language").click()


def test_axe_is_what_was_vendored() -> None:
    (record,) = json.loads((FOLDER / "VENDORED.json").read_text())
    for name, sha256 in record["sha256"].items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == sha256, name


def test_axe_finds_what_is_wrong(page: Page, show: Callable[[Page, str], Page]) -> None:
    show(page, "docs")
    page.evaluate("document.querySelector('main').append(document.createElement('input'))")
    assert any(line.startswith("label: ") for line in violations(page))


def nothing_is_sideways(page: Page) -> bool:
    found = page.evaluate(SIDEWAYS)
    assert not found, "\n".join(found)
    return True


@pytest.mark.parametrize("name", PAGES)
def test_nothing_scrolls_sideways_on_a_telephone_or_a_wall(
    new_page: Callable[..., Page], show: Callable[[Page, str], Page], name: str
) -> None:
    page = show(new_page(size=(360, 740), has_touch=True), name)
    for _language in range(2):
        for width, height in ((360, 740), (3840, 2160)):
            page.set_viewport_size({"width": width, "height": height})
            eventually(lambda: nothing_is_sideways(page))
        page.locator("#language").click()


@pytest.mark.parametrize("language", ["en-US", "vi-VN"])
def test_the_header_is_one_row_on_a_telephone(
    new_page: Callable[..., Page], show: Callable[[Page, str], Page], language: str
) -> None:
    page = show(new_page(language, size=(360, 740)), "board")
    eventually(lambda: page.locator("#chrome").evaluate("(node) => node.offsetHeight") <= 56)


def test_a_price_is_legible_at_two_metres(new_page: Callable[..., Page], show: Callable[[Page, str], Page]) -> None:
    """A letter of 1/400 of the distance is read with ease: 5 mm of two metres, some 20 px; a price is far above it."""
    page = show(new_page(size=(1440, 900)), "viewer of a price")
    size = "parseFloat(getComputedStyle(document.querySelector('#value')).fontSize)"
    eventually(lambda: page.evaluate(size) >= 80)  # it is fitted when the text is there


def background(page: Page) -> float:
    """How light the page is, 0 to 255."""
    colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red, green, blue = (int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(", "))
    return (red + green + blue) / 3


@pytest.mark.parametrize("name", PAGES)
def test_a_page_follows_the_theme_of_the_system_and_keeps_that_of_the_switch(
    page: Page, show: Callable[[Page, str], Page], name: str
) -> None:
    show(page, name)
    eventually(lambda: background(page) < 64)
    page.emulate_media(color_scheme="light")
    eventually(lambda: background(page) > 192)
    for _ in range(3):
        page.locator("#theme").click()
        if background(page) < 64:
            break
    assert background(page) < 64
    page.reload()
    eventually(lambda: background(page) < 64)  # the chosen theme was kept


@pytest.mark.parametrize("name", PAGES)
def test_the_keyboard_reaches_everything_and_shows_where_it_is(
    page: Page, show: Callable[[Page, str], Page], name: str
) -> None:
    show(page, name)
    page.evaluate("document.activeElement.blur()")
    wanted = page.evaluate(REACHABLE)
    reached = set()
    for _ in range(min(wanted, 60) + 2):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused is None:
            continue
        assert focused["marked"], f"has the focus and does not show it: {focused['text']}"
        reached.add(focused["number"])
    assert len(reached) >= min(wanted, 60)


@pytest.mark.parametrize("name", PAGES)
def test_nothing_moves_for_people_who_ask_for_that(
    new_page: Callable[..., Page], show: Callable[[Page, str], Page], name: str
) -> None:
    page = show(new_page(reduced_motion="reduce"), name)
    assert page.evaluate(MOVES) == []
    eventually_true(page, "document.getAnimations().length === 0")
