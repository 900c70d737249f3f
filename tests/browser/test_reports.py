"""/benchmark-report and /socket-vs-polling: what a run's JSON says, and what they say where there is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.faults import Faults
from tests.browser.looking import eventually_true
from tests.conftest import Server

from benchmarks import page as report_page
from benchmarks.figures import Aim, Comparison
from benchmarks.results import PartRun

HOSTILE = "<img src=x onerror=alert(1)>"
ON = {"machine": f"2 cores {HOSTILE}", "load": "0.4 before it began"}
NOTHING_COVERED = "[...document.querySelectorAll('td')].every((cell) => cell.scrollWidth <= cell.clientWidth + 1)"
ADDRESS = "**/reports/benchmark.json"


def run(part: str, *comparisons: Comparison) -> PartRun:
    return PartRun(part, "2026-03-01T10:00:00Z", f"make bench WHAT={part}", 12.0, ON, list(comparisons))


def reads(work: str, ours: float, theirs: float) -> Comparison:
    rates = {"kvcast": ours, "node": theirs}
    sides = {side: [{"requests_per_second": rate, "p99_ms": 5.0}] for side, rate in rates.items()}
    return Comparison(work, sides, [Aim("requests_per_second", ">=", 4, "node")], "requests_per_second")


def polled() -> Comparison:
    def side(delay_ms: float, seen: float, wire: float) -> list[dict[str, float]]:
        return [
            {
                "updates_seen_percent": seen, "p50_ms": delay_ms, "p99_ms": 2 * delay_ms, "requests": 50.0,
                "kib_on_the_wire": wire, "bytes_per_update_seen": wire, "cpu_seconds": 0.1,
            }
        ]

    return Comparison(HOSTILE, {"kvcast": side(4, 100, 100), "polling": side(250, 52, 300)}, [], "p50_ms", [HOSTILE])


@pytest.fixture
def shown(page: Page, app: Server, tmp_path: Path) -> Callable[..., Page]:
    """`shown(path, runs...)` opens the page as it is after these runs."""

    def shown(path: str, *runs: PartRun) -> Page:
        file = tmp_path / "benchmark.json"
        report_page.write(file, runs)
        page.route(ADDRESS, lambda route: route.fulfill(path=file, content_type="application/json"))
        page.goto(app.url + path)
        return page

    return shown


def test_ratios_bars_and_figures_are_those_of_the_run(shown: Callable[..., Page]) -> None:
    work = "GET /get, one hot key"
    page = shown("/benchmark-report", run("reads", reads(work, 20_000, 4_000), reads(HOSTILE, 6_000, 4_000)))
    expect(page.locator("article")).to_have_count(2)
    first, second = page.locator("article").all()
    expect(first).to_contain_text("✓ reached · requests/s: 5 times Node.js (aim ≥ 4)")
    expect(second).to_contain_text("\N{MULTIPLICATION SIGN} not reached · requests/s: 1.5 times Node.js (aim ≥ 4)")
    expect(page.locator("#report")).to_contain_text("1 of 2 aims were reached.")
    assert first.locator("td.bar").all_inner_texts() == ["20,000", "4,000"]
    ours, theirs = (bar.bounding_box() for bar in first.locator("rect").all())
    assert ours
    assert theirs
    assert ours["width"] == pytest.approx(5 * theirs["width"], rel=0.02)
    expect(page.locator(".made")).to_contain_text(ON["machine"])
    expect(page.locator(".made")).to_contain_text("make bench WHAT=reads")
    expect(page.locator(".made")).to_contain_text("Mar 1, 2026")


def test_one_two_and_four_processes_stand_together(shown: Callable[..., Page]) -> None:
    work = "GET /get, one hot key"
    several = [reads(f"{work}, two processes", 9_000, 3_000), reads(f"{work}, four processes", 8_000, 2_000)]
    page = shown("/benchmark-report", run("reads", reads(work, 7_000, 1_000)), run("processes", *several))
    together = page.locator("section").last
    expect(together.locator("td.bar")).to_have_count(6)
    assert together.locator("tbody th").all_inner_texts() == [
        "kvcast, 1", "Node.js, 1", "kvcast, 2", "Node.js, 2", "kvcast, 4", "Node.js, 4",
    ]
    assert together.locator("td.bar").all_inner_texts() == ["7,000", "1,000", "9,000", "3,000", "8,000", "2,000"]


def test_push_stands_beside_polling(shown: Callable[..., Page]) -> None:
    page = shown("/socket-vs-polling", run("polling", polled()))
    expect(page.locator("#report")).to_contain_text("within 4 ms by a socket and within 250 ms by polling: 62.5 times")
    expect(page.locator("#report")).to_contain_text("saw 100 % of the updates, those that polled 52 %, for 3 times")
    expect(page.locator("article")).to_have_count(7)


@pytest.mark.parametrize("path", ["/benchmark-report", "/socket-vs-polling"])
@pytest.mark.parametrize("runs", [None, []])
def test_without_a_run_the_page_says_how_to_make_one(
    page: Page, app: Server, faults: Faults, path: str, runs: list[Any] | None
) -> None:
    faults.expect("404")

    def answer(route: Route) -> None:
        status = 404 if runs is None else 200
        route.fulfill(status=status, body=json.dumps({"parts": runs}), content_type="application/json")

    page.route(ADDRESS, answer)
    page.goto(app.url + path)
    expect(page.locator("#note")).to_contain_text("Run make bench")


def test_a_run_without_polling_leads_to_one(shown: Callable[..., Page]) -> None:
    page = shown("/socket-vs-polling", run("reads", reads("work", 2, 1)))
    expect(page.locator("#report")).to_contain_text("make bench WHAT=polling")


def test_a_run_of_polling_alone_leads_to_the_rest(shown: Callable[..., Page]) -> None:
    page = shown("/benchmark-report", run("polling", polled()))
    expect(page.locator("#report")).to_contain_text("No run is here yet.")


@pytest.mark.parametrize("body", ["", "{", "[]", '{"parts": [{}]}', "<html>"])
@pytest.mark.parametrize("path", ["/benchmark-report", "/socket-vs-polling"])
def test_a_broken_report_is_said_in_a_sentence(page: Page, app: Server, faults: Faults, path: str, body: str) -> None:
    faults.expect("")
    page.route(ADDRESS, lambda route: route.fulfill(body=body, content_type="application/json"))
    page.goto(app.url + path)
    expect(page.locator("main")).to_contain_text("make bench")


def test_both_pages_lead_to_each_other_and_docs_to_them(page: Page, app: Server) -> None:
    page.goto(f"{app.url}/benchmark-report")
    page.locator('main a[href="/socket-vs-polling"]').click()
    expect(page.locator("h1")).to_have_text("Socket or polling")
    page.locator('main a[href="/benchmark-report"]').click()
    expect(page.locator("h1")).to_have_text("kvcast beside its peers")
    page.goto(f"{app.url}/docs")
    for path in ("/benchmark-report", "/socket-vs-polling"):
        expect(page.locator(f'main a[href="{path}"]')).to_be_visible()


@pytest.mark.parametrize("width", [360, 1280, 3840])
def test_figures_of_several_runs_do_not_cover_their_neighbours(shown: Callable[..., Page], width: int) -> None:
    work = reads("GET /get, one hot key", 27_223, 6_172)
    for side in work.sides.values():
        side += [{name: factor * value for name, value in side[0].items()} for factor in (0.5, 1.5)]
    long = polled()
    for side in long.sides.values():
        side += [{name: factor * value for name, value in side[0].items()} for factor in (0.5, 1.5)]
    for path, told in (("/benchmark-report", run("reads", work)), ("/socket-vs-polling", run("polling", long))):
        page = shown(path, told)
        page.set_viewport_size({"width": width, "height": 800})
        expect(page.locator("td.bar").first).to_contain_text("\N{EN DASH}")
        eventually_true(page, NOTHING_COVERED)


def test_an_endless_ratio_is_not_shown_as_nothing(shown: Callable[..., Page]) -> None:
    page = shown("/benchmark-report", run("reads", reads("work", 5, 0)))
    expect(page.locator("article")).to_contain_text("requests/s: \N{INFINITY} times Node.js")
