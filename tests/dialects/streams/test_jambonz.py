"""The jambonz dialect against the page "listen"."""

import base64
import io
import wave

import pytest

from softswitch.errors import MalformedError
from softswitch.legs.stream import dialect as d
from softswitch.settings import Stream
from tests.dialects.streams.sessions import ATTEMPT, NOW, objects, open_session, read


def placed(session: d.StreamSession, name: str) -> str:
    """Place a mark; return its name in the engine."""
    [mark] = read(session, {"type": "mark", "data": {"name": name}})
    assert isinstance(mark, d.PlaceMark)
    return mark.name


def play(content: bytes, kind: str, **fields: object) -> dict[str, object]:
    data = {"audioContent": base64.b64encode(content).decode(), "audioContentType": kind, **fields}
    return {"type": "playAudio", "data": data}


def test_first_message_has_the_call_and_the_format():
    one = open_session("jambonz", sample_rate=16000, incoming=True)
    [first] = objects(one.opened(NOW))
    expected = {"callSid": "call", "direction": "inbound", "from": "+1555", "to": "+1777", "plan": "gold"}
    assert first.items() >= expected.items()
    assert (first["sampleRate"], first["mixType"]) == (16000, "mono")
    assert one.handshake(ATTEMPT) == d.Handshake(subprotocols=("audio.jambonz.org",))
    assert one.media("inbound", 0, b"\1\2", NOW) == b"\1\2"
    assert one.read_binary(b"\1", NOW) == (d.Audio(b"\1"),)
    assert objects(one.dtmf("2", NOW)) == [{"event": "dtmf", "dtmf": "2", "duration": "1600"}]


def test_marks_come_back_as_played_or_cleared():
    one = open_session("jambonz")
    name = placed(one, "my:mark")
    assert objects(one.mark(name, False, NOW)) == [
        {"type": "mark", "data": {"name": "my:mark", "event": "playout"}}
    ]
    assert objects(one.mark(name, True, NOW))[0]["data"]["event"] == "cleared"


def test_marks_before_clear_marks_are_forgotten():
    one = open_session("jambonz")
    before = placed(one, "m")
    assert read(one, {"type": "clearMarks"}) == []
    after = placed(one, "m")
    assert one.mark(before, False, NOW) == ()
    assert len(one.mark(after, False, NOW)) == 1


def test_play_audio_is_raw_or_wav_and_reports_its_end():
    one = open_session("jambonz")
    sound = d.AudioFormat("pcm16", 16000)
    audio, mark = read(one, play(b"\1\2", "raw", sampleRate="16000"))
    assert audio == d.Audio(b"\1\2", sound)
    assert isinstance(mark, d.PlaceMark)
    assert objects(one.mark(mark.name, False, NOW)) == [{"type": "playDone"}]
    assert one.mark(mark.name, True, NOW) == ()
    assert read(one, play(wav(1, b"\1\2"), "wav"))[0] == d.Audio(b"\1\2", sound)


def wav(channels: int, pcm: bytes) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(pcm)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "message",
    [
        play(b"", "raw", sampleRate=11025),
        play(b"", "raw"),
        play(b"RIFF", "wav"),
        play(wav(2, bytes(4)), "wave"),
        play(b"", "mp3"),
        {"type": "mark", "data": {}},
        {"type": "sing"},
    ],
)
def test_unreadable_messages(message):
    with pytest.raises(MalformedError):
        read(open_session("jambonz"), message)


def test_kill_and_disconnect():
    one = open_session("jambonz")
    assert read(one, {"type": "killAudio"}) == [d.Clear()]
    assert read(one, {"type": "disconnect"}) == [d.Close("the service said disconnect")]


def test_key_and_token_are_basic_authentication():
    row = Stream(protocol="jambonz", key="Aladdin", token="open sesame", url="wss://bot.example")
    handshake = open_session("jambonz", rows=(row,)).handshake(ATTEMPT)
    assert handshake.headers == {"Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}
