"""The console: what it shows of the cluster."""

from __future__ import annotations

from typing import Any

from tests.cluster.conftest import Figure
from tests.cluster.release import Release
from tests.cluster.values import FUNCTIONS


def functions_seen(release: Release) -> Any:
    answer = release.site()("GET", "/admin/functions")
    assert answer.status == 200, answer
    return answer.json()


def test_the_console_shows_pods_and_autoscalers(whole: Release, figure: Figure) -> None:
    seen = functions_seen(whole)
    assert seen["cluster"]["notes"] == []
    assert seen["cluster"]["namespace"] == whole.namespace.name
    for function in FUNCTIONS:
        parts = seen["cluster"]["functions"][function]
        assert [part["name"] for part in parts["deployments"]] == [f"kvcast-{function}"]
        (autoscaler,) = parts["horizontalpodautoscalers"]
        assert (autoscaler["least"], autoscaler["most"]) == (2, 3)
        assert {pod["name"] for pod in parts["pods"]} == set(whole.serving(function))
        assert seen["functions"][function]["workers"]
    shown = [f"{function} {len(seen['cluster']['functions'][function]['pods'])}" for function in FUNCTIONS]
    figure("pods that /admin/functions shows", *shown)


def test_without_the_account_it_says_what_is_missing(small: Release) -> None:
    (note,) = functions_seen(small)["cluster"]["notes"]
    assert "service account" in note
