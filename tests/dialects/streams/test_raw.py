"""The dialect of bare audio."""

import pytest

from softswitch.errors import MalformedError
from softswitch.legs.stream import dialect as d
from softswitch.settings import Stream
from tests.dialects.streams.sessions import ATTEMPT, NOW, open_session


def test_audio_passes_as_it_is_and_nothing_else_is_sent():
    one = open_session("raw")
    assert one.traits.sends == d.AudioFormat("pcm16", 16000)
    assert one.media("inbound", 0, b"\1\2", NOW) == b"\1\2"
    assert one.read_binary(b"\3", NOW) == (d.Audio(b"\3"),)
    assert not any((*one.opened(NOW), *one.dtmf("1", NOW), *one.mark("m", True, NOW), *one.stop(NOW)))


def test_text_is_malformed():
    with pytest.raises(MalformedError):
        open_session("raw").read_text(b"{}", NOW)


def test_token_is_a_bearer():
    row = Stream(protocol="raw", token="t", url="wss://bot.example")
    assert open_session("raw", rows=(row,)).handshake(ATTEMPT).headers == {"Authorization": "Bearer t"}
