"""The Twilio dialect against the examples of "Media Streams - WebSocket Messages"."""

import base64
import hashlib
import hmac
import json

import pytest

from softswitch.errors import MalformedError
from softswitch.legs.stream import dialect as d
from softswitch.settings import Stream
from tests.dialects.streams.sessions import ATTEMPT, NOW, URL, objects, open_session, read


def test_stream_begins_with_connected_and_start():
    connected, start = objects(open_session("twilio", account="acme").opened(NOW))
    assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert start == {
        "event": "start",
        "sequenceNumber": "1",
        "start": {
            "accountSid": "acme",
            "streamSid": "stream",
            "callSid": "call",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"plan": "gold"},
        },
        "streamSid": "stream",
    }


def test_numbers_are_texts_and_count_every_message():
    one = open_session("twilio")
    one.opened(NOW)
    media = json.loads(one.media("inbound", 4, b"\xff" * 160, NOW))
    assert media == {
        "event": "media",
        "sequenceNumber": "2",
        "media": {
            "track": "inbound",
            "chunk": "5",
            "timestamp": "80",
            "payload": base64.b64encode(b"\xff" * 160).decode(),
        },
        "streamSid": "stream",
    }
    [dtmf], [mark], [stop] = (
        objects(one.dtmf("1", NOW)),
        objects(one.mark("m", True, NOW)),
        objects(one.stop(NOW)),
    )
    assert (dtmf["sequenceNumber"], dtmf["dtmf"]) == ("3", {"track": "inbound_track", "digit": "1"})
    assert (mark["sequenceNumber"], mark["mark"]) == ("4", {"name": "m"})
    assert (stop["sequenceNumber"], stop["stop"]) == ("5", {"accountSid": "", "callSid": "call"})


def test_messages_of_the_service():
    one = open_session("twilio")
    media = {"event": "media", "streamSid": "stream", "media": {"payload": "//8="}}
    assert read(one, media) == [d.Audio(b"\xff\xff")]
    assert read(one, {"event": "mark", "streamSid": "stream", "mark": {"name": "m"}}) == [d.PlaceMark("m")]
    assert read(one, {"event": "clear", "streamSid": "stream"}) == [d.Clear()]
    assert read(one, {"event": "clear", "streamSid": "other"}) == [d.Misdirected()]


@pytest.mark.parametrize(
    "message",
    [
        [],
        1,
        {},
        {"event": "media"},
        {"event": "media", "media": {"payload": "?"}},
        {"event": "mark", "mark": []},
    ],
)
def test_message_that_makes_no_sense_is_malformed(message):
    with pytest.raises(MalformedError):
        read(open_session("twilio"), message)


def test_signature_is_the_sha1_hmac_of_the_url():
    row = Stream(protocol="twilio", secret="auth token", key="AC1")
    one = open_session("twilio", rows=(row,))
    proof = hmac.new(b"auth token", URL.encode(), hashlib.sha1).digest()
    assert one.handshake(ATTEMPT).headers == {"X-Twilio-Signature": base64.b64encode(proof).decode()}
    assert objects(one.opened(NOW))[1]["start"]["accountSid"] == "AC1"
    assert open_session("twilio").handshake(ATTEMPT) == d.Handshake()


def test_other_formats_are_refused_by_field():
    with pytest.raises(MalformedError, match=r"stream_encoding: 'pcm16'.*pcmu") as refusal:
        open_session("twilio", encoding="pcm16")
    assert refusal.value.field == "stream_encoding"
