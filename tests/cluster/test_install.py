"""Install."""

from __future__ import annotations

import time

from tests.cluster.conftest import Figure
from tests.cluster.namespaces import restarts
from tests.cluster.release import NAME, Release
from tests.cluster.values import FUNCTIONS


def test_from_nothing_to_a_green_helm_test(whole: Release, figure: Figure) -> None:
    pods = [pod for function in FUNCTIONS for pod in whole.namespace.pods(function)]
    assert sum(map(restarts, pods)) == 0
    began = time.monotonic()
    said = whole.helm("test", NAME, "--logs")
    figure("`helm test` to green: written, read back, seen over WebSocket", time.monotonic() - began)
    assert "all is well" in said
    if whole.cluster.ingress_service:
        assert f"http://{whole.host}" in said
