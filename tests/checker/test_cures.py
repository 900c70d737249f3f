"""The checker proves itself: without a cure it refuses what comes of the fault that needs it, with it it does not."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kvcast.embedded import Stores
from kvcast.messages import encode_record
from tests.checker.cutting import CUT
from tests.checker.observed import Observed, until

UNCURED_SECONDS = 3.0
PATIENCE_SECONDS = 2.0
Observe = Callable[..., Observed]


@pytest.fixture
def observe(stores: Stores, tmp_path: Path) -> Observe:
    return lambda *names, **settings: Observed(stores, tmp_path, *names, **settings)


def with_and_without(cure: str, broken: str) -> pytest.MarkDecorator:
    cases = [pytest.param("", [], id=f"with the {cure}"), pytest.param(cure, [broken], id=f"without the {cure}")]
    return pytest.mark.parametrize(("disabled", "broken"), cases)


@with_and_without("guard", "monotonic")
def test_two_processes_publish_in_the_wrong_order(observe: Observe, disabled: str, broken: list[str]) -> None:
    with observe("local", disabled=disabled) as world:
        world.write(0)
        viewer = world.watch(0)
        older, newer = world.commit(0), world.commit(0)
        world.cache.publish([newer])
        assert world.shows(viewer, 0, newer.rev)
        world.cache.publish([older])
        assert world.shows(viewer, 0, world.write(0))
        assert world.verdict().broken == broken


@with_and_without("sweep", "converged")
def test_a_process_dies_between_commit_and_publish(observe: Observe, disabled: str, broken: list[str]) -> None:
    with observe("local", disabled=disabled) as world:
        world.write(0)
        viewer = world.watch(0)
        change = world.commit(0)
        assert world.shows(viewer, 0, change.rev, UNCURED_SECONDS) is not bool(disabled)
        assert world.verdict().broken == broken


@with_and_without("resync", "converged")
def test_a_message_is_published_while_every_subscription_is_broken(
    observe: Observe, disabled: str, broken: list[str]
) -> None:
    """The sweep, which would find it too, comes later than that."""
    with observe("push", disabled=disabled, KVCAST_SWEEP_SECONDS="60") as world:
        world.commit(0)
        viewer = world.watch(0)
        change = world.commit(0)
        pipeline: Any = world.database.redis.pipeline(transaction=True)
        pipeline.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        pipeline.publish(world.cache.channel, encode_record(change))
        pipeline.execute()
        assert world.shows(viewer, 0, change.rev, UNCURED_SECONDS) is not bool(disabled)
        assert world.verdict().broken == broken


@pytest.mark.parametrize(("disabled", "shown"), [("", 3), ("gap", 2)])
def test_a_message_is_lost_and_a_later_one_is_not(observe: Observe, disabled: str, shown: int) -> None:
    """Without the cure it stays lost, and the viewer is told: that is honest."""
    with observe("local", disabled=disabled, KVCAST_SWEEP_SECONDS="60") as world:
        world.write(0)
        viewer = world.watch(0, "every")
        world.commit(0)
        assert world.shows(viewer, 0, world.write(0))
        verdict = world.verdict()
        assert not verdict.broken
        assert verdict["every"].checked == shown


@with_and_without("discard", "converged")
def test_a_read_is_cut_off_in_mid_query(observe: Observe, disabled: str, broken: list[str]) -> None:
    """Its rows come later, and are the answer to another one's query unless the connection is thrown away."""
    with observe("read tests.checker.cutting:create_app()", disabled=disabled) as world:
        for number in range(4):
            world.commit(number)
        locked = world.database.session()
        locked.run("BEGIN")
        locked.run("LOCK TABLE kv")
        assert world.read(0, **{CUT: "0.1"}).status == 504
        locked.run("ROLLBACK")
        assert world.verdict().broken == broken


@with_and_without("drain", "seen off")
def test_a_push_function_is_told_to_stop(observe: Observe, disabled: str, broken: list[str]) -> None:
    """And is killed when patience ends, as Kubernetes does."""
    with observe("push", disabled=disabled) as world:
        viewer = world.watch(0)
        [server] = world.servers
        with world.fault("SIGTERM", drains=server.url):
            os.kill(server.pid, signal.SIGTERM)
            until(lambda: not viewer.subscribed, PATIENCE_SECONDS)
            server.kill()
            assert until(lambda: not viewer.subscribed)
            server.start()
        assert until(lambda: viewer.subscribed)
        assert world.verdict().broken == broken
