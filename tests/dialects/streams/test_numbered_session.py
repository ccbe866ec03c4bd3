"""The form of messages that Twilio, Telnyx and Exotel share, with field names of its own."""

import pytest

from softswitch.call.interfaces import StreamRequest
from softswitch.call.vocabulary.values import StreamTrack
from softswitch.dialects.streams.numbered_session import NumberedSession
from softswitch.errors import MalformedError
from softswitch.legs.stream.dialect import Audio, Clear, Messages, Misdirected, PlaceMark, StreamTraits
from softswitch.legs.stream.formats import PCMU
from tests.dialects.streams.sessions import URL, objects, read


class Session(NumberedSession):
    traits = StreamTraits(sends=PCMU, receives=PCMU, frame_ms=40)
    _stream_field, _number_field = "s", "n"

    def opened(self, now_ms: int) -> Messages:
        return (self._message("start", {}),)

    def media(self, track: StreamTrack, frame: int, audio: bytes, now_ms: int) -> bytes:
        return self._media(frame, audio, track=track)


def session() -> Session:
    return Session(StreamRequest("call", "stream", URL, two_way=True, channel="inbound", protocol="numbered"))


def test_messages_are_numbered_and_name_the_stream():
    stream = session()
    (start,) = objects(stream.opened(0))
    (media,) = objects((stream.media("inbound", 2, b"\xff", 0),))
    (mark,) = objects(stream.mark("a", True, 0))
    assert start == {"event": "start", "n": "1", "s": "stream", "start": {}}
    part = {
        "track": "inbound",
        "chunk": "3",
        "timestamp": "80",
        "payload": "/w==",
    }
    assert media == {"event": "media", "n": "2", "s": "stream", "media": part}
    assert mark == {"event": "mark", "n": "3", "s": "stream", "mark": {"name": "a"}}


def test_media_mark_and_clear_are_read():
    stream = session()
    assert read(stream, {"event": "media", "media": {"payload": "/w=="}}) == [Audio(b"\xff")]
    assert read(stream, {"event": "mark", "mark": {"name": "m"}, "s": "stream"}) == [PlaceMark("m")]
    assert read(stream, {"event": "clear"}) == [Clear()]
    assert read(stream, {"event": "clear", "s": "another"}) == [Misdirected()]
    with pytest.raises(MalformedError, match="event: must be media, mark or clear"):
        read(stream, {"event": "dance"})
