"""Viewers: they watch keys, prefixes or categories, resume by rev when they are cut off, and note all they are sent."""

from __future__ import annotations

import http.client

import gevent
from websockets.exceptions import InvalidHandshake

from kvcast.retries import full_jitter_seconds
from tests.checker.load.http import Route
from tests.checker.load.plan import Shared
from tests.checker.load.streams import Ended, EventStream, Frame, Refusal, Stream, WebSocket
from tests.checker.records import Closed, Got, Hello, Open, Refused, Seen, Subbed, now

HEARTBEATS = 2.5  # of silence, until a viewer believes that its connection is dead
FIRST_WAIT_SECONDS = 0.1
MOST_WAIT_SECONDS = 1.0


class Watcher:
    """wanted: what it asks for; `since`, `epoch` and `url` are filled in each time.

    stays_seconds: it leaves after about so long, and comes back; 0: it stays. forgets: it comes back as a new viewer.
    """

    def __init__(
        self, shared: Shared, number: int, wanted: Open, *, stays_seconds: float = 0.0, forgets: bool = False
    ) -> None:
        self.wanted = wanted
        self.who = wanted.who
        self._random = shared.random(self.who)
        self._note = shared.recorder
        self._route = Route(shared.plan.push, number)
        self._stays_seconds = stays_seconds
        self._forgets = forgets
        self._failures = 0
        self.revs: dict[str, int] = {}  # of what it shows
        self.epoch = ""
        self.subscribed = False
        plan = shared.plan
        self._shared = shared
        self._covered = [
            number
            for number in range(plan.keys)
            if plan.key(number) in wanted.keys
            or plan.key(number).startswith(tuple(wanted.prefixes))
            or plan.category(number) in wanted.categories
        ]
        self.ends: dict[str, int] = {}

    def run(self) -> None:
        """Until it is killed."""
        while True:
            self._connect()
            self.subscribed = False
            self._failures += 1
            gevent.sleep(full_jitter_seconds(self._failures, FIRST_WAIT_SECONDS, MOST_WAIT_SECONDS))

    def behind(self) -> bool:
        """Whether it shows any key older than what was acknowledged last, or is not connected."""
        return not self.subscribed or any(map(self._lacks, self._covered))

    def _lacks(self, number: int) -> bool:
        shown = self.revs.get(self._shared.plan.key(number), 0)
        newest = self._shared.newest.get(number, 0)
        return shown < newest and not (shown == 0 and number in self._shared.absent)

    def _connect(self) -> None:
        if self._forgets:
            self.revs, self.epoch = {}, ""
        url = self._route.url
        try:
            stream = self._opened(url)
        except Refusal as error:
            self._refused(url, error.status, "")
        except (OSError, http.client.HTTPException, InvalidHandshake, ValueError) as error:
            self._refused(url, 0, type(error).__name__)
        else:
            self._listen(stream)

    def _opened(self, url: str) -> Stream:
        if self.wanted.via == "ws":
            return WebSocket(url)
        asked = self._asked()
        self._note(asked)
        return EventStream(url, asked)

    def _asked(self) -> Open:
        wanted = self.wanted
        since = dict(self.revs) if self.epoch else {}
        return Open(
            at=now(), who=self.who, url=self._route.url, via=wanted.via, mode=wanted.mode, max_rate=wanted.max_rate,
            keys=wanted.keys, prefixes=wanted.prefixes, categories=wanted.categories, since=since, epoch=self.epoch,
        )

    def _refused(self, url: str, status: int, code: str) -> None:
        self.ends[f"refused {status}"] = self.ends.get(f"refused {status}", 0) + 1
        self._note(Refused(at=now(), who=self.who, url=url, status=status, code=code))
        self._route.move_on()

    def _listen(self, stream: Stream) -> None:
        stays = self._stays_seconds and not self._shared.stopping.is_set()
        leaves = gevent.Timeout(self._random.uniform(0.5, 1.5) * self._stays_seconds) if stays else None
        closed = Closed(at=0, who=self.who, by="client")
        try:
            if leaves is not None:
                leaves.start()
            stream.listen_for(10.0)
            for frames in stream.messages():
                self._heard(stream, frames)
        except Ended as error:
            closed = Closed(at=0, who=self.who, by="cut" if error.code is None else "server", code=error.code or 0)
        except TimeoutError:
            closed = Closed(at=0, who=self.who, by="silent")
        except OSError:
            closed = Closed(at=0, who=self.who, by="cut")
        except gevent.Timeout as error:
            if error is not leaves:
                raise
        finally:
            if leaves is not None:
                leaves.close()
            closed.at = now()
            self._note(closed)
            self.ends[f"{closed.by} {closed.code}"] = self.ends.get(f"{closed.by} {closed.code}", 0) + 1
            stream.close()
            if closed.by != "client":
                self._route.move_on()

    def _heard(self, stream: Stream, frames: list[Frame]) -> None:
        at = now()
        changes = []
        for frame in frames:
            if frame.op in ("snap", "upd", "del"):
                value = None if frame.op == "del" else _text(bytes(frame.value))
                changes.append(Seen(frame.op, frame.key, frame.rev, value, frame.recovered))  # type: ignore[arg-type]
                self.revs[frame.key] = max(frame.rev, self.revs.get(frame.key, 0))
                continue
            if changes:
                self._note(Got(at=at, who=self.who, changes=changes))
                changes = []
            self._told(stream, frame, at)
        if changes:
            self._note(Got(at=at, who=self.who, changes=changes))

    def _told(self, stream: Stream, frame: Frame, at: int) -> None:
        if frame.op == "hello":
            stream.listen_for(HEARTBEATS * frame.heartbeat)
            self._note(Hello(at=at, who=self.who, epoch=frame.epoch, server=frame.server))
            self._shared.greeted(frame.epoch)
            if self.epoch != frame.epoch:
                self.revs, self.epoch = {}, frame.epoch
            if isinstance(stream, WebSocket):
                asked = self._asked()
                self._note(asked)
                stream.subscribe(asked)
        elif frame.op == "subbed":
            self._note(Subbed(at=at, who=self.who, keys=frame.keys, absent=frame.absent, recovered=frame.recovered))
            self._failures = 0
            self.subscribed = True
        elif frame.op == "error":
            self._note(Refused(at=at, who=self.who, url=self._route.url, status=200, code=frame.code))
            raise Ended(0)


