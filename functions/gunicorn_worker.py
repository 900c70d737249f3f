"""gunicorn's gevent worker, told to stop: nobody's request is lost, and nobody's idle connection is waited for.

The original stops listening within a second, though proxies go on sending for a moment, and waits `graceful_timeout`
seconds for every keep-alive connection that a browser or a proxy holds open. It also gives a client that has sent
nothing yet as long as one that has proved itself.

Here it goes on listening for a while, answers the next request of each connection with `Connection: close`, and then
ends what is idle. It stops receiving in place of closing: a request that is already here is still read and answered,
where a close would reset it, and a proxy repeats no POST.
"""

from __future__ import annotations

import signal
import socket
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

import gevent
from gunicorn import util
from gunicorn.http.errors import ParseException
from gunicorn.workers.ggevent import GeventWorker

from kvcast import draining

POLL_SECONDS = 0.1
FIRST_REQUEST_SECONDS = 10  # from connecting to the end of the first request's header
LISTENING_SECONDS = 3.0  # after the order to stop; at most a quarter of the drain
SETTLED_SECONDS = 1.0  # idle for so long, it is not in use; at most a quarter of the drain


class Waiting:
    """`client`, a connection, between two requests: entered in `among`, ended without a word after `seconds`."""

    def __init__(self, client: socket.socket, seconds: float, among: set[Waiting]) -> None:
        self._client = client
        self._among = among
        self._timeout = gevent.Timeout(seconds, False)  # type: ignore[arg-type]  # False: silent
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

    def idle_seconds(self) -> float:
        return float(gevent.get_hub().loop.now() - self._began)

    def end(self) -> None:
        """What has arrived is read before the end is."""
        with suppress(OSError):  # the client has gone
            self._client.shutdown(socket.SHUT_RD)


class Worker(GeventWorker):  # type: ignore[misc]
    """`drain_when_told` is started by functions/gunicorn_conf.py."""

    alive: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: set[Waiting] = set()
        self._told = False

    def handle_exit(self, sig: signal.Signals, frame: FrameType | None) -> None:
        self._told = True

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:
        greenlet: Any = gevent.getcurrent()
        greenlet.client = client
        super().handle(listener, client, addr)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        if draining.draining():
            req.force_close()
        super().handle_request(listener_name, req, sock, addr)

    def timeout_ctx(self) -> Waiting:
        """What gunicorn puts around the wait for, and the reading of, each request's header."""
        greenlet: Any = gevent.getcurrent()
        first = not getattr(greenlet, "served", False)
        greenlet.served = True
        keepalive = self.cfg.keepalive
        seconds = min(keepalive, FIRST_REQUEST_SECONDS) if first else keepalive
        return Waiting(greenlet.client, seconds, self._waiting)

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

    def drain_when_told(self, drain_seconds: float) -> None:
        """Notice the order to stop and begin the drain; later stop listening, and end what is idle."""
        while self.alive and not self._told:
            gevent.sleep(POLL_SECONDS)
        draining.begin()
        gevent.sleep(min(LISTENING_SECONDS, drain_seconds / 4))
        self.alive = False
        settled_seconds = min(SETTLED_SECONDS, drain_seconds / 4)
        while True:
            for waiting in [one for one in self._waiting if one.idle_seconds() >= settled_seconds]:
                waiting.end()
            gevent.sleep(POLL_SECONDS)
