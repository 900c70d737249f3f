from __future__ import annotations

import pytest

from kvcast.messages import Change

from functions.push.frames import change_frame, control_frame, websocket_text


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_the_length_is_written_as_short_as_it_goes(size: int, head: bytes) -> None:
    assert websocket_text(b"x" * size) == head + b"x" * size


def test_a_frame_is_built_once() -> None:
    frame = control_frame("hb", time=1.5)
    assert frame.websocket is frame.websocket
    assert frame.sse is frame.sse


def test_an_event_has_an_id_only_where_something_changed() -> None:
    change = Change("gold", b"2345.60", "metal", 41, 40, "2026-01-05T12:00:00.123456Z")
    assert change_frame(change, "ab12").sse.startswith(b'id: ab12-41\ndata: {"op":"upd","key":"gold"')
    assert control_frame("hb", time=1).sse == b'data: {"op":"hb","time":1}\n\n'


def test_a_deletion_is_a_del_even_in_a_snapshot() -> None:
    gone = Change("gold", None, "metal", 42, 41, "2026-01-05T12:00:00.123456Z")
    assert change_frame(gone, "ab12", "snap").payload == b'{"op":"del","key":"gold","rev":42}'


def test_the_commit_time_is_known_where_there_was_a_commit() -> None:
    change = Change("gold", b"1", "metal", 41, 40, "1970-01-01T00:00:01.500000Z")
    assert change_frame(change, "ab12").committed_at == 1.5
    assert control_frame("hb").committed_at is None