def _text(raw: bytes) -> str:
    """Of a value that the load wrote: a JSON string without escapes. Anything else stays as it came."""
    text = raw.decode()
    return text[1:-1] if text[:1] == '"' == text[-1:] else text


def watchers(shared: Shared) -> list[Watcher]:
    """A mix: four of ten in mode every, a few of whole groups, over events, paced, leaving at random or forgetful."""
    plan = shared.plan
    made = []
    for number in range(plan.viewers):
        who = f"{plan.name}.v{number}"
        random = shared.random(f"{who} wants")
        wanted = Open(at=0, who=who, mode="every" if number % 5 in (1, 3) else "latest")
        kind = number % 20
        if kind in (4, 11):
            wanted.prefixes = [plan.prefix(random.randrange(plan.groups))]
        elif kind in (8, 13):
            wanted.categories = [plan.category(random.randrange(plan.keys))]
        else:
            wanted.keys = [plan.key(each) for each in sorted(random.sample(range(plan.keys), min(3, plan.keys)))]
        if kind in (1, 7):
            wanted.via = "sse"
            wanted.keys = wanted.keys[: 1 if kind == 1 else None]
        if kind == 5:
            wanted.max_rate = 5.0
        made.append(
            Watcher(shared, number, wanted, stays_seconds=5.0 if kind % 4 == 2 else 0.0, forgets=kind in (6, 12))
        )
    return made
