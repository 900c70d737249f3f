"""Vietnamese and English: chosen by the browser's language and a switch, kept, and complete."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import PRICES, TEXTS
from tests.browser.faults import Faults
from tests.browser.looking import expect_live
from tests.conftest import Server

WEB = Path(__file__).parents[2] / "web"
PAGES = ["/", "/viewer/gold", "/viewer/status", "/viewer/desk", "/viewer/not-yet", "/admin", "/admin#token="]
# What is complete when this text is there; the others when they are live.
STILL = {"/docs": "/add", "/benchmark-report": "make bench", "/socket-vs-polling": "make bench"}
# Stands in for i18n.js and keeps what the pages' texts define.
COLLECTOR = """
globalThis.defined = [];
export const define = (texts) => globalThis.defined.push(texts);
export const [t, translate, language, setLanguage, knows, changes] = [];
"""
COLLECT = """async (files) => {
  for (const file of files) await import(`/${file}`);
  return defined.map((texts) => Object.fromEntries(Object.entries(texts).map(([code, named]) =>
    [code, Object.fromEntries(Object.entries(named).map(([name, text]) => [name, String(text)]))])));
}"""
# What a person reads or hears, but for what is the same in every language: code, and text that says which it is in.
SAID = """() => {
  const said = new Set();
  const say = (text) => /\\p{L}{2}/u.test(text ?? "") && said.add(text.trim());
  const same = (node) => node.closest("code, pre, option[value], [translate='no'], main [lang], script, noscript");
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!same(node) && node.checkVisibility()) say(walker.currentNode.data);
  }
  for (const node of document.querySelectorAll("[aria-label], [placeholder], [title]")) {
    if (same(node)) continue;
    for (const name of ["aria-label", "placeholder", "title"]) say(node.getAttribute(name));
  }
  return [...said];
}"""
DATA = {name for key in PRICES for name in key} | TEXTS.keys() | {*TEXTS.values(), "desk", "default", "not-yet"}
# Names that are written the same in both languages.
NAMES = {
    "kvcast", "Admin", "CPU", "Rev", "rev", "p50", "p99", "API", "NDJSON", "CSV", "TTL", "HPA", "Pod",
    "write", "read", "push", "openapi.json", "TradingView Lightweight Charts™", "© 2026 TradingView, Inc.", "admin",
    "p50 ms", "p99 ms", "Centrifuge", "Node.js",
}
# Figures, names of workers, and a side with its number of processes.
MEASURED = re.compile(rf"^[≤ \d.,]+ ms$|^kvcast [\d.]+$|^{re.escape(platform.node())}-\d+|^(Node\.js|kvcast), \d$")


@pytest.mark.parametrize(
    ("browser_language", "expected"), [("vi-VN", "vi"), ("en-GB", "en"), ("fr-FR", "en"), ("vi", "vi")]
)
def test_a_page_speaks_the_language_of_the_browser(
    new_page: Callable[..., Page], filled_app: Server, browser_language: str, expected: str
) -> None:
    page = new_page(browser_language)
    page.goto(filled_app.url)
    expect(page.locator("html")).to_have_attribute("lang", expected)
    expect(page.locator("#chrome nav")).to_contain_text({"vi": "Tài liệu", "en": "Docs"}[expected])


def test_the_switch_is_kept_over_a_reload_and_on_every_page(page: Page, filled_app: Server) -> None:
    page.goto(filled_app.url)
    expect(page.locator("#chrome nav")).to_contain_text("Docs")
    page.locator("#language").click()
    expect(page.locator("#chrome nav")).to_contain_text("Tài liệu")
    expect_live(page)
    expect(page.locator("#state")).to_contain_text("Trực tiếp")
    page.reload()
    for path in ("/", "/viewer/gold", "/admin", "/docs"):
        page.goto(filled_app.url + path)
        expect(page.locator("html")).to_have_attribute("lang", "vi")
        expect(page.locator("#chrome nav")).to_contain_text("Tài liệu")
    page.locator("#language").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_every_text_is_there_in_both_languages_with_the_same_parameters(
    page: Page, app: Server, faults: Faults
) -> None:
    faults.expect("favicon")
    def stand_in(route: Route) -> None:
        route.fulfill(body=COLLECTOR, content_type="text/javascript")

    page.goto(f"{app.url}/openapi.json")  # under no policy but the same origin
    page.route("**/i18n.js", stand_in)
    files = sorted(path.name for path in WEB.glob("*-text.js"))
    assert len(files) >= 4
    defined: list[dict[str, Any]] = page.evaluate(COLLECT, files)
    assert len(defined) >= len(files)
    for texts in defined:
        # More in Vietnamese are the sentences that the server and the client say in English anyway.
        assert texts["en"].keys() <= texts["vi"].keys()
        for name, text in texts["en"].items():
            if "=>" not in text:
                assert parameters(text) == parameters(texts["vi"][name]), name


def test_every_reason_that_the_client_gives_is_known_in_vietnamese() -> None:
    sources = ("attention.js", "client.js", "reconnecting.js", "shared.js")
    said = {reason for name in sources for reason in re.findall(r'"([A-Z][a-z][^"]*\.)"', (WEB / name).read_text())}
    assert {"Connecting again.", "The network is away."} <= said
    known = (WEB / "chrome-text.js").read_text(encoding="utf-8")
    assert [reason for reason in said if f'"{reason}": "' not in known] == []


def parameters(text: str) -> set[str]:
    return {part.split("}")[0] for part in text.split("{")[1:]}


@pytest.mark.parametrize("path", [*PAGES, *STILL])
def test_nothing_is_left_in_the_other_language(
    new_page: Callable[..., Page], filled_app: Server, path: str
) -> None:
    said = []
    for language in ("en-US", "vi-VN"):
        page = new_page(language)
        page.goto(filled_app.url + path + (filled_app.token if path.endswith("=") else ""))
        if path in STILL:
            expect(page.locator("main")).to_contain_text(STILL[path])
        elif path != "/admin":
            expect_live(page)
        said.append(set(page.evaluate(SAID)))
    english, vietnamese = said
    assert len(english) > 4
    same = {text for text in english & vietnamese if text not in DATA | NAMES and not MEASURED.search(text)}
    assert not same, sorted(same)
