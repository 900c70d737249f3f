from __future__ import annotations

import logging

import pytest

from tests.functions.push.raw import BINARY, CLOSE, PING, PONG, TEXT, frame

from functions.push.incoming import CLIENT_FRAME_MOST_BYTES, Incoming

CONTINUED = 0x0


def closed_with(incoming: Incoming) -> int:
    assert incoming.closing
    return int.from_bytes(incoming.owed()[2:4], "big")


def test_messages_are_put_together_and_pongs_are_owed() -> None:
    incoming = Incoming()
    first, last = "một".encode()[:2], "một".encode()[2:]
    data = frame(TEXT, first, end=False) + frame(PING, b"p") + frame(CONTINUED, last) + frame(BINARY, b"two")
    messages = [message for byte in data for message in incoming.read(bytes([byte]))]
    assert messages == ["một", b"two"]
    assert incoming.owed() == b"\x8a\x01p"
    assert not incoming.closing


def test_a_pong_is_noticed() -> None:
    incoming = Incoming()
    incoming.ponged = False
    incoming.read(frame(PONG, b""))
    assert incoming.ponged


@pytest.mark.parametrize("end", [True, False])
def test_nothing_behind_text_that_is_none_is_answered(end: bool) -> None:
    incoming = Incoming()
    incoming.read(frame(TEXT, b"\xff", end=end) + frame(PING, b"p"))
    assert closed_with(incoming) == 1007
    assert not incoming.owed()


def test_a_message_may_come_in_parts_but_not_be_larger() -> None:
    incoming = Incoming()
    half = b"x" * (CLIENT_FRAME_MOST_BYTES // 2)
    assert incoming.read(frame(TEXT, half, end=False) + frame(CONTINUED, half)) == ["x" * CLIENT_FRAME_MOST_BYTES]
    incoming.read(frame(TEXT, half, end=False) + frame(CONTINUED, half + b"x"))
    assert closed_with(incoming) == 1009


def test_endless_empty_parts_cost_nothing() -> None:
    incoming = Incoming()
    incoming.read(frame(TEXT, b"", end=False) + frame(CONTINUED, b"", end=False) * 1000)
    assert not incoming._parts
    assert incoming.read(frame(CONTINUED, b"end")) == ["end"]


def test_a_close_is_echoed_once() -> None:
    incoming = Incoming()
    incoming.read(frame(CLOSE, b"\x03\xe8"))
    assert incoming.owed() == b"\x88\x02\x03\xe8"
    assert incoming.closing


def test_what_a_client_says_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """A token is among it."""
    caplog.set_level(logging.DEBUG)
    assert Incoming().read(frame(TEXT, b"secret")) == ["secret"]
    assert "secret" not in caplog.text
