"""/admin in a real browser: signing in, editing, deleting, importing, exporting, and what it shows of the service."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from kvcast.tokens import Token, digest_of
from tests.browser.faults import Faults
from tests.browser.looking import eventually_true
from tests.calls import Caller
from tests.conftest import Server
from tests.polling import HANG_SECONDS, eventually

Names = Callable[..., str]
REFUSED = r"status of 4\d\d"  # the browser's own note of an answer that the page handles


@pytest.fixture
def key(unique_key: Names) -> str:
    return unique_key("gold")


@pytest.fixture
def console(page: Page, console_url: str, key: str) -> Page:
    """Signed in, with the list reduced to this test's keys."""
    page.goto(console_url)
    page.locator("#find-prefix").fill(key[: key.rindex(".")])
    expect(page.locator("#count")).to_have_text("No key fits.")
    return page


def listed(page: Page, key: str) -> None:
    page.locator("#find button").click()
    expect(page.get_by_role("link", name=key, exact=True)).to_be_visible()


def stored(call: Caller, key: str) -> bytes:
    """The value that PostgreSQL holds; a cache may be a moment behind what the page has saved."""
    [value] = call("GET", f"/history/{key}?limit=1").values()
    return value


def press(page: Page, action: str, key: str) -> None:
    page.get_by_role("button", name=f"{action} {key}", exact=True).click()


def save(page: Page, key: str | None, value: str, **more: str) -> None:
    if key is not None:
        page.locator("#key").fill(key)
    page.locator("#value").fill(value)
    for name, text in more.items():
        page.locator(f"#{name}").fill(text)
    page.locator("#save").click()


def test_the_token_of_the_link_leaves_the_address_and_stays_until_sign_out(
    page: Page, app: Server, console_url: str
) -> None:
    page.goto(console_url)
    expect(page.locator("#console")).to_be_visible()
    assert page.url == f"{app.url}/admin"
    page.reload()
    expect(page.locator("#console")).to_be_visible()
    page.locator("#sign-out").click()
    expect(page.locator("#sign-in")).to_be_visible()
    expect(page.locator("#console")).to_be_hidden()
    assert app.token not in page.evaluate("JSON.stringify([sessionStorage, localStorage])")
    page.reload()
    expect(page.locator("#sign-in")).to_be_visible()


def test_a_wrong_token_is_refused_in_a_sentence_and_a_right_one_is_taken(
    page: Page, app: Server, faults: Faults
) -> None:
    faults.expect(REFUSED)
    page.goto(f"{app.url}/admin")
    page.locator("#token").fill("thẻ sai")
    page.locator("#sign-in-go").click()
    expect(page.locator("#sign-in-status")).to_contain_text("nothing was changed. Sign in with")
    page.locator("#token").fill(app.token)
    page.keyboard.press("Enter")
    expect(page.locator("#console")).to_be_visible()


def test_a_key_is_added_and_edited_exactly_as_written(console: Page, call: Caller, key: str) -> None:
    save(console, key, "2345.60", category="kim.loại", ttl="3600")
    expect(console.locator("#edit-status")).to_contain_text(f"Saved {key} as rev ")
    row = console.locator("#rows tr")
    expect(row.locator("td").first).to_have_text("2345.60")
    assert stored(call, key) == b"2345.60"
    assert eventually(lambda: call.get(key).json()["category"] == "kim.loại")
    press(console, "Edit", key)
    expect(console.locator("#value")).to_have_value("2345.60")
    assert 3500 < int(console.locator("#ttl").input_value()) <= 3600
    save(console, None, '{"bid": 1.50}')
    expect(row.locator("td").first).to_have_text('{"bid": 1.50}')
    assert eventually(lambda: call.get(key).values() == [b'{"bid": 1.50}'] and "expiresAt" in call.get(key).json())


def test_what_is_no_json_is_not_sent(console: Page, call: Caller, key: str) -> None:
    save(console, key, "no json")
    expect(console.locator("#edit-status")).to_contain_text("not JSON, and nothing was sent")
    assert call.get(key).status == 404
    expect(console.locator("#value")).to_have_value("no json")


