"""/viewer/<key>: the value, where it went, its chart, its words, its tab, its frame."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.faults import Faults
from tests.browser.looking import expect_live, open_live
from tests.calls import Caller
from tests.conftest import Server
from tests.polling import eventually

Names = Callable[..., str]
LENGTHS = {
    "one digit": "7",
    "price": "2345.60",
    "long number": "123456789012345678901234567890.12345678901234567890",
    "sentence": '"The market in Hà Nội is closed until half past eight in the morning of the next working day."',
    "object": '{"bid":2345.60,"ask":2346.10,"venues":["SJC","PNJ"]}',
    "one word of 4000 letters": f'"{"vàng" * 1000}"',
}


@pytest.fixture
def gold(page: Page, app: Server, call: Caller, unique_key: Names) -> tuple[Page, str]:
    """A viewer, live, and its key; the ticks were 2345.20, 2346.00, 2345.60."""
    key = unique_key("gold")
    for value in ("2345.20", "2346.00", "2345.60"):
        call.rev_of(key, value)
    open_live(page, f"{app.url}/viewer/{key}")
    return page, key


def test_the_value_stands_as_it_was_written_with_where_it_went(gold: tuple[Page, str], call: Caller) -> None:
    page, key = gold
    expect(page.locator("#value")).to_have_text("2345.60")
    expect(page.locator("#since-tick")).to_have_text(re.compile("▼ Down \u22120[.]40 .*since the last tick"))
    expect(page.locator("#since-open")).to_have_text(re.compile(r"▲ Up [+]0[.]40 .*since today's open, 2345\.20"))
    call.rev_of(key, "2350.00")
    expect(page.locator("#value")).to_have_text("2350.00")
    expect(page.locator("#since-tick")).to_contain_text("▲ Up +4.40")
    call.rev_of(key, "2350.0")
    expect(page.locator("#value")).to_have_text("2350.0")
    expect(page.locator("#since-tick")).to_contain_text("= Unchanged")


def test_a_pinned_tab_shows_value_and_direction(gold: tuple[Page, str], call: Caller) -> None:
    page, key = gold
    expect(page).to_have_title(f"▼ 2345.60 · {key}")
    icon = page.locator("#icon")
    expect(icon).to_have_attribute("href", re.compile("^data:image/png;base64,"))
    before = icon.get_attribute("href") or ""
    call.rev_of(key, "2399.00")
    expect(page).to_have_title(f"▲ 2399.00 · {key}")
    expect(icon).not_to_have_attribute("href", before)


def test_the_age_ticks(gold: tuple[Page, str]) -> None:
    page, _ = gold
    age = page.locator("#age")
    expect(age).to_have_text(re.compile(r"^\d+ s ago$"))
    expect(age).not_to_have_text(before := age.inner_text())
    seconds = [int(text.split(" ")[0]) for text in (before, age.inner_text())]
    assert seconds[0] < seconds[1]


def figures(page: Page) -> list[str]:
    return [page.locator(f"#{name}").inner_text() for name in ("high", "low", "count")]


@pytest.mark.parametrize("name", ["1 min", "15 min", "1 h", "1 d", "All"])
def test_each_range_tells_high_low_and_count_from_history_and_live(
    gold: tuple[Page, str], call: Caller, name: str
) -> None:
    page, key = gold
    page.get_by_role("button", name=name, exact=True).click()
    eventually(lambda: figures(page) == ["2346.00", "2345.20", "3"])
    call.rev_of(key, "2346.50")
    call.rev_of(key, "2345.10")
    eventually(lambda: figures(page) == ["2346.50", "2345.10", "5"])
    page.reload()
    expect(page.get_by_role("button", name=name, exact=True)).to_have_attribute("aria-pressed", "true")
    eventually(lambda: figures(page) == ["2346.50", "2345.10", "5"])


def painted(page: Page, colours: list[str]) -> bool:
    """Whether the chart holds pixels of these colours, which only its series have."""
    count: int = page.evaluate("""async (tokens) => {
      const { colour } = await import("/theme.js");
      const wanted = new Set(tokens.map((token) => colour(token).match(/\\d+/g).slice(0, 3).join()));
      let count = 0;
      for (const canvas of document.querySelectorAll("#plot canvas")) {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width || 1, canvas.height || 1);
        for (let i = 0; i < data.length; i += 4) count += wanted.has(`${data[i]},${data[i + 1]},${data[i + 2]}`);
      }
      return count;
    }""", colours)
    return count > 10


def test_line_and_candles_are_drawn_and_told_in_words(gold: tuple[Page, str]) -> None:
    page, key = gold
    page.get_by_role("button", name="1 min", exact=True).click()
    page.get_by_role("button", name="Line").click()
    eventually(lambda: painted(page, ["--accent"]))
    page.get_by_role("button", name="Candles").click()
    eventually(lambda: painted(page, ["--up", "--down"]) and not painted(page, ["--accent"]))
    told = page.get_by_role("img", name=f"Chart of {key}, 1 min: from 2345.20 to 2345.60, high 2346.00, low 2345.20, 3")
    expect(told).to_be_visible()
    page.get_by_text("The chart as a table").click()
    expect(page.locator("#rows tbody tr").last).to_contain_text("2345.20")
    expect(page.locator("#chart-note")).to_be_empty()


def fitted(page: Page, name: str) -> float:
    """The size of the letters of `name`, which fits its box."""
    wide, high, font = page.locator("#value").evaluate(
        "(box) => [box.scrollWidth - box.clientWidth, box.scrollHeight - box.clientHeight,"
        " parseFloat(getComputedStyle(box).fontSize)]"
    )
    assert wide <= 1, name
    assert high <= 1 or font == 16, name  # at the smallest size the box may scroll
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    return float(font)


@pytest.mark.parametrize("size", [(360, 740), (1440, 900), (3840, 2160)], ids=["phone", "desk", "4K"])
def test_a_value_of_any_length_fits_its_box(
    new_page: Callable[..., Page], app: Server, call: Caller, unique_key: Names, size: tuple[int, int]
) -> None:
    key = unique_key()
    call.rev_of(key, "0")
    page = open_live(new_page(size=size), f"{app.url}/viewer/{key}")
    sizes = {}
    for name, value in LENGTHS.items():
        call.rev_of(key, value)
        expect(page.locator("#value")).to_have_text(value)
        sizes[name] = eventually(partial(fitted, page, name))
    assert sizes["one digit"] >= sizes["price"] >= size[0] / 8 or sizes["price"] >= size[1] / 5
    assert sizes["one word of 4000 letters"] < sizes["sentence"] < sizes["price"]


def test_text_and_objects_are_readable_in_place_of_a_chart(
    page: Page, app: Server, call: Caller, unique_key: Names
) -> None:
    key = unique_key()
    call.rev_of(key, '{"bid":2345.60,"note":"<b>\\u0111</b>","big":123456789012345678901234567890}')
    open_live(page, f"{app.url}/viewer/{key}")
    expect(page.locator("#pretty")).to_have_text(
        '{\n  "bid": 2345.60,\n  "note": "<b>\\u0111</b>",\n  "big": 123456789012345678901234567890\n}'
    )
    expect(page.locator("#chart")).to_be_hidden()
    call.rev_of(key, '"\\u0111óng <script>alert(1)</script>"')
    expect(page.locator("#value")).to_have_text('"\\u0111óng <script>alert(1)</script>"')
    expect(page.locator("#pretty")).to_have_text("đóng <script>alert(1)</script>")
    call.rev_of(key, "2345.60")
    expect(page.locator("#chart")).to_be_visible()
    expect(page.locator("#readable")).to_be_hidden()


def test_a_key_is_awaited_and_its_deletion_told(page: Page, app: Server, call: Caller, unique_key: Names) -> None:
    key = unique_key()
    open_live(page, f"{app.url}/viewer/{key}")
    expect(page.locator("#note")).to_contain_text("does not exist yet")
    call.rev_of(key, "1.50")
    expect(page.locator("#value")).to_have_text("1.50")
    expect(page.locator("#note")).to_be_empty()
    eventually(lambda: figures(page) == ["1.50", "1.50", "1"])
    call("DELETE", f"/keys/{key}")
    expect(page.locator("#note")).to_contain_text("was deleted")
    expect(page.locator("#value")).to_be_empty()
    expect(page).to_have_title(f"{key} · kvcast")


def test_language_and_theme_follow_the_browser_then_the_switches_and_are_kept(
    new_page: Callable[..., Page], app: Server, call: Caller, unique_key: Names
) -> None:
    key = unique_key()
    call.rev_of(key, "1")
    page = open_live(new_page(language="vi-VN", theme="light"), f"{app.url}/viewer/{key}")
    expect(page.locator("#state")).to_contain_text("Trực tiếp")
    expect(page.locator("html")).to_have_attribute("lang", "vi")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="English").click()
    expect(page.locator("#state")).to_contain_text("Live")
    page.get_by_role("button", name="Theme: as the system").click()
    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    eventually(lambda: page.evaluate(ground) != light)
    page.reload()
    expect_live(page)
    expect(page.locator("html")).to_have_attribute("lang", "en")
    assert page.evaluate(ground) != light


class _Host(BaseHTTPRequestHandler):
    """Somebody's page that frames the address in its query."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        address = unquote(urlsplit(self.path).query)
        self.wfile.write(f'<link rel=icon href="data:,"><iframe src="{address}" width=420 height=400>'.encode())

    def log_message(self, format: str, *arguments: object) -> None: ...  # noqa: A002


@pytest.fixture
def host() -> Iterator[str]:
    """The origin of a page that frames what its query names."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Host)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_named_origin_frames_the_bare_widget_and_nothing_else(
    host: str, serve: Callable[..., Server], new_page: Callable[..., Page], faults: Faults
) -> None:
    server = serve("local", KVCAST_EMBED_ORIGINS=host)
    with Caller(server.url, server.token) as call:
        call.rev_of("framed", "2345.60")
        page = new_page()
        page.goto(f"{host}/?{server.url}/viewer/framed?embed=1")
        frame = page.frame_locator("iframe")
        expect(frame.locator("#value")).to_have_text("2345.60")
        expect(frame.locator("#state")).to_have_attribute("data-state", "live")
        expect(frame.locator("#plot")).to_be_visible()
        expect(frame.locator("nav")).to_have_count(0)
        expect(frame.locator(".toolbar")).to_be_hidden()
        call.rev_of("framed", "2345.70")
        expect(frame.locator("#value")).to_have_text("2345.70")
    faults.expect("frame-ancestors")
    page.goto(f"{host}/?{server.url}/viewer/framed")
    eventually(lambda: [frame for frame in page.frames if frame.url.startswith("chrome-error:")])
