"""Keys, values and tokens of people who mean harm: shown as text, and nothing runs."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.faults import Faults
from tests.browser.looking import eventually_true, open_live
from tests.calls import Caller
from tests.conftest import Server

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)><svg onload=alert(3)>\"'`</textarea>"
KEYS = [
    "__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "valueOf", "__defineGetter__",
    "then", "length", "undefined", "NaN", "-1", "a..b", ":@+-",
    "עברית.שלום", "مفتاح", "ключ", "键", "vàng-SJC", "k" * 128,
]
TEXTS = {
    "script": SCRIPT,
    "closing-tags": "</pre></title></script></style>-->]]>",
    "link": "javascript:alert(1)",
    "css": "url(javascript:alert(1)); } * { display: none",
    "right-to-left": "\u202eexe.2345.60\u202c \u2066\u200f\u061c",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 🇻🇳 e\u0301",
    "zalgo": "Z" + "\u0301\u0316\u0489" * 200,
    "controls": "\u0001\u001b[31m\u0007\u2028\u2029\ufeff\t\n",
    "templates": "${alert(1)} {{constructor.constructor('alert(1)')()}} %00 {name}",
    "sixty-four-kilobytes": "<b>" * 21_000,
}
VALUES = {name: json.dumps(text, ensure_ascii=False) for name, text in TEXTS.items()} | {
    "prototype": '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"then":null}',
    "deep": "[" * 64 + "]" * 64,
    "wide": "[" + ",".join("0" for _ in range(20_000)) + "]",
    "many-digits": "1234567890" * 200 + ".10",
    "duplicates": '{"a":1.0,"a":2.00,"":{"":null}}',
}
NUMBERS = ["1e400", "-0.0", "1E+5", "12345678901234567890.10", "0.1000000000000000055511151231257827", "1e-400"]
UNHARMED = """() => {
  const planted = document.querySelectorAll("script:not([src]), img[src='x'], [onload], [onerror], b, iframe").length;
  return planted === 0 && Object.keys(Object.prototype).length === 0 && ({}).polluted === undefined
    && document.styleSheets.length > 0 && document.querySelector("main").checkVisibility();
}"""


@pytest.fixture
def tall(new_page: Callable[..., Page]) -> Page:
    """Every row of these tests fits it."""
    return new_page(size=(1440, 2000))


def fill(call: Caller) -> None:
    for key in KEYS:
        call.rev_of(key, json.dumps(SCRIPT), more=',"category":"__proto__"')
    for name, value in VALUES.items():
        call.rev_of(name, value, more=',"category":"constructor"')


def test_the_board_shows_hostile_keys_and_values_as_text(tall: Page, fresh_app: Server, fresh_call: Caller) -> None:
    fill(fresh_call)
    open_live(tall, fresh_app.url)
    for key in [*KEYS, *VALUES]:
        expect(tall.get_by_role("link", name=key, exact=True)).to_have_count(1)
    assert tall.evaluate(UNHARMED)
    for key in KEYS:  # the same again, as live updates
        fresh_call.rev_of(key, json.dumps(SCRIPT + "2"), more=',"category":"valueOf"')
    expect(tall.locator("#rows")).to_contain_text("valueOf")
    for wanted in (SCRIPT, ".*[(", "\\", "__proto__", "\u202e"):
        tall.locator("#find").fill(wanted)
        assert tall.evaluate(UNHARMED)


def test_the_console_shows_hostile_keys_and_values_as_text(tall: Page, fresh_app: Server, fresh_call: Caller) -> None:
    fill(fresh_call)
    tall.goto(f"{fresh_app.url}/admin#token={fresh_app.token}")
    for key in [*KEYS, *VALUES]:
        expect(tall.locator("#rows").get_by_text(key, exact=True).first).to_be_visible()
    assert tall.evaluate(UNHARMED)


def test_the_viewer_shows_hostile_values_as_text(page: Page, app: Server, unique_key: Callable[..., str]) -> None:
    with Caller(app.url, app.token) as call:
        for name, value in VALUES.items():
            key = unique_key(name)
            call.rev_of(key, value)
            open_live(page, f"{app.url}/viewer/{key}")
            expect(page.locator("#value")).to_be_visible()
            assert page.locator("#value").text_content()
            assert page.evaluate(UNHARMED), name
            call.rev_of(key, "2345.60")
            expect(page.locator("#value")).to_have_text("2345.60")
            call.rev_of(key, value)  # the same as a live update
            expect(page.locator("#value")).not_to_have_text("2345.60")
            assert page.evaluate(UNHARMED), name
            assert page.title()


def test_numbers_that_no_computer_holds_are_shown_as_they_were_written(
    page: Page, app: Server, unique_key: Callable[..., str]
) -> None:
    key = unique_key()
    with Caller(app.url, app.token) as call:
        for number in NUMBERS:
            call.rev_of(key, number)
            open_live(page, f"{app.url}/viewer/{key}")
            expect(page.locator("#value")).to_have_text(number)
            call.rev_of(key, "1")
            expect(page.locator("#value")).to_have_text("1")
            call.rev_of(key, number)
            expect(page.locator("#value")).to_have_text(number)


def test_the_viewer_of_a_hostile_key_is_live(page: Page, app: Server) -> None:
    with Caller(app.url, app.token) as call:
        for key in KEYS:
            call.rev_of(key, "1.50")
            open_live(page, f"{app.url}/viewer/{key}")
            expect(page.locator("#value")).to_have_text("1.50")
            call.rev_of(key, "1.60")
            expect(page.locator("#value")).to_have_text("1.60")
            assert key[:20] in (page.locator("main").text_content() or "")
            assert page.evaluate(UNHARMED), key


@pytest.mark.parametrize("key", [SCRIPT, "%ff", "a b", "..%2f..%2fetc%2fpasswd", "👍", "%00", "x" * 129])
def test_an_address_that_names_no_key_is_answered_in_words(page: Page, app: Server, faults: Faults, key: str) -> None:
    faults.expect(r"status of 40[04]")
    page.goto(f"{app.url}/viewer/{key if key.startswith(('%', '..')) else page.evaluate('encodeURIComponent', key)}")
    eventually_true(page, "document.body.innerText.length > 20")
    assert page.evaluate("document.querySelectorAll('script:not([src]), img, svg').length === 0")


@pytest.mark.parametrize("token", [SCRIPT, "không-phải-token", "%ff%zz", "a\u0001b", "x" * 5000])
def test_a_hostile_token_is_refused_in_words(page: Page, app: Server, faults: Faults, token: str) -> None:
    faults.expect(r"status of 40[013]")
    page.goto(f"{app.url}/admin#token={token}")
    expect(page.locator("#sign-in")).to_be_visible()
    expect(page.locator("#sign-in-status")).not_to_be_empty()
    assert page.evaluate(UNHARMED)


@pytest.mark.parametrize(
    ("key", "value"),
    [(SCRIPT[:128], "1"), ("gold", SCRIPT), ("gold", '{"a":NaN}'), ("gold", "[" * 65 + "]" * 65)],
    ids=["key", "no JSON", "NaN", "too deep"],
)
def test_hostile_input_into_the_console_is_refused_in_words(
    page: Page, console_url: str, faults: Faults, key: str, value: str
) -> None:
    faults.expect(r"status of 400")
    page.goto(console_url)
    page.locator("#key").fill(key)
    page.locator("#value").fill(value)
    page.locator("#save").click()
    expect(page.locator("#edit-status")).to_have_attribute("data-error", "true")
    expect(page.locator("#edit-status")).not_to_be_empty()
    expect(page.locator("#value")).to_have_value(value)  # nothing that was typed is lost
    assert page.evaluate(UNHARMED)
