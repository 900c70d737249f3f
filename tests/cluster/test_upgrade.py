"""Upgrade."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.cluster.conftest import Figure
from tests.cluster.loads import RunningLoad
from tests.cluster.release import NAME, Release
from tests.cluster.values import FUNCTIONS

SECRETS = (NAME, f"{NAME}-database")


def assert_kept_over(
    release: Release, figure: Figure, load: Callable[..., RunningLoad], what: str, **values: object
) -> None:
    secrets = {name: release.namespace.secret(name) for name in SECRETS}
    pods = {pod for function in FUNCTIONS for pod in release.serving(function)}
    running = load(release)
    seconds = release.upgrade(**values)
    release.await_whole()
    verdict = running.finish()
    figure(f"`helm upgrade --wait` with {what}", seconds)
    lost = len(verdict.lost_writes), len(verdict.lost_updates)
    figure("failed requests, lost writes, lost updates meanwhile", len(verdict.records.failures), *lost)
    assert not pods & {pod for function in FUNCTIONS for pod in release.serving(function)}
    assert {name: release.namespace.secret(name) for name in SECRETS} == secrets
    verdict.assert_promises_kept()
    assert not verdict.records.failures


def test_data_and_generated_passwords_are_kept(
    whole: Release, figure: Figure, load: Callable[..., RunningLoad]
) -> None:
    site = whole.site()
    rev = site.rev_of("upgrade.kept", '"before"')
    assert_kept_over(whole, figure, load, "a changed setting", settings={"KVCAST_HISTORY_WINDOW": 500})
    assert site.get("upgrade.kept").json()["rev"] == rev


def test_another_image(whole: Release, figure: Figure, load: Callable[..., RunningLoad]) -> None:
    image = os.environ.get("KVCAST_IMAGE_NEXT")
    if not image:
        pytest.skip("KVCAST_IMAGE_NEXT names no second image")
    repository, _, tag = image.rpartition(":")
    assert_kept_over(whole, figure, load, "another image", image={"repository": repository, "tag": tag})
