"""Serves the files of web/: a fixed list, read once, so that no address reaches the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from urllib.parse import parse_qs

from kvcast.web import Answer, Environ, FunctionApp
from kvcast.web.answers import Endpoint
from kvcast.web.requests import key_in_path

from functions.read.preloads import with_preloads

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".json": "application/json",
}
_PAGES = {
    "/": "index.html", "/admin": "admin.html", "/docs": "docs.html", "/benchmark-report": "benchmark.html",
    "/socket-vs-polling": "polling.html",
}
REPORT = "reports/benchmark.json"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_REVALIDATED = "no-cache"
_IMMUTABLE = "public, max-age=31536000, immutable"  # of vendor/: the version is in the name


def web_folder() -> Path:
    """web/ as installed beside this module, or as it stands in a checkout."""
    installed = Path(__file__).parent / "web"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "web"


def install_pages(app: FunctionApp) -> None:
    folder = web_folder()
    files = {path.name: _File(path, _REVALIDATED) for path in sorted(folder.iterdir()) if path.suffix in _TYPES}
    if (folder / REPORT).exists():  # of the last `make bench`
        files[REPORT] = _File(folder / REPORT, _REVALIDATED)
    limit = app.limit("read", app.settings.read_limit)
    for rule, name in _PAGES.items():
        if name in files:
            app.endpoint_route("GET", rule, files[name].answer, limit)
    if "viewer.html" in files:
        viewer = _viewer(folder / "viewer.html", app.settings.embed_origins)
        app.endpoint_route("GET", "/viewer/<path:key>", viewer, limit)
    for path in sorted((folder / "vendor").glob("*.js")):
        files[f"vendor/{path.name}"] = _File(path, _IMMUTABLE)
    for name, file in files.items():
        if not name.endswith(".html"):
            app.endpoint_route("GET", f"/{name}", file.answer, limit)


def _viewer(path: Path, embed_origins: Collection[str]) -> Endpoint:
    """The viewer; with ?embed=1, and only then, these origins may frame it."""
    page = _File(path, _REVALIDATED)
    ancestors = " ".join(sorted(embed_origins)) or "'none'"
    widget = _File(path, _REVALIDATED, POLICY.replace("frame-ancestors 'none'", f"frame-ancestors {ancestors}"))

    def answer(environ: Environ) -> Answer:
        key_in_path(environ, "/viewer/")  # a key that cannot be is said here, not by an empty page
        embedded = parse_qs(environ.get("QUERY_STRING", "")).get("embed") == ["1"]
        return (widget if embedded else page).answer(environ)

    return answer


class _File:
    def __init__(self, path: Path, caching: str, policy: str = POLICY) -> None:
        self._body = path.read_bytes()
        if path.suffix == ".html":
            self._body = with_preloads(self._body.decode(), path.parent).encode()
        self._etag = f'"{hashlib.sha256(self._body).hexdigest()[:16]}"'
        self._headers = [
            ("Content-Type", _TYPES[path.suffix]),
            ("ETag", self._etag),
            ("Cache-Control", caching),
            ("Content-Security-Policy", policy),
            ("Referrer-Policy", "no-referrer"),
        ]

    def answer(self, environ: Environ) -> Answer:
        if self._etag in environ.get("HTTP_IF_NONE_MATCH", ""):
            return Answer(304, self._headers[1:], b"")
        return Answer(200, self._headers, self._body)
