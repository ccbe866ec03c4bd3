"""The Plivo dialect against the examples of "Audio Streaming Protocol Reference"."""

import base64
import hashlib
import hmac
import json

import pytest

from softswitch.errors import MalformedError
from softswitch.legs.stream import dialect as d
from softswitch.settings import Stream
from tests.dialects.streams.sessions import ATTEMPT, NOW, objects, open_session, read


@pytest.mark.parametrize(
    ("encoding", "rate", "name"),
    [("", 0, "audio/x-mulaw"), ("pcm16", 8000, "audio/x-l16"), ("pcm16", 16000, "audio/x-l16")],
)
def test_start(encoding, rate, name):
    [start] = objects(open_session("plivo", encoding=encoding, sample_rate=rate).opened(NOW))
    assert start == {
        "event": "start",
        "sequenceNumber": 1,
        "start": {
            "callId": "call",
            "streamId": "stream",
            "accountId": "",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": name, "sampleRate": rate or 8000},
        },
        "extra_headers": "plan=gold",
    }


def test_media_and_keys():
    one = open_session("plivo")
    media = json.loads(one.media("inbound", 40, b"\xff", NOW))
    assert media == {
        "event": "media",
        "sequenceNumber": 1,
        "streamId": "stream",
        "media": {"track": "inbound", "timestamp": str(NOW), "chunk": 41, "payload": "/w=="},
        "extra_headers": "plan=gold",
    }
    [dtmf] = objects(one.dtmf("9", NOW))
    assert dtmf["dtmf"] == {"track": "inbound", "digit": "9", "timestamp": str(NOW)}
    assert objects(one.stop(NOW))[0]["event"] == "stop"


def test_audio_has_the_format_of_its_message():
    one = open_session("plivo")
    for given, rate, form in (
        ("audio/x-mulaw", 8000, d.AudioFormat("pcmu", 8000)),
        ("audio/x-l16", "16000", d.AudioFormat("pcm16", 16000)),
        ("audio/x-l16;rate=8000", 8000, d.AudioFormat("pcm16", 8000)),
    ):
        media = {"contentType": given, "sampleRate": rate, "payload": "/w=="}
        assert read(one, {"event": "playAudio", "media": media}) == [d.Audio(b"\xff", form)]
    with pytest.raises(MalformedError, match="contentType and sampleRate"):
        read(one, {"event": "playAudio", "media": {"contentType": "audio/wav", "payload": ""}})


def test_checkpoint_is_reported_only_where_its_audio_was_played():
    one = open_session("plivo")
    assert read(one, {"event": "checkpoint", "streamId": "stream", "name": "greeting"}) == [
        d.PlaceMark("greeting")
    ]
    assert objects(one.mark("greeting", False, NOW)) == [
        {"event": "playedStream", "streamId": "stream", "name": "greeting"}
    ]
    assert one.mark("greeting", True, NOW) == ()


def test_clear_is_acknowledged():
    clear, reply = read(open_session("plivo"), {"event": "clearAudio", "streamId": "stream"})
    assert clear == d.Clear()
    assert isinstance(reply, d.Reply)
    assert objects([reply.message]) == [{"event": "clearedAudio", "sequenceNumber": 1, "streamId": "stream"}]


def test_signature_is_over_the_sorted_url_and_the_nonce():
    one = open_session("plivo", rows=(Stream(protocol="plivo", secret="token"),))
    proof = hmac.new(
        b"token", f"wss://bot.example/s?a=1&b=2.{ATTEMPT.nonce}".encode(), hashlib.sha256
    ).digest()
    assert one.handshake(ATTEMPT).headers == {
        "X-Plivo-Signature-V3": base64.b64encode(proof).decode(),
        "X-Plivo-Signature-V3-Nonce": ATTEMPT.nonce,
    }
