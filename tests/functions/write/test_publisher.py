"""What was committed before a restore reaches nobody after it, however long its publisher stood still in between."""

from __future__ import annotations

from kvcast.bus.cache import Cache
from kvcast.bus.workers import WorkerReport
from kvcast.messages import Write
from tests.databases import Database

from functions.write.publisher import Publisher


def test_what_is_committed_goes_into_the_epoch_that_was_before_its_commit(database: Database) -> None:
    before = database.cache()
    restored = Cache(database.redis, "restored", ttl_seconds=60, window=10)
    publisher = Publisher(before, WorkerReport("write", database.redis_url))
    publisher.start()
    into = publisher.cache
    [lost] = database.commit(Write("gold", "1"))
    publisher.renew(restored)
    publisher.publish_and_wait([lost], into)
    assert (restored.get(["gold"]), before.get(["gold"])) == ([None], [lost])
    [kept] = database.commit(Write("gold", "2"))
    publisher.publish_and_wait([kept], publisher.cache)
    assert (restored.get(["gold"]), before.get(["gold"])) == ([kept], [lost])


def test_changes_of_both_epochs_are_published_each_in_its_own(database: Database) -> None:
    before = database.cache()
    restored = Cache(database.redis, "restored-too", ttl_seconds=60, window=10)
    publisher = Publisher(before, WorkerReport("write", database.redis_url))
    [lost, kept] = database.commit(Write("lost", "1"), Write("kept", "1"))
    told: list[str] = []
    publisher.publish([lost], before, lambda: told.append("lost"))
    publisher.publish([kept], restored, lambda: told.append("kept"))
    publisher.start()
    publisher.publish_and_wait([], before)
    assert told == ["lost", "kept"]
    assert restored.get(["lost", "kept"]) == [None, kept]
    assert before.get(["lost", "kept"]) == [lost, None]
