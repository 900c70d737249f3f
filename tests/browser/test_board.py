"""/: every key in its category, live."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import partial

from playwright.sync_api import Locator, Page, expect

from tests.browser.faults import Faults
from tests.browser.looking import SEEN_WITHIN_MS, eventually_true
from tests.calls import Caller
from tests.conftest import Server
from tests.polling import eventually

MINUS = "\N{MINUS SIGN}"
LANES = "new Set([...document.querySelectorAll('#rows .key')].map((cell) => cell.getBoundingClientRect().x)).size"
RIGHT_EDGE = "Math.max(...[...document.querySelectorAll('#rows > *')].map((row) => row.getBoundingClientRect().right))"
Item = tuple[str, str, str]  # key, the value's JSON text, category


def write(call: Caller, items: Iterable[Item]) -> None:
    lines = [
        f'{{"key":{json.dumps(key)},"value":{value},"category":{json.dumps(group)}}}' for key, value, group in items
    ]
    for start in range(0, len(lines), 500):
        answer = call("POST", "/batch", "\n".join(lines[start : start + 500]), content_type="application/x-ndjson")
        assert answer.json()["success"], answer.body


def row(page: Page, key: str) -> Locator:
    return page.locator("#rows [role=row][aria-level='2']").filter(
        has=page.get_by_role("link", name=key, exact=True, include_hidden=True)
    )


def category(page: Page, name: str) -> Locator:
    return page.locator("#rows [role=row][aria-level='1']").filter(has=page.get_by_text(name, exact=True))


def cell(page: Page, key: str, name: str) -> Locator:
    return row(page, key).locator(f".{name}")


def is_whole(cell: Locator) -> bool:
    """Whether nothing of its text is cut off."""
    whole: bool = cell.evaluate("(node) => node.scrollWidth <= node.clientWidth")
    return whole


def active_key(page: Page) -> str | None:
    name: str | None = page.evaluate(
        "document.getElementById(document.getElementById('board').getAttribute('aria-activedescendant'))"
        "?.querySelector('.key, .name')?.textContent ?? null"
    )
    return name


def test_a_value_comes_alive_exactly_as_it_was_written(page: Page, fresh_app: Server, fresh_call: Caller) -> None:
    write(fresh_call, [("gold", "2345.60", "metal")])
    page.goto(fresh_app.url)
    expect(cell(page, "gold", "last")).to_have_text("2345.60")
    write(fresh_call, [("gold", "2346.00", "metal")])
    expect(cell(page, "gold", "last")).to_have_text("2346.00")
    expect(cell(page, "gold", "change")).to_have_text("▲+0.40+0.02%")
    write(fresh_call, [("gold", "2345.10", "metal")])
    expect(cell(page, "gold", "change")).to_have_text(f"▼{MINUS}0.50{MINUS}0.02%")


def test_the_trend_begins_with_the_ticks_from_before(page: Page, fresh_app: Server, fresh_call: Caller) -> None:
    for price in ("1.00", "1.50", "1.25"):
        write(fresh_call, [("gold", price, "metal")])
    page.goto(fresh_app.url)
    expect(row(page, "gold").locator("polyline")).to_have_attribute("points", re.compile(r"^\S+ \S+ \S+$"))
    expect(cell(page, "gold", "change")).to_have_text("▲+0.25+25.00%")


def test_an_age_ticks(page: Page, fresh_app: Server, fresh_call: Caller) -> None:
    write(fresh_call, [("gold", "1", "metal")])
    page.goto(fresh_app.url)
    age = cell(page, "gold", "age")
    expect(age).to_have_text(re.compile(r"^\d+ s$"))
    expect(age).not_to_have_text(before := age.inner_text())
    seconds = [int(text.split(" ")[0]) for text in (before, age.inner_text())]
    assert seconds[0] < seconds[1]


def test_keys_come_move_and_go(page: Page, fresh_app: Server, fresh_call: Caller) -> None:
    page.goto(fresh_app.url)
    expect(page.locator("#note")).to_have_text("There are no keys yet. They appear here as they are written.")
    write(fresh_call, [("gold", "1", "metal"), ("oil", "2", "energy")])
    expect(row(page, "gold")).to_be_visible()
    expect(page.locator("#count")).to_have_text("2 keys")
    expect(page.locator("#rows .name")).to_have_text(["energy", "metal"])
    write(fresh_call, [("oil", "3", "metal")])
    expect(page.locator("#rows .name")).to_have_text(["metal"])
    expect(category(page, "metal").locator(".count")).to_have_text("2 keys")
    fresh_call("DELETE", "/keys/gold")
    expect(row(page, "gold")).to_have_count(0)
    expect(page.locator("#count")).to_have_text("1 key")


def test_find_heeds_neither_case_nor_diacritics(page: Page, fresh_app: Server, fresh_call: Caller) -> None:
    write(fresh_call, [("Vàng-SJC", "1", "Kim-loại"), ("Đồng", "2", "Kim-loại"), ("btc", "3", "crypto")])
    page.goto(fresh_app.url)
    expect(row(page, "btc")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("dong")
    expect(page.locator("#rows .key")).to_have_text(["Đồng"])
    expect(page.locator("#rows mark")).to_have_text("Đồng")
    page.locator("#find").fill("KIM sjc")
    expect(page.locator("#rows .key")).to_have_text(["Vàng-SJC"])
    expect(page.locator("#rows mark")).to_have_text(["Kim", "SJC"])
    page.locator("#find").fill("nowhere")
    expect(page.locator("#note")).to_have_text("No key and no category holds “nowhere”.")
    page.keyboard.press("Escape")
    expect(page.locator("#rows .key")).to_have_count(3)
    expect(page.locator("#rows mark")).to_have_count(0)


def test_enter_opens_what_was_found(page: Page, fresh_app: Server, fresh_call: Caller) -> None:
    write(fresh_call, [("gold", "1", "metal"), ("Đồng", "2", "metal")])
    page.goto(fresh_app.url)
    expect(row(page, "gold")).to_be_visible()
    page.locator("#find").fill("dong")
    expect(page.locator("#enter")).to_have_text("· Enter opens Đồng")
    page.keyboard.press("Enter")
    page.wait_for_url("**/viewer/%C4%90%E1%BB%93ng")


def test_the_keyboard_reaches_every_row(page: Page, fresh_app: Server, fresh_call: Caller) -> None:
    write(fresh_call, [(f"k{number}", str(number), "a" if number < 6 else "b") for number in range(12)])
    page.goto(fresh_app.url)
    expect(row(page, "k11")).to_be_visible()
    board = page.locator("#board")
    board.focus()
    expect(board).to_have_attribute("aria-rowcount", "15")  # the heading, two categories, twelve keys
    eventually(lambda: active_key(page) == "k0")
    page.keyboard.press("ArrowRight")
    eventually(lambda: active_key(page) == "k1")
    page.keyboard.press("ArrowDown")  # 1280 px are two lanes
    eventually(lambda: active_key(page) == "k3")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    eventually(lambda: active_key(page) == "a")
    page.keyboard.press("ArrowLeft")
    expect(category(page, "a")).to_have_attribute("aria-expanded", "false")
    expect(row(page, "k1")).to_have_count(0)
    page.keyboard.press("End")
    eventually(lambda: active_key(page) == "k11")
    page.keyboard.press("Enter")
    page.wait_for_url("**/viewer/k11")
    page.go_back()
    expect(row(page, "k11")).to_be_visible()
    expect(category(page, "a")).to_have_attribute("aria-expanded", "false")  # kept
    page.get_by_role("button", name="Unfold all").click()
    expect(row(page, "k1")).to_be_visible()


def test_thousands_of_keys_need_few_elements_and_every_one_is_reached(
    page: Page, fresh_app: Server, fresh_call: Caller
) -> None:
    write(fresh_call, [(f"k{number}", f"{number}.50", f"c{number % 3}") for number in range(3000)])
    page.goto(fresh_app.url)
    expect(page.locator("#count")).to_have_text("3,000 keys")
    assert page.locator("#rows [role=row]").count() < 150
    page.locator("#board").focus()
    page.keyboard.press("End")
    expect(cell(page, "k2999", "last")).to_have_text("2999.50")
    expect(row(page, "k2999")).to_be_in_viewport()
    expect(row(page, "k2999")).to_have_attribute("aria-rowindex", "3004")
    assert page.locator("#rows [role=row]").count() < 150
    indices = "[...document.querySelectorAll('#rows [role=row]')].map((row) => Number(row.ariaRowIndex))"
    eventually(lambda: (found := page.evaluate(indices)) == sorted(found))
    write(fresh_call, [("k2999", "7.00", "c2")])
    expect(cell(page, "k2999", "last")).to_have_text("7.00")


def test_what_comes_above_does_not_move_what_is_read(page: Page, fresh_app: Server, fresh_call: Caller) -> None:
    write(fresh_call, [(f"k{number}", "1", "c") for number in range(500)])
    page.goto(fresh_app.url)
    expect(page.locator("#count")).to_have_text("500 keys")
    page.evaluate("document.getElementById('board').scrollTop = 3000")
    expect(row(page, "k0")).to_have_count(0)
    first = page.locator("#rows [role=row]").filter(has_text="k200")
    expect(first).to_be_visible()
    top = "(row) => row.getBoundingClientRect().top"
    before = first.evaluate(top)
    write(fresh_call, [(f"a{number}", "1", "a") for number in range(20)])
    expect(page.locator("#count")).to_have_text("520 keys")
    eventually(lambda: page.evaluate("document.getElementById('board').scrollTop") > 3000)  # so they are above
    eventually(lambda: abs(before - first.evaluate(top)) <= 1)


def test_hostile_keys_and_values_stay_text(page: Page, fresh_app: Server, fresh_call: Caller) -> None:
    hostile = '"<img src=x onerror=alert(1)><script>alert(2)</script>"'
    write(fresh_call, [("constructor", hostile, "__proto__"), ("__proto__", hostile, "toString")])
    page.goto(fresh_app.url)
    expect(cell(page, "constructor", "last")).to_have_text(hostile)
    expect(cell(page, "__proto__", "last")).to_have_text(hostile)
    page.locator("#find").fill("<img src=x onerror=alert(3)>")
    expect(page.locator("#note")).to_contain_text("<img src=x onerror=alert(3)>")
    assert page.locator("main img, main script").count() == 0


def test_a_dead_server_is_said_with_the_age_of_what_is_shown(
    page: Page, fresh_app: Server, fresh_call: Caller, faults: Faults
) -> None:
    faults.expect_server_away()
    write(fresh_call, [("gold", "1.10", "metal"), ("oil", "2.20", "metal")])
    page.goto(fresh_app.url)
    expect(page.locator("#state")).to_contain_text("Live")
    expect(cell(page, "oil", "last")).to_have_text("2.20")
    fresh_app.kill()
    expect(page.locator("#state")).to_contain_text(re.compile("Not up to date|Offline"), timeout=SEEN_WITHIN_MS)
    expect(page.locator("#state")).to_contain_text(re.compile(r"value \d+ s old"))
    expect(cell(page, "oil", "last")).to_have_text("2.20")
    fresh_app.start()
    expect(page.locator("#state")).to_contain_text("Live")
    with Caller(fresh_app.url, fresh_app.token) as call:
        write(call, [("gold", "1.20", "metal")])
    expect(cell(page, "gold", "last")).to_have_text("1.20")


def test_it_speaks_vietnamese(new_page: Callable[..., Page], fresh_app: Server, fresh_call: Caller) -> None:
    page = new_page(language="vi-VN")
    write(fresh_call, [("gold", "1", "metal")])
    page.goto(fresh_app.url)
    expect(page).to_have_title("Bảng giá · kvcast")
    expect(page.locator("#count")).to_have_text("1 khóa")
    expect(cell(page, "gold", "age")).to_have_text(re.compile("giây"))
    page.locator("#language").click()
    expect(page.locator("#count")).to_have_text("1 key")
    expect(cell(page, "gold", "age")).to_have_text(re.compile(r"\d s"))


def test_a_phone_has_one_lane_and_a_wall_has_many(
    new_page: Callable[..., Page], fresh_app: Server, fresh_call: Caller
) -> None:
    write(fresh_call, [(f"k{number}", "89500000.123", "c") for number in range(40)])
    for size, least, most in (((360, 740), 1, 1), ((1440, 900), 2, 3), ((3840, 2160), 3, 8)):
        page = new_page(size=size)
        page.goto(fresh_app.url)
        expect(cell(page, "k0", "last")).to_have_text("89500000.123")
        expect(page.locator("#count")).to_have_text("40 keys")
        eventually_true(page, f"{least} <= {LANES} && {LANES} <= {most}")
        eventually_true(page, "document.documentElement.scrollWidth <= innerWidth")
        eventually(partial(is_whole, cell(page, "k0", "last")))
        eventually_true(page, f"{size[0] - 4} <= {RIGHT_EDGE} && {RIGHT_EDGE} <= {size[0]}")  # no empty strip


def test_a_wall_is_legible_at_two_metres(
    new_page: Callable[..., Page], fresh_app: Server, fresh_call: Caller
) -> None:
    """5 mm of two metres are 28 px on a wall of 4K and 27 inches, 20 px on one of 38."""
    write(fresh_call, [("gold", "2345.60", "c")])
    page = new_page(size=(3840, 2160))
    page.goto(fresh_app.url)
    size = "(node) => parseFloat(getComputedStyle(node).fontSize)"
    eventually(lambda: cell(page, "gold", "last").evaluate(size) >= 28)
    eventually(lambda: page.locator("#rows .key a").first.evaluate(size) >= 28)


def test_text_takes_the_room_of_trend_and_change(
    page: Page, fresh_app: Server, fresh_call: Caller
) -> None:
    text = '"open from nine in the morning until five"'
    write(fresh_call, [("desk", text, "c"), ("gold", "1", "c")])
    page.goto(fresh_app.url)
    told = cell(page, "desk", "last")
    expect(told).to_have_text(text)
    eventually(lambda: is_whole(told))
    write(fresh_call, [("desk", "7", "c")])
    expect(cell(page, "desk", "trend")).to_be_visible()
