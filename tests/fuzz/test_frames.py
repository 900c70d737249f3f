"""Frames of a client (RFC 6455), right and wrong, in any order, cut anywhere: what comes back is what the RFC says."""

from __future__ import annotations

import itertools
import json
from typing import NamedTuple

from hypothesis import example, given
from hypothesis import strategies as st

from tests.conftest import Server
from tests.functions.push.raw import BINARY, CLOSE, PING, PONG, TEXT, Closed, WebSocket, frame
from tests.fuzz.examples import examples

CONTINUED = 0x0
MOST_BYTES = 4096
MESSAGE = b'{"op":"ping"}'
LEGAL_CODES = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
LAST = b"the last ping"


class Sent(NamedTuple):
    opcode: int
    payload: bytes
    end: bool = True
    reserved: int = 0
    masked: bool = True

    def encoded(self) -> bytes:
        return frame(self.opcode, self.payload, end=self.end, masked=self.masked, reserved=self.reserved)


class Expected:
    """What the RFC and our limits say to frames in turn.

    code: of the close, 0 for none in it; None while open. or_code: as right, where a frame is wrong in two ways.
    refused: a message was, with 4400; frames behind it may have been read before that.
    patient: a text that can become none any more is refused at its end, as the RFC leaves open, and not at once.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self._patient = patient
        self.pongs: list[bytes] = []
        self.beats = 0
        self.code: int | None = None
        self.or_code: int | None = None
        self.refused = False
        self._opcode = CONTINUED
        self._message: bytes | None = None

    def take(self, sent: Sent) -> None:
        control = sent.opcode in (CLOSE, PING, PONG)
        known = control or sent.opcode in (CONTINUED, TEXT, BINARY)
        misused = control and (not sent.end or len(sent.payload) > 125)
        if sent.reserved or not sent.masked or not known or misused:
            self.code = 1002
        elif control:
            self._control(sent)
        elif (sent.opcode == CONTINUED) == (self._message is None):
            self.code = 1002
        else:
            self._data(sent)

    def _control(self, sent: Sent) -> None:
        if sent.opcode == PING:
            self.pongs.append(sent.payload)
        elif sent.opcode == CLOSE:
            code = int.from_bytes(sent.payload[:2], "big")
            if sent.payload == b"":
                self.code = 0  # answered likewise, with none
            elif len(sent.payload) == 1 or code not in LEGAL_CODES:
                self.code = 1002
                self.or_code = None if _is_text(sent.payload[2:]) else 1007
            else:
                self.code = code if _is_text(sent.payload[2:]) else 1007

    def _data(self, sent: Sent) -> None:
        if sent.opcode != CONTINUED:
            self._opcode = sent.opcode
        self._message = (self._message or b"") + sent.payload
        if len(self._message) > MOST_BYTES:
            self.code = 1009
        elif sent.end:
            message, self._message = self._message, None
            if self._opcode == TEXT and not _is_text(message):
                self.code = 1007
            elif self._opcode == BINARY or message != MESSAGE:
                self.refused = True
            else:
                self.beats += not self.refused
        elif self._opcode == TEXT and not self._patient and not _may_become_text(self._message):
            self.code = 1007

    def fits(self, code: int | None, pongs: list[bytes], beats: int) -> bool:
        """Whether this is how it came. code: of the close that came."""
        right = {self.code, self.code if self.or_code is None else self.or_code}
        if self.refused:
            answered = code is not None and code in {4400, *right} and pongs == self.pongs[: len(pongs)]
        else:
            answered = code in right and pongs == self.pongs
        return answered and beats <= self.beats + 1  # 1: the heartbeat; a close overtakes answers to messages before it


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _may_become_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return True


def in_parts(payload: bytes, cuts: list[int], opcode: int = TEXT) -> list[Sent]:
    bounds = [0, *sorted(cut % (len(payload) + 1) for cut in cuts), len(payload)]
    pieces = [payload[start:stop] for start, stop in itertools.pairwise(bounds)]
    return [
        Sent(CONTINUED if number else opcode, piece, end=number == len(pieces) - 1)
        for number, piece in enumerate(pieces)
    ]


CUTS = st.lists(st.integers(0, 60), max_size=4)
GOOD = st.builds(in_parts, st.just(MESSAGE), CUTS)
CONTROL = st.one_of(
    st.builds(lambda op, data: [Sent(op, data)], st.sampled_from([PING, PONG]), st.binary(max_size=125)),
    st.builds(lambda data, end: [Sent(PING, data, end)], st.binary(max_size=130), st.booleans()),
)
CLOSING = st.one_of(
    st.builds(
        lambda code, reason: [Sent(CLOSE, code.to_bytes(2, "big") + reason)],
        st.one_of(st.sampled_from([0, 999, 1000, 1004, 1005, 1006, 1011, 1014, 1015, 2999, 3000, 4999, 5000, 65535]),
                  st.integers(0, 65535)),
        st.one_of(st.binary(max_size=123), st.text(max_size=30).map(str.encode)),
    ),
    st.binary(max_size=1).map(lambda payload: [Sent(CLOSE, payload)]),
)  # fmt: skip
BAD = st.one_of(
    st.builds(in_parts, st.binary(max_size=20), CUTS, st.sampled_from([TEXT, BINARY])),
    st.builds(in_parts, st.just('{"op":"píng€😀"}'.encode()), CUTS),
    st.builds(in_parts, st.sampled_from([b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"]), CUTS),
    st.builds(in_parts, st.sampled_from([b"x" * MOST_BYTES, b"x" * (MOST_BYTES + 1), b"x" * 70_000]),
              st.lists(st.integers(0, 70_000), max_size=3)),
    st.builds(Sent, st.integers(0, 15), st.binary(max_size=200), st.booleans(),
              st.sampled_from([0, 0, 0x10, 0x20, 0x40, 0x70]), st.booleans()).map(lambda sent: [sent]),
)  # fmt: skip


def woven(inner: list[list[Sent]], control: list[list[Sent]], places: list[int]) -> list[Sent]:
    """The frames of `inner` in order, with those of `control` in between."""
    frames = [sent for part in inner for sent in part]
    for part, place in zip(control, places, strict=False):
        where = place % (len(frames) + 1)
        frames[where:where] = part
    return frames


FRAMES = st.builds(
    woven, st.lists(st.one_of(GOOD, GOOD, BAD, CLOSING), min_size=1, max_size=4), st.lists(CONTROL, max_size=3),
    st.lists(st.integers(0, 50), min_size=3, max_size=3),
)  # fmt: skip


@examples(150)
@given(FRAMES, st.lists(st.integers(0, 5000), max_size=5))
@example(in_parts(b"\xe2\x82", [1]), [])
@example([*in_parts(b"\xed\xa0\x80", [2])[:1], Sent(PING, b"p"), *in_parts(b"\xed\xa0\x80", [2])[1:]], [])
@example([Sent(CLOSE, b"")], [1])
@example([*in_parts(MESSAGE, [4]), Sent(CLOSE, (1013).to_bytes(2, "big"))], [3, 9])
def test_a_client_is_answered_as_the_rfc_says(target: Server, frames: list[Sent], cuts: list[int]) -> None:
    ways = [Expected(), Expected(patient=True)]
    for expected in ways:
        for sent in frames:
            if expected.code is None:
                expected.take(sent)
    with WebSocket(target.url) as viewer:
        data = b"".join(sent.encoded() for sent in frames)
        bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
        beats, code = 0, None
        try:
            for start, stop in itertools.pairwise(bounds):
                viewer.sock.sendall(data[start:stop])
            if any(expected.code is None and not expected.refused for expected in ways):
                viewer.sock.sendall(frame(PING, LAST))
        except OSError:
            pass  # closed before all was sent
        try:
            while LAST not in viewer.pongs_heard or beats < ways[0].beats:
                first, payload = viewer.frame()
                if first & 0x0F == PONG:
                    viewer.pongs_heard.append(payload)
                elif first & 0x0F == CLOSE:
                    raise Closed(int.from_bytes(payload[:2], "big"))
                else:
                    beats += json.loads(payload)["op"] == "hb"
        except Closed as closed:
            code = closed.code
    pongs = [pong for pong in viewer.pongs_heard if pong != LAST]
    assert any(expected.fits(code, pongs, beats) for expected in ways), (code, pongs, [vars(one) for one in ways])
