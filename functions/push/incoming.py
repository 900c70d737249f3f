"""What the bytes of a viewer say (RFC 6455), and what is owed for them. No I/O: `websockets` reads and answers."""

from __future__ import annotations

import logging

from websockets.frames import Opcode
from websockets.protocol import OPEN, SERVER, Protocol

CLIENT_FRAME_MOST_BYTES = 4096
_INVALID_TEXT = 1007
_log = logging.getLogger(__name__)


class Incoming:
    """messages: text, or bytes where it was sent as binary."""

    __slots__ = ("_binary", "_parts", "_protocol", "ponged")

    def __init__(self) -> None:
        self._protocol = Protocol(SERVER, max_size=CLIENT_FRAME_MOST_BYTES, logger=_log)
        self._parts: list[bytes] | None = None  # of a message that has not ended
        self._binary = False
        self.ponged = True  # since this was last set to False

    @property
    def closing(self) -> bool:
        """A close frame was said, by either side: what is owed ends with ours."""
        return self._protocol.state is not OPEN

    def read(self, data: bytes) -> list[str | bytes]:
        """The messages that end in `data`; then look at `closing`, and send `owed`."""
        self._protocol.receive_data(data)
        messages = []
        for frame in self._protocol.events_received():
            if frame.opcode is Opcode.PONG:
                self.ponged = True
            elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                try:
                    message = self._message(frame.opcode, bytes(frame.data), frame.fin)
                except UnicodeDecodeError:
                    self._protocol.fail(_INVALID_TEXT, "the text is no UTF-8")
                    break
                if message is not None:
                    messages.append(message)
        return messages

    def _message(self, opcode: Opcode, data: bytes, is_last: bool) -> str | bytes | None:
        if opcode is not Opcode.CONT:
            self._binary = opcode is Opcode.BINARY
        if not is_last:
            self._parts = [*(self._parts or []), data]
            return None
        whole = b"".join([*self._parts, data]) if self._parts else data
        self._parts = None
        return whole if self._binary else whole.decode()

    def close(self, code: int, reason: str) -> None:
        """Not while `closing`."""
        self._protocol.send_close(code, reason)

    def owed(self) -> bytes:
        """Pongs and the close frame that are still to be sent."""
        return b"".join(self._protocol.data_to_send())
