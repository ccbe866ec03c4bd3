"""The session of a Wavix stream: occasions to messages, messages to neutral values."""

import base64
import json
from typing import Any

import pytest

from softswitch.call.interfaces import StreamRequest
from softswitch.dialects.wavix.stream import EventTimes, WavixSession, WavixStreams
from softswitch.egress.signature import HEADER, signature
from softswitch.errors import MalformedError
from softswitch.legs.stream import dialect as d
from softswitch.protocol.instants import rfc3339

NOW = 1_768_473_000_250
URL = "wss://bot.example/s?a=1"


def session(dialect: WavixStreams | None = None, **fields: Any) -> WavixSession:
    base: dict[str, Any] = {"two_way": True, "channel": "inbound"}
    return (dialect or WavixStreams()).open(StreamRequest("call", "stream", URL, **{**base, **fields}))


def sent(messages: d.Messages) -> list[dict[str, Any]]:
    return [json.loads(message) for message in messages]


def encoded(event: str, **fields: object) -> bytes:
    return json.dumps({"event": event, **fields}).encode()


def test_traits_are_those_of_the_document():
    traits = session().traits
    assert traits.sends == traits.receives == d.AudioFormat("pcm16", 24000)
    assert (traits.frame_ms, traits.binary_media, traits.reconnects) == (20, False, True)
    assert (traits.awaits_ready, traits.keepalive_s, traits.farewell_s) == (False, 0.0, 0.0)


def test_handshake_is_signed_where_there_is_a_secret():
    attempt = d.Attempt(1000, "n")
    assert session().handshake(attempt) == d.Handshake()
    signed = signature("secret", 1000, f"call.stream.{URL}".encode())
    assert session(WavixStreams("secret")).handshake(attempt) == d.Handshake(headers={HEADER: signed})


def test_stream_begins_with_connected_and_start_on_each_connection():
    one = session(extras=("start",), caller="100", callee="200", incoming=True, tag="vip")
    connected, start = sent(one.opened(NOW))
    assert (connected["event"], start["event"], start["sequence_number"]) == ("connected", "start", 1)
    assert (start["from"], start["to"], start["direction"], start["tag"]) == ("100", "200", "inbound", "vip")
    assert sent(one.opened(NOW))[1]["sequence_number"] == 2


def test_media_marks_and_stop_are_numbered_and_timed():
    one = session()
    media = json.loads(one.media("inbound", 3, bytes(960), NOW))
    [mark], [stop] = sent(one.mark("m", True, NOW)), sent(one.stop(NOW))
    assert [message["sequence_number"] for message in (media, mark, stop)] == [1, 2, 3]
    assert {message["event_time"] for message in (media, mark, stop)} == {rfc3339(NOW)}
    assert (media["media"]["timestamp"], mark["mark"]) == (60, {"name": "m"})


def test_status_of_marks_and_keys_are_extras():
    assert sent(session(extras=("mark_status",)).mark("m", True, NOW))[0]["mark"]["status"] == "cleared"
    assert session().dtmf("5", NOW) == ()
    assert sent(session(extras=("dtmf",)).dtmf("5", NOW))[0]["dtmf"] == {"digit": "5"}


def test_messages_mean_neutral_values():
    one = session(extras=("hangup",))
    sound = base64.b64encode(b"\1\0").decode()
    assert one.read_text(encoded("media", media={"payload": sound}), NOW) == (d.Audio(b"\1\0"),)
    assert one.read_text(encoded("mark", mark={"name": "m"}, stream_id="stream"), NOW) == (d.PlaceMark("m"),)
    assert one.read_text(encoded("clear"), NOW) == (d.Clear(),)
    assert one.read_text(encoded("hangup"), NOW) == (d.HangUp(),)
    assert one.read_text(encoded("hangup", drain=True), NOW) == (d.HangUp(drain=True),)
    assert one.read_text(encoded("clear", stream_id="other"), NOW) == (d.Misdirected(),)
    assert session().read_text(encoded("hangup"), NOW) == ()


def test_message_that_cannot_be_read_is_malformed():
    with pytest.raises(MalformedError):
        session().read_text(b"hello", NOW)


def test_event_times_change_with_the_millisecond():
    times = EventTimes()
    for at in (NOW, NOW, NOW + 1, NOW):
        assert times.text(at) == rfc3339(at)
        assert times.data(at) == rfc3339(at).encode()


def test_other_formats_are_refused_by_field():
    with pytest.raises(MalformedError, match="stream_sample_rate: 8000"):
        session(sample_rate=8000)
