"""The Telnyx dialect against the examples of "Stream call media over WebSocket"."""

import json

import pytest

from softswitch.errors import MalformedError
from softswitch.legs.stream import dialect as d
from softswitch.settings import Stream
from tests.dialects.streams.sessions import ATTEMPT, NOW, objects, open_session, read


def test_stream_begins_with_connected_and_start():
    connected, start = objects(open_session("telnyx", encoding="pcma", tag="vip").opened(NOW))
    assert connected == {"event": "connected", "version": "1.0.0"}
    assert start == {
        "event": "start",
        "sequence_number": "1",
        "start": {
            "user_id": "",
            "call_control_id": "call",
            "call_session_id": "call",
            "from": "+1555",
            "to": "+1777",
            "tags": ["vip"],
            "client_state": "",
            "custom_parameters": {"plan": "gold"},
            "media_format": {"encoding": "PCMA", "sample_rate": 8000, "channels": 1},
        },
        "stream_id": "stream",
    }


def test_media_dtmf_mark_and_stop():
    one = open_session("telnyx")
    assert one.traits.sends == one.traits.receives == d.AudioFormat("pcmu", 8000)
    media = json.loads(one.media("outbound", 1, b"\xff", NOW))
    assert media["media"] == {"track": "outbound", "chunk": "2", "timestamp": "20", "payload": "/w=="}
    [dtmf] = objects(one.dtmf("#", NOW))
    assert dtmf["dtmf"] == {"digit": "#"}
    assert dtmf["occurred_at"].startswith("2026-01-15T")
    assert objects(one.mark("m", False, NOW))[0]["mark"] == {"name": "m"}
    [stop] = objects(one.stop(NOW))
    assert stop["stop"] == {"user_id": "", "call_control_id": "call"}
    assert stop["sequence_number"] == "4"


def test_messages_of_the_service_need_no_stream_id():
    one = open_session("telnyx")
    assert read(one, {"event": "media", "media": {"payload": "/w=="}}) == [d.Audio(b"\xff")]
    assert read(one, {"event": "mark", "mark": {"name": "m"}}) == [d.PlaceMark("m")]
    assert read(one, {"event": "clear"}) == [d.Clear()]
    assert read(one, {"event": "clear", "stream_id": "other"}) == [d.Misdirected()]


def test_unreadable_message_is_answered_with_an_error():
    one = open_session("telnyx")
    with pytest.raises(MalformedError):
        read(one, {"event": "sing"})
    [error] = objects(one.unreadable("why", NOW))
    assert (error["event"], error["stream_id"]) == ("error", "stream")
    assert error["payload"] == {"code": 100003, "title": "malformed_frame", "detail": "why"}


def test_token_is_sent_as_header_and_in_connected():
    row = Stream(protocol="telnyx", token="t", url="wss://bot.example/")
    one = open_session("telnyx", rows=(row,))
    assert one.handshake(ATTEMPT).headers == {"x-telnyx-streaming-auth-token": "t"}
    assert objects(one.opened(NOW))[0]["x-telnyx-streaming-auth-token"] == "t"
