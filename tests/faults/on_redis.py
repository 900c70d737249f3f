"""What happens to Redis. It holds nothing that PostgreSQL does not, so none of it may cost a value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.faults.catalogue import Scene, fault

SPARE_BYTES = 200_000
REPEATS = 6


@fault("Redis killed, back empty", "reads come from PostgreSQL; pushes with the next sweep, within a second", "redis")
def empty(scene: Scene) -> Iterator[None]:
    scene.world.valkey.kill()
    yield
    scene.world.restart_store(scene.world.valkey)


@fault("Redis killed, back with old data", "as when it is back empty; nothing old is shown", "redis")
def old(scene: Scene) -> Iterator[None]:
    scene.world.redis.save()
    yield
    scene.world.restart_store(scene.world.valkey)
    dump = scene.world.folder / "data" / "redis" / "dump.rdb"
    assert dump.exists(), "nothing old came back"
    dump.unlink()


@fault("FLUSHALL", "nothing that a user would see", "redis", hold_seconds=2)
def flush(scene: Scene) -> Iterator[None]:
    scene.world.redis.flushall()
    yield
    scene.world.redis.flushall()


@fault("CLIENT KILL", "nothing that a user would see", "redis", hold_seconds=1)
def client_kill(scene: Scene) -> Iterator[None]:
    client: Any = scene.world.redis
    for kind in ("normal", "pubsub") * 2:
        client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
    yield
    client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


@fault("Redis full, noeviction", "pushes come with the next sweep; reads come from PostgreSQL", "redis", hold_seconds=5)
def full(scene: Scene) -> Iterator[None]:
    yield from _memory(scene, "noeviction", -SPARE_BYTES)


@fault("Redis full, eviction", "more reads come from PostgreSQL", "redis", hold_seconds=5)
def evicting(scene: Scene) -> Iterator[None]:
    yield from _memory(scene, "allkeys-lru", -SPARE_BYTES)


def _memory(scene: Scene, policy: str, spare_bytes: int) -> Iterator[None]:
    server = scene.world.redis
    info: Any = server.info("memory")
    before: Any = server.config_get("maxmemory*")
    server.config_set("maxmemory-policy", policy)
    server.config_set("maxmemory", info["used_memory"] + spare_bytes)
    yield
    server.config_set("maxmemory-policy", before["maxmemory-policy"])
    server.config_set("maxmemory", before["maxmemory"])


@fault("Redis read-only", "as when it is full: it answers, but refuses every change", "redis", hold_seconds=5)
def read_only(scene: Scene) -> Iterator[None]:
    """As a replica whose primary is gone, after a failover that clients have not followed."""
    scene.world.redis.replicaof("127.0.0.1", "1")
    yield
    scene.world.redis.replicaof("NO", "ONE")


@fault("SIGSTOP Redis", "as when it is killed; each reader waits for it once", "redis", hold_seconds=10)
def stopped(scene: Scene) -> Iterator[None]:
    with scene.world.stopped(scene.world.valkey.pid):
        yield
