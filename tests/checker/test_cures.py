"""The checker proves itself: without a cure it refuses what comes of the fault that needs it, with it it does not."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from kvcast.embedded import Stores
from kvcast.messages import encode_record
from tests.checker.cutting import CUT
from tests.checker.observed import Observed, World, until
from tests.polling import HANG_SECONDS

UNCURED_SECONDS = 3.0
PATIENCE_SECONDS = 2.0
CUTTING = "tests.checker.cutting:create_app()"
Observe = Callable[..., Observed]


@pytest.fixture(scope="module")
def worlds(stores: Stores) -> Iterator[Callable[[str, str], World]]:
    """By app and disabled cures, each started once."""
    made: dict[tuple[str, str], World] = {}

    def world(app: str, disabled: str) -> World:
        if (app, disabled) not in made:
            made[app, disabled] = World(stores, app, disabled)
        return made[app, disabled]

    yield world
    for one in made.values():
        one.close()


@pytest.fixture
def observe(worlds: Callable[[str, str], World], tmp_path: Path) -> Observe:
    return lambda disabled, app="local": Observed(worlds(app, disabled), tmp_path, tmp_path.name.replace("_", "-"))


def with_and_without(cure: str, broken: str, *, never: str = "") -> pytest.MarkDecorator:
    """never: another cure that is off in both, because it would find what this one is there for."""
    without = f"{never} {cure}".strip()
    cases = [pytest.param(never, [], id=f"with-{cure}"), pytest.param(without, [broken], id=f"without-{cure}")]
    return pytest.mark.parametrize(("disabled", "broken"), cases)


@with_and_without("guard", "monotonic")
def test_two_processes_publish_in_the_wrong_order(observe: Observe, disabled: str, broken: list[str]) -> None:
    with observe(disabled) as seen:
        seen.write(0)
        viewer = seen.watch(0, "every")  # in mode latest the flusher joins what comes at once
        older, newer = seen.commit(0), seen.commit(0)
        seen.cache.publish([newer])
        assert seen.shows(viewer, 0, newer.rev)
        seen.cache.publish([older])
        assert seen.shows(viewer, 0, seen.write(0))
        assert seen.verdict().broken == broken


@with_and_without("sweep", "converged")
def test_a_process_dies_between_commit_and_publish(observe: Observe, disabled: str, broken: list[str]) -> None:
    with observe(disabled) as seen:
        seen.write(0)
        viewer = seen.watch(0)
        change = seen.commit(0)
        assert seen.shows(viewer, 0, change.rev, UNCURED_SECONDS if broken else HANG_SECONDS) is not bool(broken)
        assert seen.verdict().broken == broken


@with_and_without("resync", "converged", never="sweep")
def test_a_message_is_published_while_every_subscription_is_broken(
    observe: Observe, disabled: str, broken: list[str]
) -> None:
    with observe(disabled) as seen:
        seen.write(0)
        viewer = seen.watch(0)
        change = seen.commit(0)
        pipeline: Any = seen.database.redis.pipeline(transaction=True)
        pipeline.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        pipeline.publish(seen.cache.channel, encode_record(change))
        pipeline.execute()
        assert seen.shows(viewer, 0, change.rev, UNCURED_SECONDS if broken else HANG_SECONDS) is not bool(broken)
        assert seen.verdict(readers=False).broken == broken, "Redis lacks it: that is the sweep's"


@pytest.mark.parametrize(("disabled", "shown"), [("", 3), ("sweep gap", 2)], ids=["with-gap", "without-gap"])
def test_a_message_is_lost_and_a_later_one_is_not(observe: Observe, disabled: str, shown: int) -> None:
    """Without the cure it stays lost, and the viewer is told: that is honest."""
    with observe(disabled) as seen:
        seen.write(0)
        viewer = seen.watch(0, "every")
        seen.commit(0)
        assert seen.shows(viewer, 0, seen.write(0))
        verdict = seen.verdict()
        assert not verdict.broken
        assert verdict["every"].checked == shown


@with_and_without("row_lock_rev", "converged")
def test_a_write_waits_for_another_one_of_its_key(observe: Observe, disabled: str, broken: list[str]) -> None:
    """A rev that was drawn before the wait is older than the row that it replaces."""
    with observe(disabled) as seen:
        seen.write(0)
        viewer = seen.watch(0)
        with seen.commit_under_way(0):
            writing = gevent.spawn(seen.write, 0)
            assert until(seen.blocked_writers)
        writing.join()
        assert seen.shows(viewer, 0, max(tick.rev for tick in seen.database.ticks(seen.shared.plan.key(0))))
        assert seen.verdict().broken == broken


@with_and_without("discard", "converged")
def test_a_read_is_cut_off_in_mid_query(observe: Observe, disabled: str, broken: list[str]) -> None:
    """Its rows come later, and are the answer to another one's query unless the connection is thrown away."""
    with observe(disabled, CUTTING) as seen:
        for number in range(4):
            seen.commit(number)
        locked = seen.database.session()
        locked.run("BEGIN")
        locked.run("LOCK TABLE kv")
        assert seen.read(0, **{CUT: "1"}).status == 504
        locked.run("ROLLBACK")
        assert seen.verdict().broken == broken


@with_and_without("drain", "seen off")
def test_a_push_function_is_told_to_stop(observe: Observe, disabled: str, broken: list[str]) -> None:
    """And is killed when patience ends, as Kubernetes does."""
    with observe(disabled, "push") as seen:
        viewer, server = seen.watch(0), seen.world.server
        with seen.fault("SIGTERM", drains=server.url):
            os.kill(server.pid, signal.SIGTERM)
            until(lambda: not viewer.subscribed, PATIENCE_SECONDS if broken else HANG_SECONDS)
            server.kill()
            assert until(lambda: not viewer.subscribed)
            server.start()
        assert until(lambda: viewer.subscribed)
        assert seen.verdict(readers=False).broken == broken
