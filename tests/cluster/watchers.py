"""The load's viewers: each keeps a socket, notes every frame as it comes, and resumes by rev when it is closed."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any, Literal

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from kvcast.updates import Frame, decode_frame
from tests.cluster.records import Event, Plan, Records, Viewer

OPEN_SECONDS = 10.0
COMES_BACK_SECONDS = 0.5


class Watcher:
    def __init__(self, plan: Plan, records: Records, number: int) -> None:
        mode: Literal["latest", "every"] = "every" if number % 2 else "latest"
        keys = [plan.keys[(number + step) % len(plan.keys)] for step in range(plan.keys_per_viewer)]
        self._plan = plan
        self.viewer = Viewer(mode, keys)
        records.viewers.append(self.viewer)
        self.revs: dict[str, int] = {}
        self._epoch: str | None = None
        self._cookie: str | None = None
        self.subscribed = asyncio.Event()

    async def run(self) -> None:
        while True:
            try:
                await self._connected()
            except ConnectionClosed as error:
                code, reason = (error.rcvd.code, error.rcvd.reason) if error.rcvd else (1006, str(error))
                self._note(Event(time.time(), "closed", rev=code, text=reason))
            except InvalidStatus as error:
                status = error.response.status_code
                self._note(Event(time.time(), "refused", rev=status, text=bytes(error.response.body or b"").decode()))
            except (OSError, TimeoutError, InvalidHandshake) as error:
                self._note(Event(time.time(), "refused", text=f"{type(error).__name__}: {error}"))
            self.subscribed.clear()
            await asyncio.sleep(random.uniform(0, COMES_BACK_SECONDS))

    async def _connected(self) -> None:
        host, port = self._plan.address
        headers = {"Cookie": self._cookie} if self._cookie else {}
        async with connect(
            f"ws://{self._plan.host}/ws", host=host, port=port, additional_headers=headers, compression=None,
            proxy=None, ping_interval=None, open_timeout=OPEN_SECONDS, close_timeout=1,
        ) as socket:
            cookie = socket.response.headers.get("Set-Cookie") if socket.response else None
            if cookie and self._plan.keeps_cookie:
                self._cookie = cookie.split(";")[0]
            leaves_at = time.monotonic() + self._plan.stays_seconds if self._plan.stays_seconds else None
            await self._listen(socket, leaves_at)

    async def _listen(self, socket: ClientConnection, leaves_at: float | None) -> None:
        while True:
            left = leaves_at - time.monotonic() if leaves_at else self._plan.silence_seconds
            try:
                message = await asyncio.wait_for(socket.recv(), max(left, 0.01))
            except TimeoutError:
                self._note(Event(time.time(), "left" if leaves_at else "silent"))
                return
            for frame in decode_frame(message):
                await self._heard(socket, frame, message)

    async def _heard(self, socket: ClientConnection, frame: Frame, message: str | bytes) -> None:
        if frame.op in ("snap", "upd", "del"):
            value = None if frame.op == "del" else bytes(frame.value).decode()
            self._note(Event(time.time(), frame.op, frame.key, frame.rev, value))
            self.revs[frame.key] = max(frame.rev, self.revs.get(frame.key, 0))
        elif frame.op == "hello":
            self._note(Event(time.time(), "hello", text=_server(message)))
            await self._subscribe(socket, frame.epoch)
        elif frame.op == "subbed":
            self._note(Event(time.time(), "subbed", told=not frame.recovered))
            self.subscribed.set()

    async def _subscribe(self, socket: ClientConnection, epoch: str) -> None:
        subscription: dict[str, Any] = {"op": "sub", "keys": self.viewer.keys, "mode": self.viewer.mode}
        if self._epoch == epoch:
            subscription |= {"since": self.revs, "epoch": epoch}
        self._epoch = epoch
        await socket.send(json.dumps(subscription))

    def _note(self, event: Event) -> None:
        self.viewer.events.append(event)


def _server(message: str | bytes) -> str:
    decoded = json.loads(message)
    frames = decoded if isinstance(decoded, list) else [decoded]
    return str(next(frame["server"] for frame in frames if frame["op"] == "hello"))