@pytest.mark.parametrize("choice", ["mine", "theirs", "keep-editing"])
def test_a_conflict_shows_both_sides_and_lets_the_person_choose(
    console: Page, call: Caller, key: str, faults: Faults, choice: str
) -> None:
    faults.expect(REFUSED)
    call.rev_of(key, "1.0")
    listed(console, key)
    press(console, "Edit", key)
    expect(console.locator("#value")).to_have_value("1.0")
    theirs = call.rev_of(key, "2.50")
    save(console, None, "3.30")
    expect(console.locator("#conflict")).to_be_focused()
    expect(console.locator("#mine-value")).to_have_text("3.30")
    expect(console.locator("#theirs-value")).to_have_text("2.50")
    expect(console.locator("#theirs-title")).to_have_text(f"Theirs, rev {theirs}")
    assert stored(call, key) == b"2.50"
    console.locator(f"#{choice}").click()
    expect(console.locator("#conflict")).to_be_hidden()
    if choice == "mine":
        expect(console.locator("#edit-status")).to_contain_text("Saved")
        assert stored(call, key) == b"3.30"
    elif choice == "theirs":
        expect(console.locator("#value")).to_have_value("2.50")
        save(console, None, "2.60")
        expect(console.locator("#edit-status")).to_contain_text("Saved")
    else:
        expect(console.locator("#value")).to_have_value("3.30")
        assert stored(call, key) == b"2.50"


def test_a_conflict_again_while_choosing_is_shown_again(
    console: Page, call: Caller, key: str, faults: Faults
) -> None:
    faults.expect(REFUSED)
    call.rev_of(key, "1")
    listed(console, key)
    press(console, "Edit", key)
    expect(console.locator("#value")).to_have_value("1")
    call.rev_of(key, "2")
    save(console, None, "9")
    expect(console.locator("#theirs-value")).to_have_text("2")
    call.rev_of(key, "3")
    console.locator("#mine").click()
    expect(console.locator("#theirs-value")).to_have_text("3")
    assert stored(call, key) == b"3"


def test_adding_a_key_that_exists_and_editing_one_that_was_deleted_are_conflicts(
    console: Page, call: Caller, key: str, faults: Faults
) -> None:
    faults.expect(REFUSED)
    call.rev_of(key, "1")
    save(console, key, "2")
    expect(console.locator("#conflict-text")).to_contain_text("this key exists already")
    console.locator("#theirs").click()
    expect(console.locator("#value")).to_have_value("1")
    call("DELETE", f"/keys/{key}")
    save(console, None, "3")
    expect(console.locator("#conflict-text")).to_contain_text("somebody deleted this key")
    console.locator("#mine").click()
    expect(console.locator("#edit-status")).to_contain_text("Saved")
    assert stored(call, key) == b"3"


def test_a_deletion_is_undone_with_value_category_and_remaining_time(console: Page, call: Caller, key: str) -> None:
    call.rev_of(key, "2345.60", more=',"category":"metal","ttl":3600')
    listed(console, key)
    press(console, "Delete", key)
    expect(console.locator("#keys-status")).to_contain_text(f"Deleted {key}")
    assert eventually(lambda: call.get(key).status == 404)
    press(console, "Undo", key)
    expect(console.locator("#keys-status")).to_contain_text(f"{key} is back")
    reply = eventually(lambda: (found := call.get(key)).status == 200 and found)
    assert reply
    assert (reply.values(), reply.json()["category"]) == ([b"2345.60"], "metal")
    assert "expiresAt" in reply.json()
    audit = [row["action"] for row in call("GET", "/audit").json()["data"] if row["key"] == key]
    assert audit == ["create", "delete"]


def test_a_key_that_is_fed_can_be_deleted(console: Page, call: Caller, key: str, faults: Faults) -> None:
    faults.expect(REFUSED)
    call.rev_of(key, "0")
    listed(console, key)
    fed = iter(("1", "2", "3"))

    def after_the_feed(route: Route) -> None:
        """The key changes between what the page has read and its deletion, a few times."""
        if route.request.method == "DELETE" and (value := next(fed, None)):
            call.rev_of(key, value)
        route.continue_()

    console.route("**/keys/*", after_the_feed)
    press(console, "Delete", key)
    expect(console.locator("#undo li")).to_have_count(1)
    expect(console.locator("#keys-status")).to_contain_text(f"Deleted {key}")
    assert next(fed, None) is None
    assert [row["action"] for row in call("GET", "/audit").json()["data"] if row["key"] == key] == ["delete"]


