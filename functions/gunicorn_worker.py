"""gunicorn's gevent worker, which ends idle connections as well when it is told to stop.

The original waits `graceful_timeout` seconds for every keep-alive connection that a browser or a proxy
holds open, and gives a client that has sent nothing yet as long as one that has proved itself.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import gevent
from gunicorn import util
from gunicorn.http.errors import ParseException
from gunicorn.workers.ggevent import GeventWorker

from kvcast import draining

POLL_SECONDS = 0.1
FIRST_REQUEST_SECONDS = 10  # from connecting to the end of the first request's header
SETTLED_SECONDS = 0.5  # what is younger may be a request that is just arriving


class Waiting:
    """A connection between two requests: entered in `among`, ended without a word after `seconds`."""

    def __init__(self, seconds: float, among: set[Waiting]) -> None:
        self._among = among
        self._timeout = gevent.Timeout(seconds, False)  # type: ignore[arg-type]  # False: silent
        self._greenlet = gevent.getcurrent()
        self._began = gevent.get_hub().loop.now()

    def __enter__(self) -> None:
        self._among.add(self)
        self._timeout.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._among.discard(self)
        self._timeout.close()
        return error is self._timeout

    def settled(self) -> bool:
        return bool(gevent.get_hub().loop.now() - self._began >= SETTLED_SECONDS)

    def end(self) -> None:
        gevent.kill(self._greenlet, self._timeout)


class Worker(GeventWorker):  # type: ignore[misc]
    """`drain_when_told` is started by functions/gunicorn_conf.py."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: set[Waiting] = set()

    def timeout_ctx(self) -> Waiting:
        """What gunicorn puts around the wait for, and the reading of, each request's header."""
        greenlet: Any = gevent.getcurrent()
        first = not getattr(greenlet, "served", False)
        greenlet.served = True
        keepalive = self.cfg.keepalive
        return Waiting(min(keepalive, FIRST_REQUEST_SECONDS) if first else keepalive, self._waiting)

    def handle_error(self, req: Any, client: Any, addr: Any, error: BaseException) -> None:
        """Answer what never reached a function as the functions answer; gunicorn would in HTML."""
        # not above: gunicorn imports this module before gevent patches what they build on
        from kvcast.errors import InternalError, InvalidRequest, KvcastError
        from kvcast.web.answers import error_answer

        if isinstance(error, ParseException):
            said = str(error).encode(errors="replace").decode()
            self.log.warning("Refused a request of %s: %s", addr, said)
            refusal: KvcastError = InvalidRequest(f"The request is no HTTP that is taken here ({said}); mend it.")
        else:
            self.log.error("A request failed outside the functions", exc_info=error)
            refusal = InternalError("Something went wrong here; it was logged. Try again, and report it if it stays.")
        lines: list[str] = []

        def start_response(status: str, headers: list[tuple[str, str]]) -> None:
            lines.extend([f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), "", ""])

        body = error_answer(refusal).to_wsgi(start_response, [("Connection", "close")])
        try:
            util.write_nonblock(client, "\r\n".join(lines).encode("latin-1") + b"".join(body))
        except OSError:
            self.log.debug("The client did not wait for the refusal.")

    def drain_when_told(self) -> None:
        """Notice the order to stop (gunicorn tells nobody), begin the drain, end what is idle."""
        while self.alive:
            gevent.sleep(POLL_SECONDS)
        draining.begin()
        while True:
            for waiting in [one for one in self._waiting if one.settled()]:
                waiting.end()
            gevent.sleep(POLL_SECONDS)
