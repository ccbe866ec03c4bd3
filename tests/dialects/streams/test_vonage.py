"""The Vonage dialect against the examples of "WebSockets in the Vonage Voice API"."""

import pytest

from softswitch.errors import MalformedError
from softswitch.legs.stream import dialect as d
from softswitch.settings import Stream
from tests.dialects.streams.sessions import ATTEMPT, NOW, objects, open_session, read


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
def test_first_message_has_format_and_parameters(rate):
    one = open_session("vonage", sample_rate=rate)
    assert objects(one.opened(NOW)) == [
        {"event": "websocket:connected", "content-type": f"audio/l16;rate={rate}", "plan": "gold"}
    ]
    assert one.traits.sends == one.traits.receives == d.AudioFormat("pcm16", rate)
    assert one.media("inbound", 0, b"\1\2", NOW) == b"\1\2"
    assert one.read_binary(b"\3", NOW) == (d.Audio(b"\3"),)


def test_notify_comes_back_with_its_payload_once_its_audio_was_played():
    one = open_session("vonage")
    [mark] = read(one, {"action": "notify", "payload": {"id": 7, "é": [None]}})
    assert isinstance(mark, d.PlaceMark)
    assert objects(one.mark(mark.name, False, NOW)) == [
        {"event": "websocket:notify", "payload": {"id": 7, "é": [None]}}
    ]
    assert one.mark(mark.name, True, NOW) == ()


def test_clear_is_acknowledged():
    clear, reply = read(open_session("vonage"), {"action": "clear"})
    assert clear == d.Clear()
    assert isinstance(reply, d.Reply)
    assert objects([reply.message]) == [{"event": "websocket:cleared"}]


def test_key_is_reported():
    assert objects(open_session("vonage").dtmf("5", NOW)) == [
        {"event": "websocket:dtmf", "digit": "5", "duration": 100}
    ]


@pytest.mark.parametrize(
    "message", [{"action": "notify"}, {"action": "notify", "payload": {"x": "y" * 5000}}, {}]
)
def test_unreadable_messages(message):
    with pytest.raises(MalformedError):
        read(open_session("vonage"), message)


def test_token_is_the_whole_authorization():
    row = Stream(protocol="vonage", token="Bearer x", url="wss://bot.example/s")
    assert open_session("vonage", rows=(row,)).handshake(ATTEMPT).headers == {"Authorization": "Bearer x"}


def test_both_tracks_do_not_fit_into_messages_without_a_name():
    with pytest.raises(MalformedError, match="stream_channel"):
        open_session("vonage", two_way=False, channel="both")
