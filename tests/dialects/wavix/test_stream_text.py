"""What is written to a stream, to the byte."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.dialects.wavix.stream_text import FRAME_BYTES, StreamText
from softswitch.protocol import wavix_stream as w

NOW = "2026-01-15T10:30:00.250Z"
PCM = bytes(range(240)) * 4


def media(text: StreamText, frame: int, track: w.Direction = "inbound") -> dict[str, Any]:
    return dict(json.loads(text.media(NOW.encode(), track, frame, PCM)))


def test_connected_is_the_shortest_message():
    assert (
        StreamText("c", "s").connected(NOW)
        == b'{"event":"connected","event_time":"2026-01-15T10:30:00.250Z"}'
    )


def test_start_is_message_number_one():
    message = json.loads(StreamText("c", "s").start(NOW, "twoway", "both"))
    assert message == {
        "event": "start",
        "event_time": NOW,
        "call_id": "c",
        "stream_id": "s",
        "stream_type": "twoway",
        "channel": "both",
        "sequence_number": 1,
    }


def test_start_tells_more_where_that_was_asked_for():
    extra = w.StartExtra(from_="100", to="200", direction="inbound", tag="vip", buffer_ms=120_000)
    message = json.loads(StreamText("c", "s").start(NOW, "oneway", "inbound", extra))
    assert (message["from"], message["to"], message["direction"], message["tag"]) == (
        "100",
        "200",
        "inbound",
        "vip",
    )
    assert message["buffer_ms"] == 120_000
    assert message["media_format"] == {"encoding": "audio/pcm", "sample_rate": 24000, "channels": 1}


def test_media_carries_960_bytes_its_track_and_its_counters():
    text = StreamText("c", "s")
    text.start(NOW, "twoway", "inbound")
    assert len(PCM) == FRAME_BYTES
    assert media(text, 0) == {
        "event": "media",
        "event_time": NOW,
        "call_id": "c",
        "stream_id": "s",
        "sequence_number": 2,
        "media": {"payload": base64.b64encode(PCM).decode(), "track": "inbound", "timestamp": 0, "chunk": 1},
    }
    second = media(text, 1)
    assert second["sequence_number"] == 3
    assert second["media"]["timestamp"] == 20
    assert second["media"]["chunk"] == 2


def test_chunks_are_counted_for_the_stream_and_not_for_the_track():
    text = StreamText("c", "s")
    first, second = media(text, 0, "inbound"), media(text, 0, "outbound")
    assert (first["media"]["chunk"], second["media"]["chunk"]) == (1, 2)
    assert first["media"]["timestamp"] == second["media"]["timestamp"] == 0


def test_timestamps_count_samples_where_the_setting_says_so():
    text = StreamText("c", "s", ticks=True)
    assert [media(text, frame)["media"]["timestamp"] for frame in range(3)] == [0, 480, 960]


def test_marks_and_stop_go_on_with_the_numbers():
    text = StreamText("c", "s")
    text.start(NOW, "twoway", "inbound")
    media(text, 0)
    mark, stop = json.loads(text.mark(NOW, "end-of-greeting")), json.loads(text.stop(NOW))
    assert (mark["sequence_number"], mark["mark"]) == (3, {"name": "end-of-greeting"})
    assert (stop["event"], stop["sequence_number"]) == ("stop", 4)


def test_status_of_a_mark_and_keys_are_told_where_that_was_asked_for():
    text = StreamText("c", "s")
    assert json.loads(text.mark(NOW, "a", "cleared"))["mark"] == {"name": "a", "status": "cleared"}
    assert json.loads(text.dtmf(NOW, "5"))["dtmf"] == {"digit": "5"}


@settings(deadline=None, max_examples=50)
@given(call=st.text(max_size=20), stream=st.text(max_size=20), name=st.text(max_size=20))
def test_ids_and_names_of_any_text_come_through(call, stream, name):
    text = StreamText(call, stream)
    for message in (media(text, 0), json.loads(text.mark(NOW, name))):
        assert (message["call_id"], message["stream_id"]) == (call, stream)
    assert message["mark"]["name"] == name


@pytest.mark.parametrize("call", ["100%", "%d%s", 'a"b\\'])
def test_id_with_a_percent_sign_is_left_alone(call):
    assert media(StreamText(call, "s"), 0)["call_id"] == call
