"""What the console shows of Kubernetes, from a real HTTP server that answers as its API does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.accessibility import violations
from tests.conftest import Server
from tests.kubernetes_api import AUTOSCALERS, PODS, Api, items, pod


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.close()


@pytest.fixture
def podded(api: Api, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("KUBERNETES_API_OF_TEST", api.url)
    return serve("tests.browser.podded:create_app()")


def open_console(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/admin#token={server.token}")


def test_replicas_autoscaler_and_pods_of_a_function_are_shown_and_followed(
    new_page: Callable[..., Page], podded: Server, api: Api
) -> None:
    page = new_page(reduced_motion="reduce")  # so that no colour is between two for axe
    open_console(page, podded)
    push = page.locator("#functions-rows tr").nth(2).locator("td")
    expect(push.nth(0)).to_have_text("3")
    expect(push.nth(1)).to_have_text("2/3")
    cluster = page.locator("#cluster")
    expect(cluster.locator("h3")).to_have_text(["push"])
    expect(cluster.locator("p")).to_have_text(
        ["Autoscaler: 3 of 2 to 10 replicas, wants 4; cpu 86% / 70%, kvcast_connections 6200 / 5k"]
    )
    pods = cluster.locator("tr")
    expect(pods).to_contain_text(["push-a", "push-b"])
    expect(pods.nth(0)).to_contain_text("● Running")
    expect(pods.nth(1)).to_contain_text("▲ Running")
    expect(pods.nth(1)).to_contain_text("4 restarts")
    expect(page.locator("#functions-notes")).not_to_contain_text("Kubernetes")
    assert violations(page) == []
    api.answers[PODS] = items("Pod", pod("push-a"), pod("push-b"), pod("push-c", "Pending", ready=False))
    expect(pods).to_contain_text(["● Running", "● Running", "▲ Pending"])


def test_what_the_service_account_may_not_see_is_said_with_the_mend(page: Page, podded: Server, api: Api) -> None:
    api.forbid()
    open_console(page, podded)
    notes = page.locator("#functions-notes li").filter(has_text="may not list")
    expect(notes).to_have_count(3)
    expect(notes.nth(1)).to_contain_text('apiGroups ["autoscaling"], resources ["horizontalpodautoscalers"]')
    expect(page.locator("#cluster > *")).to_have_count(0)
    of_the_workers = re.compile(r"(\d+)/\1")  # which tell of themselves
    expect(page.locator("#functions-rows tr").nth(2)).to_contain_text(of_the_workers)


def test_one_part_that_may_not_be_seen_leaves_the_others(page: Page, podded: Server, api: Api) -> None:
    api.answers[AUTOSCALERS] = (403, {"kind": "Status", "code": 403, "reason": "Forbidden"})
    open_console(page, podded)
    expect(page.locator("#cluster tr")).to_have_count(2)
    expect(page.locator("#cluster p")).to_have_count(0)
    expect(page.locator("#functions-notes li").filter(has_text="may not list")).to_have_count(1)
