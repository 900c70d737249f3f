"""The files of web/ over HTTP: who may frame them, what was vendored, how long they are kept."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kvcast.config import Settings
from kvcast.errors import SettingsError
from tests.calls import Caller
from tests.conftest import Server

from functions.read.pages import POLICY

WEB = Path(__file__).parents[3] / "web"
VENDOR = WEB / "vendor"
ORIGINS = "https://desk.example http://127.0.0.1:9000"


@pytest.fixture
def fetch(app: Server) -> Iterator[Caller]:
    """Calls the shared app; files are not in the description of the calls."""
    with Caller(app.url, check=False) as caller:
        yield caller


def ancestors(call: Caller, path: str) -> str:
    policy = call("GET", path).headers["content-security-policy"]
    match = re.search(r"frame-ancestors ([^;]*)", policy)
    assert match
    found = match[1]
    assert policy.replace(f"frame-ancestors {found}", "frame-ancestors 'none'") == POLICY, "nothing else differs"
    return found


def test_nobody_may_frame_a_page_unless_a_setting_says_so(fetch: Caller) -> None:
    pages = ("/", "/admin", "/docs", "/benchmark-report", "/socket-vs-polling")
    for path in (*pages, "/viewer/gold", "/viewer/gold?embed=1", "/style.css"):
        assert ancestors(fetch, path) == "'none'", path


def test_only_the_embedded_viewer_may_be_framed_and_only_by_the_named_origins(serve: Callable[..., Server]) -> None:
    server = serve("read", KVCAST_EMBED_ORIGINS=ORIGINS)
    with Caller(server.url, check=False) as call:
        assert set(ancestors(call, "/viewer/gold?embed=1").split()) == set(ORIGINS.split())
        for path in ("/", "/admin?embed=1", "/viewer/gold", "/viewer/gold?embed=0", "/viewer/gold?embed=1&embed=0"):
            assert ancestors(call, path) == "'none'", path
        known = call("GET", "/viewer/gold?embed=1").headers["etag"]
        again = call("GET", "/viewer/gold", None, if_none_match=known)
        assert (again.status, "'none'" in again.headers["content-security-policy"]) == (304, True)


@pytest.mark.parametrize("origin", ["*", "https://*.example", "desk.example", "https://a.example/path", "https://a;b"])
def test_an_origin_that_is_not_exact_stops_the_start(origin: str) -> None:
    with pytest.raises(SettingsError, match=r"KVCAST_EMBED_ORIGINS.*exact origins"):
        Settings.from_environment({"KVCAST_EMBED_ORIGINS": origin})


def test_vendored_files_are_the_recorded_ones() -> None:
    records = json.loads((VENDOR / "VENDORED.json").read_text())
    recorded = {name: digest for record in records for name, digest in record["sha256"].items()}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.iterdir()}
    found.pop("VENDORED.json")
    assert found == recorded
    for record in records:
        assert record["licence"]
        assert any(name.endswith(".LICENSE") for name in record["sha256"])


def test_vendored_code_may_be_kept_for_ever_because_its_name_holds_its_version(fetch: Caller) -> None:
    for record in json.loads((VENDOR / "VENDORED.json").read_text()):
        for name in (name for name in record["sha256"] if name.endswith(".js")):
            assert record["version"] in name
            reply = fetch("GET", f"/vendor/{name}")
            assert reply.status == 200
            assert "immutable" in reply.headers["cache-control"]
            assert hashlib.sha256(reply.body).hexdigest() == record["sha256"][name]
    assert fetch("GET", "/style.css").headers["cache-control"] == "no-cache"


def test_every_module_and_style_that_a_page_names_is_served(fetch: Caller) -> None:
    named = re.compile(r"""(?:from|import|src=|href=)\s*\(?"(\.?/[\w./-]+\.(?:js|css))\"""")
    wanted = {
        match.removeprefix(".")
        for path in WEB.iterdir() if path.suffix in (".html", ".js")
        for match in named.findall(path.read_text(encoding="utf-8"))
    }
    assert "/vendor/lightweight-charts-5.2.1.js" in wanted
    missing = [path for path in sorted(wanted) if fetch("GET", path).status != 200]
    assert not missing
