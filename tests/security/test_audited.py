"""Whatever changes something on purpose leaves a row in the audit. What is new here stands below, with a decision."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kvcast.cli import build_parser
from kvcast.config import Settings
from kvcast.embedded import Stores
from kvcast.storage import audit
from kvcast.up import start_stores
from tests.calls import Caller
from tests.databases import Database
from tests.functions.write.test_auditing import rows

ROOT = Path(__file__).parents[2]
CHANGES = {"POST /add", "POST /batch", "DELETE /keys/<path:key>"}  # each has its cases below
READS = {
    "GET /", "GET /admin", "GET /admin/functions", "GET /audit", "GET /benchmark-report",
    "GET /docs", "GET /get/<path:key>", "GET /healthz/live", "GET /healthz/ready", "GET /history/<path:key>",
    "GET /keys", "GET /metrics", "GET /mget", "GET /openapi.json",
    "GET /socket-vs-polling", "GET /sse", "GET /stats", "GET /viewer/<path:key>", "GET /ws", "GET /ws/<path:key>",
}
COMMANDS = {
    "migrate": "recorded", "restore": "recorded", "up": "recorded where it migrates",
    "set": "recorded by the function", "del": "recorded by the function",
    "feed": "what a feed writes is no administration; POST /batch records what comes with a note",
    "backup": "only reads", "get": "only reads", "keys": "only reads", "watch": "only reads", "status": "only reads",
    "audit": "only reads", "doctor": "only reads",
    "serve": "changes nothing; its settings are the operator's",
    "login": "keeps a token on this machine only", "token": "only prints; it is the settings that let it in",
}
LIST_ROUTES = """
import os, time
from functions.local import create_app
local = create_app()
for app in local._apps.values():
    while app.health.waits_for is not None:
        time.sleep(0.01)
    for rule in app.url_map.iter_rules():
        for method in rule.methods:
            print(method, rule.rule, flush=True)
os._exit(0)
"""


def test_every_route_is_decided_upon(stores: Stores) -> None:
    settings = {"DATABASE_URL": stores.database_url, "REDIS_URL": stores.functions_redis_url}
    done = subprocess.run(
        [sys.executable, "-c", LIST_ROUTES], cwd=ROOT, env=os.environ | settings, capture_output=True, text=True,
        timeout=120, check=True,
    )
    found = {line for line in done.stdout.splitlines() if not line.startswith(("HEAD ", "OPTIONS "))}
    files = {f"GET /{path.relative_to(ROOT / 'web')}" for path in (ROOT / "web").rglob("*")}
    assert found - files == CHANGES | READS


def test_every_command_is_decided_upon() -> None:
    commands = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    assert set(commands.choices) == set(COMMANDS)


@pytest.mark.parametrize(
    ("action", "method", "path", "body", "headers"),
    [
        ("create", "POST", "/add", '{"key":"KEY","value":1}', {"if_none_match": "*"}),
        ("replace", "POST", "/add", '{"key":"KEY","value":1}', {"if_match": "*"}),
        ("add", "POST", "/add", '{"key":"KEY","value":1}', {"kvcast_note": "why"}),
        ("batch", "POST", "/batch", '[{"key":"KEY","value":1}]', {"kvcast_note": "why"}),
        ("delete", "DELETE", "/keys/KEY", None, {}),
    ],
)
def test_a_change_over_http_names_who_what_and_when(
    call: Caller, unique_key: Callable[..., str], action: str, method: str, path: str, body: str | None,
    headers: dict[str, Any],
) -> None:
    key = unique_key("of it").replace(" ", "-")
    if action in ("replace", "delete"):
        call.rev_of(key)
    began = datetime.now(UTC) - timedelta(seconds=60)
    reply = call(method, path.replace("KEY", key), body and body.replace("KEY", key), **headers)
    assert reply.status == 200, reply
    if action == "batch":
        row = call("GET", "/audit?limit=1").json()["data"][0]
        assert row["rev"] == reply.json()["results"][0]["rev"]
    else:
        [row] = rows(call, key)
    assert (row["action"], row["token"], row["client"]) == (action, "admin", "127.0.0.1")
    assert datetime.fromisoformat(row["at"]) > began


def kvcast(*arguments: str, **environment: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "kvcast", *arguments], cwd=ROOT, env=os.environ | environment, timeout=60, check=True,
        capture_output=True,
    )


def recorded(database: Database) -> list[tuple[str, str | None]]:
    """What commands left, oldest first; each names its role, account and machine, and a moment of just now."""
    found = audit.page(database.pool(1, url=database.owner_url), before=2**62, most=100)
    for entry in found:
        assert (entry.token, entry.key, entry.count) == ("postgresql:postgres", None, 0)
        assert entry.client == audit._here()
        assert datetime.fromisoformat(entry.at) > datetime.now(UTC) - timedelta(seconds=60)
    return [(entry.action, entry.note) for entry in reversed(found)]


def test_a_migration_is_recorded_and_one_that_changes_nothing_is_not(bare: Database) -> None:
    for _ in range(2):
        kvcast("migrate", DATABASE_URL=bare.owner_url)
        assert recorded(bare) == [("migrate", "schema 0 to 2")]
    for _ in range(2):
        kvcast("migrate", "--functions-role", "kvcast", DATABASE_URL=bare.owner_url)
        assert recorded(bare)[1:] == [("migrate", "rights for role kvcast")]


def test_a_start_of_everything_records_its_migration(bare: Database, stores: Stores, tmp_path: Path) -> None:
    settings = Settings(
        database_url=bare.database_url, migration_url=bare.owner_url, redis_url=stores.functions_redis_url
    )
    start_stores(settings, tmp_path, [])
    assert recorded(bare) == [("migrate", "schema 0 to 2; rights for role kvcast")]


def test_a_restore_is_recorded_and_forgets_nothing_that_was(bare: Database, tmp_path: Path) -> None:
    path = tmp_path / "it's :held\n\\now.dump"
    given = {"DATABASE_URL": bare.owner_url}
    kvcast("migrate", **given)
    kvcast("backup", str(path), **given)
    kvcast("migrate", "--functions-role", "kvcast", **given)
    kvcast("restore", str(path), **given)
    kvcast("restore", str(path), **given)
    restored = ("restore", "it's :held?\\now.dump")
    assert recorded(bare) == [
        ("migrate", "schema 0 to 2"), ("migrate", "rights for role kvcast"), restored, restored,
    ]