def test_an_undo_after_somebody_was_faster_keeps_theirs(
    console: Page, call: Caller, key: str, faults: Faults
) -> None:
    faults.expect(REFUSED)
    call.rev_of(key, "1")
    listed(console, key)
    press(console, "Delete", key)
    expect(console.locator("#undo li")).to_have_count(1)
    call.rev_of(key, "7.70")
    press(console, "Undo", key)
    expect(console.locator("#keys-status")).to_contain_text("somebody has created it again meanwhile, as 7.70")
    assert stored(call, key) == b"7.70"


def test_the_list_is_live_and_goes_page_by_page(console: Page, call: Caller, key: str, unique_key: Names) -> None:
    keys = [unique_key(f"item-{number:03}") for number in range(60)]
    call("POST", "/batch", json.dumps([{"key": name, "value": 1} for name in keys]))
    listed(console, keys[0])
    expect(console.locator("#rows tr")).to_have_count(50)
    console.locator("#more").click()
    expect(console.locator("#rows tr")).to_have_count(60)
    expect(console.locator("#more")).to_be_hidden()
    call.rev_of(keys[55], "2.50")
    expect(console.locator("#rows tr").nth(55).locator("td").first).to_have_text("2.50")
    call("DELETE", f"/keys/{keys[55]}")
    expect(console.locator("#rows tr").nth(55).locator("td").first).to_have_text("deleted")


def import_file(page: Page, name: str, content: bytes) -> None:
    page.locator("#import-file").set_input_files({"name": name, "mimeType": "text/plain", "buffer": content})
    page.locator("#import-go").click()


@pytest.mark.parametrize("size", [(1440, 900), (360, 740)])
def test_the_last_key_in_sight_is_whole(
    new_page: Callable[..., Page], fresh_app: Server, fresh_call: Caller, size: tuple[int, int]
) -> None:
    long = '{"a long":"value that does not fit its cell, whatever it says"}'
    for number in range(40):
        fresh_call.rev_of(f"key-{number}" + 100 * "x", long)
    page = new_page(size=size)
    page.goto(f"{fresh_app.url}/admin#token={fresh_app.token}")
    expect(page.locator("#rows tr")).to_have_count(40)
    bottom = "(node) => node.getBoundingClientRect().bottom"

    def cut_off() -> float:
        end = page.locator(".keys .scroll").evaluate(bottom)
        edges = page.locator("#rows tr").evaluate_all(f"(rows) => rows.map({bottom})")
        return float(min(abs(end - edge) for edge in edges))

    eventually(lambda: cut_off() < 2)


def test_a_csv_with_bad_lines_is_imported_and_each_is_reported(
    console: Page, call: Caller, key: str, tmp_path: Path
) -> None:
    lines = [
        "\ufeffSymbol;Price;Category", f"{key};2345.60;kim.loại", "a/b;1;x", f"{key}.text;xin chào;x", f"{key}.short",
        "", f"{key}.empty;;x", f'{key}.quoted;"one; two\nthree ""four""";x', f"{key}.last;7;",
    ]
    content = "\r\n".join(lines).encode() + b"\n" + f"{key}.bad;\xff;x\n".encode("latin-1")
    console.locator("#import-category").fill("nhóm-chung")
    import_file(console, "giá vàng.csv", content)
    expect(console.locator("#import-status")).to_contain_text("Done: 4 lines written, 4 refused")
    expect(console.locator("#refused-rows tr")).to_have_count(4)
    rows = [row.split("\t") for row in console.locator("#refused-rows").inner_text().splitlines()]
    assert [row[0] for row in rows] == ["3", "5", "7", "11"]
    parts = ("key holds '/'", "1 column, fewer", "value is empty", "not UTF-8")
    assert all(part in row[1] for row, part in zip(rows, parts, strict=True)), rows
    assert stored(call, key) == b"2345.60"
    assert stored(call, f"{key}.text") == '"xin chào"'.encode()
    assert eventually(lambda: call.get(f"{key}.quoted").json()["value"] == 'one; two\nthree "four"')
    assert eventually(lambda: call.get(f"{key}.last").json()["category"] == "nhóm-chung")
    with console.expect_download() as saved:
        console.locator("#refused-save").click()
    saved.value.save_as(tmp_path / "refused.csv")
    assert (tmp_path / "refused.csv").read_text("utf-8-sig").splitlines()[0] == "line,reason"
    audited = [row for row in call("GET", "/audit").json()["data"] if row["note"] == "Import giá vàng.csv"]
    assert [(row["action"], row["count"]) for row in audited] == [("batch", 4)]


