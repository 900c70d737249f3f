"""functions.read, of which a call can be cut off in mid query: as by a time limit on requests, or a killed greenlet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import gevent

from functions.read import create_app as create_read

CUT = "Cut-After-Seconds"


class Cut(BaseException):
    """As GreenletExit is: no Exception."""


def create_app() -> Callable[..., Iterable[bytes]]:
    app = create_read()

    def cut(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        seconds = environ.get("HTTP_" + CUT.upper().replace("-", "_"))
        try:
            with gevent.Timeout(float(seconds) if seconds else None, Cut()):
                return app(environ, start_response)
        except Cut:
            start_response("504 Gateway Timeout", [("Content-Length", "0")])
            return []

    return cut
