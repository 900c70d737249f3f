"""Calls of write and push that come here, because an ingress knows no pod of theirs that is ready.

Some controllers drop a route whose Service has no endpoints, and read is where everything else goes: a 404 would tell
a writer for good that there is nothing to write to.
"""

from __future__ import annotations

from kvcast.errors import Unavailable
from kvcast.web import Answer, Environ, FunctionApp

ROUTES = (
    ("POST", "/add", "write"),
    ("POST", "/batch", "write"),
    ("DELETE", "/keys/<path:key>", "write"),
    ("GET", "/ws", "push"),
    ("GET", "/ws/<path:key>", "push"),
    ("GET", "/sse", "push"),
)


def install_strays(app: FunctionApp) -> None:
    limit = app.limit("read", app.settings.read_limit)
    for method, rule, function in ROUTES:

        def refuse(_environ: Environ, function: str = function) -> Answer:
            raise Unavailable(f"No pod of {function} is ready, so this call came to read; try again.")

        app.endpoint_route(method, rule, refuse, limit)
