"""What the bytes of a viewer say (RFC 6455), and what is owed for them. No I/O: `websockets` reads and answers."""

from __future__ import annotations

import codecs
import logging
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, SERVER, Protocol

CLIENT_FRAME_MOST_BYTES = 4096
_Utf8 = codecs.getincrementaldecoder("utf-8")
_log = logging.getLogger(__name__)
_log.setLevel(logging.INFO)  # below that, `websockets` logs what clients say, and a token is among it


class Incoming(Protocol):
    """A message is text, or bytes where it was sent as binary."""

    def __init__(self) -> None:
        super().__init__(SERVER, max_size=CLIENT_FRAME_MOST_BYTES, logger=_log)
        self.ponged = True  # since this was last set to False
        self._messages: list[str | bytes] = []
        self._parts: list[Any] = []  # of a message that has not ended; none is empty, so its size bounds them
        self._decoder: codecs.IncrementalDecoder | None = None  # while a text is being said

    @property
    def closing(self) -> bool:
        """A close frame was said, by either side: what is owed ends with ours."""
        return self.state is not OPEN

    def read(self, data: bytes) -> list[str | bytes]:
        """The messages that end in `data`; then look at `closing`, and send `owed`."""
        self.receive_data(data)
        self.events_received()
        messages, self._messages = self._messages, []
        return messages

    def recv_frame(self, frame: Frame) -> None:
        """Called for each frame before the next is read. A UnicodeDecodeError closes with 1007."""
        super().recv_frame(frame)
        if frame.opcode is Opcode.PONG:
            self.ponged = True
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self._take(frame.opcode, bytes(frame.data), frame.fin)

    def _take(self, opcode: Opcode, data: bytes, is_last: bool) -> None:
        if opcode is Opcode.TEXT:
            self._decoder = _Utf8()
        part = data if self._decoder is None else self._decoder.decode(data, is_last)
        if part:
            self._parts.append(part)
        if is_last:
            self._messages.append((b"" if self._decoder is None else "").join(self._parts))
            self._parts.clear()
            self._decoder = None

    def close(self, code: int, reason: str) -> None:
        """Not while `closing`."""
        self.send_close(code, reason)

    def owed(self) -> bytes:
        """Pongs and the close frame that are still to be sent."""
        return b"".join(self.data_to_send())
