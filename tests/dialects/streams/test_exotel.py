"""The Exotel dialect against the examples of "WebSocket protocol"."""

import json

import pytest

from softswitch.errors import MalformedError
from softswitch.legs.stream import dialect as d
from softswitch.settings import Stream
from tests.dialects.streams.sessions import ATTEMPT, NOW, objects, open_session, read


def test_stream_begins_with_connected_and_start():
    connected, start = objects(open_session("exotel").opened(NOW))
    assert connected == {"event": "connected"}
    assert start == {
        "event": "start",
        "sequence_number": "1",
        "stream_sid": "stream",
        "start": {
            "stream_sid": "stream",
            "call_sid": "call",
            "account_sid": "",
            "from": "+1555",
            "to": "+1777",
            "custom_parameters": {"plan": "gold"},
            "media_format": {"encoding": "audio/x-raw", "sample_rate": "8000", "bit_rate": "16"},
        },
    }


def test_media_has_100_ms():
    one = open_session("exotel")
    assert one.traits.frame_ms == 100
    media = json.loads(one.media("inbound", 2, b"\1\2", NOW))
    assert media["media"] == {"chunk": "3", "timestamp": "200", "payload": "AQI="}
    assert objects(one.dtmf("5", NOW))[0]["dtmf"] == {"digit": "5", "duration": "100"}
    assert objects(one.mark("m", True, NOW))[0]["mark"] == {"name": "m"}
    assert objects(one.stop(NOW))[0]["stop"]["reason"] == "callended"


def test_media_of_two_tracks_names_the_track():
    one = open_session("exotel", two_way=False, channel="both")
    assert json.loads(one.media("outbound", 0, b"", NOW))["media"]["track"] == "outbound"


def test_rate_is_that_of_the_request_or_of_the_url():
    url = "wss://bot.example/s?sample-rate=16000"
    assert open_session("exotel", url=url).traits.sends == d.AudioFormat("pcm16", 16000)
    assert open_session("exotel", url=url, sample_rate=24000).traits.sends.sample_rate == 24000
    with pytest.raises(MalformedError, match="stream_sample_rate: 44100"):
        open_session("exotel", url="wss://bot.example/s?sample-rate=44100")


def test_messages_of_the_service():
    one = open_session("exotel")
    media = {"event": "media", "stream_sid": "stream", "media": {"payload": "AQI="}}
    assert read(one, media) == [d.Audio(b"\1\2")]
    assert read(one, {"event": "mark", "stream_sid": "stream", "mark": {"name": "m"}}) == [d.PlaceMark("m")]
    assert read(one, {"event": "clear", "stream_sid": "stream"}) == [d.Clear()]
    assert read(one, {"event": "clear", "stream_sid": "other"}) == [d.Misdirected()]
    with pytest.raises(MalformedError):
        read(one, {"event": "stop"})


def test_key_and_token_are_basic_authentication():
    row = Stream(protocol="exotel", key="Aladdin", token="open sesame", url="wss://bot.example")
    # The example of RFC 7617 section 2.
    headers = {"Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}
    assert open_session("exotel", rows=(row,)).handshake(ATTEMPT).headers == headers
