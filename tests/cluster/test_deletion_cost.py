"""Scaling push down: the pod with the fewest connections goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.cluster.conftest import Figure
from tests.cluster.release import POLL_SECONDS, Release
from tests.polling import eventually

ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
CONNECTIONS = (9, 2, 6)


@pytest.fixture
def three(whole: Release) -> Iterator[Release]:
    """Three pods of push."""
    before = whole.values
    whole.upgrade(push={"autoscaling": {"minReplicas": 3}})
    eventually(lambda: len(whole.serving("push")) == 3, 60, POLL_SECONDS)
    yield whole
    whole.values = before
    whole.upgrade()


def costs(release: Release) -> dict[str, int]:
    return {
        pod["metadata"]["name"]: int(pod["metadata"].get("annotations", {}).get(ANNOTATION, "0"))
        for pod in release.namespace.pods("push")
    }


def cookies(release: Release) -> dict[str, str]:
    """The cookie that leads to each pod of push."""
    site = release.site()
    found: dict[str, str] = {}

    def all_answered() -> bool:
        greeting = site.greet()
        assert greeting.cookie is not None
        found[greeting.server] = greeting.cookie
        return found.keys() == set(release.serving("push"))

    eventually(all_answered, 60)
    return found


def test_the_emptiest_pod_goes(three: Release, figure: Figure) -> None:
    site = three.site()
    kept = cookies(three)
    wanted = dict(zip(sorted(kept), CONNECTIONS, strict=True))
    with ExitStack() as stack:
        for pod, cookie in kept.items():
            for _ in range(wanted[pod]):
                stack.enter_context(site.socket(cookie))
        eventually(lambda: costs(three) == wanted, 60, POLL_SECONDS)
        emptiest = min(wanted, key=wanted.__getitem__)
        three.upgrade(push={"autoscaling": {"minReplicas": 2}})
        eventually(lambda: len(three.serving("push")) == 2, 120, POLL_SECONDS)
        left = set(three.serving("push"))
    figure("connections of the three pods; of the one that went", *sorted(wanted.values()), wanted[emptiest])
    assert left == wanted.keys() - {emptiest}
