"""gunicorn's gevent worker, told to stop: nobody's request is lost, and nobody's idle connection is waited for.

The original stops listening within a second, though proxies go on sending for a moment, and waits `graceful_timeout`
seconds for every keep-alive connection that a browser or a proxy holds open. It also gives a client that has sent
nothing yet as long as one that has proved itself.

Here it goes on listening for a while, answers the next request of each connection with `Connection: close`, and then
ends what is idle. It stops receiving in place of closing: a request that is already here is still read and answered,
where a close would reset it, and a proxy repeats no POST.
"""

from __future__ import annotations

import errno
import signal
import socket
from types import FrameType
from typing import Any

import gevent
from gunicorn import http, util
from gunicorn.http.errors import ParseException
from gunicorn.workers.ggevent import GeventWorker

from kvcast import draining

from functions.plain_connection import PlainServer
from functions.waiting import Waiting, end_idle

POLL_SECONDS = 0.1
FIRST_REQUEST_SECONDS = 10  # from connecting to the end of the first request's header
LISTENING_SECONDS = 5.0  # after the order to stop, until readiness was seen to be gone; at most a quarter of the drain
LAST_SECONDS = 3.0  # after the drain, for viewers to take their close frames and hang up
UNWANTED_MOST_BYTES = 16 * 2**20  # of a body that was refused: read to its end, so that its sender sees the answer
SETTLED_SECONDS = 1.0  # idle for so long, it is not in use; at most a quarter of the drain


class Worker(GeventWorker):  # type: ignore[misc]
    """`drain_when_told` and `end_idle` are started by functions/gunicorn_conf.py, which sets what has no value here.

    body_seconds: how long the rest of a body that nobody wanted may take to arrive.
    """

    alive: bool
    body_seconds: float

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: set[Waiting] = set()
        self._plain: PlainServer | None = None
        self._told = False

    def handle_exit(self, sig: signal.Signals, frame: FrameType | None) -> None:
        self._told = True

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:
        """Serve a connection to its end: what is plain here, everything else as gunicorn does."""
        client.setblocking(True)
        req = None
        waiting = Waiting(client, min(self.cfg.keepalive, FIRST_REQUEST_SECONDS), self._waiting)
        try:
            parser = http.get_parser(self.cfg, client, addr)
            while self._finish_body(parser):
                self._serve_plain(client, addr, parser.unreader, waiting)
                req = None
                with waiting:
                    req = next(parser)
                waiting.seconds = self.cfg.keepalive
                self.handle_request(listener.getsockname(), req, client, addr)
        except (StopIteration, http.errors.NoMoreData):
            self.log.debug("A connection ended.")
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ETIMEDOUT):
                self.log.exception("A connection broke.")
        except Exception as error:
            self.handle_error(req, client, addr, error)
        finally:
            util.close(client)

    def _finish_body(self, parser: Any) -> bool:
        """Whether the last request's body is read, so that another request may follow."""
        with gevent.Timeout(self.body_seconds, False):  # type: ignore[arg-type]  # False: silent
            return bool(parser.finish_body(max_bytes=UNWANTED_MOST_BYTES))
        return False

    def _serve_plain(self, client: socket.socket, addr: Any, unreader: Any, waiting: Waiting) -> None:
        hot = getattr(self.wsgi, "hot", ())
        behind = unreader.take_buffered()
        if behind:  # pipelined behind the last request
            unreader.unread(behind)
        elif hot:
            if self._plain is None:
                self._plain = PlainServer(self.cfg, self.wsgi)
            unreader.unread(self._plain.serve(client, addr, hot, waiting))

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        if draining.draining():
            req.force_close()
        super().handle_request(listener_name, req, sock, addr)

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

    def end_idle(self) -> None:
        end_idle(self._waiting)

    def drain_when_told(self, drain_seconds: float) -> None:
        """Notice the order to stop and turn unready; later hand over, stop listening, and end what is idle."""
        while self.alive and not self._told:
            gevent.sleep(POLL_SECONDS)
        draining.begin()
        gevent.sleep(min(LISTENING_SECONDS, drain_seconds / 4))
        if draining.hand_over():
            gevent.sleep(drain_seconds)  # listening still: /metrics tells how far it is
            with gevent.Timeout(LAST_SECONDS, False):  # type: ignore[arg-type]  # False: silent
                while draining.clients_left():  # viewers' sockets have no greenlets, which gunicorn would wait for
                    gevent.sleep(POLL_SECONDS)
        self.alive = False
        settled_seconds = min(SETTLED_SECONDS, drain_seconds / 4)
        while True:
            for waiting in [one for one in self._waiting if one.idle_seconds() >= settled_seconds]:
                waiting.end()
            gevent.sleep(POLL_SECONDS)
