"""What a viewer says to each server until it is subscribed."""

from __future__ import annotations

import json

import msgspec

MARK = b'"T1'  # begins each value that is published: "T<Unix seconds>"


def frame(text: str, opcode: int = 1) -> bytes:
    """A client's frame, masked with zeros."""
    payload = text.encode()
    size = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return bytes((0x80 | opcode,)) + size + bytes(4) + payload


class Protocol(msgspec.Struct, frozen=True):
    """steps: (what to wait for, what to send then), in turn; answers: what it sends by itself -> what is owed."""

    path: str
    steps: tuple[tuple[bytes, bytes], ...]
    answers: tuple[tuple[bytes, bytes], ...] = ()

    def handshake(self, address: tuple[str, int]) -> bytes:
        """The request that opens the WebSocket at `address`."""
        return (
            f"GET {self.path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()


_END_OF_HEAD = b"\r\n\r\n"


def kvcast(key: str, mode: str = "latest") -> Protocol:
    subscribe = frame(json.dumps({"op": "sub", "keys": [key], "mode": mode}))
    return Protocol(
        "/ws", ((_END_OF_HEAD, subscribe), (b'"op":"subbed"', b"")), ((b"\x89\x00", frame("", opcode=10)),)
    )


def socket_io(key: str) -> Protocol:
    subscribe = frame("420" + json.dumps(["subscribe", key]))
    return Protocol(
        "/socket.io/?EIO=4&transport=websocket",
        ((b'0{"sid"', frame("40")), (b'40{"sid"', subscribe), (b"430[", b"")),
        ((b"\x81\x012", frame("3")),),
    )


def centrifuge() -> Protocol:
    return Protocol(
        "/ws", ((_END_OF_HEAD, frame('{"id":1,"connect":{}}')), (b'"connect":', b"")), ((b"\x81\x02{}", frame("{}")),)
    )