def test_ndjson_keeps_values_to_the_byte_and_comes_out_as_it_went_in(
    console: Page, call: Caller, key: str, tmp_path: Path
) -> None:
    values = ["2345.60", "1e2", '"a\\u00e9\\n\\"b"', "null", '{"b":1.50,"a":[]}', "9007199254740993"]
    lines = [f'{{"key":"{key}.{number}","value":{value},"time":"now","x":1}}' for number, value in enumerate(values)]
    content = "\n".join([*lines, "no json", '{"key":"k"}', f'{{"key":"{key}.nan","value":NaN}}']).encode()
    import_file(console, "values.ndjson", content)
    expect(console.locator("#import-status")).to_contain_text("Done: 6 lines written, 3 refused")
    for number, value in enumerate(values):
        assert stored(call, f"{key}.{number}") == value.encode()
    console.locator("#export-what").select_option("found")
    for form in ("ndjson", "csv"):
        console.locator("#export-format").select_option(form)
        with console.expect_download() as saved:
            console.locator("#export-go").click()
        saved.value.save_as(tmp_path / form)
    expect(console.locator("#export-status")).to_have_text("Exported 6 keys.")
    exported = (tmp_path / "ndjson").read_text("utf-8").splitlines()
    assert [re.search(r'"value":(.*),"category"', line)[1] for line in exported] == values  # type: ignore[index]
    table = (tmp_path / "csv").read_text("utf-8-sig")
    assert table.splitlines()[:3] == ["key,value,category", f"{key}.0,2345.60,default", f"{key}.1,1e2,default"]


def test_an_import_without_a_key_column_writes_nothing_and_says_what_is_missing(
    console: Page, call: Caller, key: str
) -> None:
    import_file(console, "x.csv", f"name,value\n{key},1\n".encode())
    expect(console.locator("#import-status")).to_contain_text("names none of: key, symbol, ticker.")
    expect(console.locator("#import-status")).to_contain_text("0 lines were written and stay")
    assert call.get(key).status == 404


def test_an_import_waits_for_a_server_that_is_away_and_loses_no_line(
    page: Page, fresh_app: Server, faults: Faults
) -> None:
    faults.expect_server_away()
    page.goto(f"{fresh_app.url}/admin#token={fresh_app.token}")
    expect(page.locator("#console")).to_be_visible()
    fresh_app.kill()
    import_file(page, "late.csv", b"key,value\n" + b"".join(b"late.%d,%d\n" % (n, n) for n in range(1200)))
    expect(page.locator("#import-status")).to_contain_text("Waiting for the server, no line is lost")
    fresh_app.start()
    expect(page.locator("#import-status")).to_contain_text("Done: 1200 lines written, 0 refused")


def test_a_cancelled_import_says_what_was_kept(page: Page, fresh_app: Server, faults: Faults) -> None:
    faults.expect_server_away()
    page.goto(f"{fresh_app.url}/admin#token={fresh_app.token}")
    expect(page.locator("#console")).to_be_visible()
    fresh_app.kill()
    import_file(page, "late.csv", b"key,value\nlate.1,1\n")
    expect(page.locator("#import-status")).to_contain_text("Waiting for the server")
    page.locator("#import-go").click()
    expect(page.locator("#import-status")).to_contain_text("Cancelled. 0 lines were written")
    expect(page.locator("#import-go")).to_have_text("Import")


def milliseconds(stage: Locator) -> float:
    """The median of a stage; below 0 where there is none yet."""
    text = stage.locator("td").first.inner_text()
    return -1.0 if text == "\u2013" else float(text.removesuffix(" ms").replace(",", ""))


def test_functions_and_latency_are_measured_to_the_painted_frame(console: Page, call: Caller, key: str) -> None:
    call.rev_of(key, "1")
    listed(console, key)
    expect(console.locator("#functions-rows tr")).to_have_count(3)
    all_ready = re.compile(r"(\d+)/\1")  # other tests' servers are among them
    expect(console.locator("#functions-rows tr").nth(2)).to_contain_text(all_ready)
    expect(console.locator("#functions-notes")).to_contain_text("Not in Kubernetes")
    expect(console.locator("#state")).to_contain_text("Live")
    figures = console.locator("#latency-rows tr")

    def painted() -> bool:
        call.rev_of(key, "2")
        # 0 while the server's clock was only told by a message that was long on its way
        return 0 < milliseconds(figures.nth(3)) < 1000 * HANG_SECONDS

    eventually(painted)
    for stage in range(3):
        expect(figures.nth(stage).locator("td").first).to_have_text(re.compile(r"≤ [\d.,]+ ms"))
    expect(console.locator("#latency-note")).to_contain_text("changes of the listed keys")


def test_a_clock_that_is_wrong_changes_neither_latency_nor_age(
    new_page: Callable[..., Page], console_url: str, app: Server, call: Caller, key: str
) -> None:
    page = new_page()
    page.add_init_script("const real = Date.now; Date.now = () => real() + 3_600_000; delete window.SharedWorker;")
    call.rev_of(key, "1")
    page.goto(console_url)
    page.locator("#find-prefix").fill(key)
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator("#state")).to_contain_text("Live")

    def painted() -> bool:
        call.rev_of(key, "2")
        return 0 <= milliseconds(page.locator("#latency-rows tr").nth(3)) < 1000 * HANG_SECONDS  # and not an hour

    eventually(painted)
    page.goto(f"{app.url}/viewer/{key}")
    call.rev_of(key, "3")
    expect(page.locator("#value")).to_have_text("3")
    expect(page.locator("#age")).to_have_text(re.compile(r"^\d\d? s ago$"))


def test_a_token_that_may_only_write_is_told_what_it_may_not_see(
    page: Page, serve: Callable[..., Server], faults: Faults
) -> None:
    faults.expect(REFUSED)
    server = serve("local", KVCAST_TOKENS=Token("writer", (("write", ""),), digest_of("only-writes")).entry())
    page.goto(f"{server.url}/admin#token=only-writes")
    expect(page.locator("#audit-status")).to_contain_text("The audit could not be read. This token may not do that")
    expect(page.locator("#functions-status")).to_contain_text("has no scope admin")


def test_hostile_keys_values_and_notes_stay_text(console: Page, call: Caller, key: str) -> None:
    hostile = '<img src=x onerror=alert(1)>"\'</script><script>alert(2)</script>'
    call.add(key, json.dumps(hostile), if_none_match="*", kvcast_note="%3Cimg%20src%3Dx%20onerror%3Dalert(3)%3E")
    listed(console, key)
    expect(console.locator("#rows td").first).to_contain_text("<img src=x onerror=alert(1)>")
    console.locator("#audit-refresh").click()
    expect(console.locator("#audit-rows")).to_contain_text("<img src=x onerror=alert(3)>")
    import_file(console, "<b>.csv", f"key,value\n<i>{hostile}</i>,1\n".encode())
    expect(console.locator("#import-status")).to_contain_text("1 refused")
    press(console, "Delete", key)
    expect(console.locator("#undo li")).to_contain_text("onerror=alert(1)")


def test_it_speaks_vietnamese_and_switches(new_page: Callable[..., Page], console_url: str) -> None:
    page = new_page(language="vi-VN", size=(360, 740))
    page.goto(console_url)
    expect(page.locator("#edit-title")).to_have_text("Thêm khóa")
    expect(page.locator("#functions-notes")).to_contain_text("Không chạy trong Kubernetes")
    eventually_true(page, "document.documentElement.scrollWidth <= innerWidth")
    page.locator("#language").click()
    expect(page.locator("#edit-title")).to_have_text("Add a key")
    expect(page.locator("#functions-notes")).to_contain_text("Not in Kubernetes")
