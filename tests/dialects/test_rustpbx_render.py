"""Events to their text."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softswitch.call import events as e
from softswitch.dialects.instants import rfc3339
from softswitch.dialects.rustpbx import render, render_audio

T = 1_640_995_200_000
CASES = [
    (
        e.Answer(timestamp=T, track_id="t", sdp=""),
        {"event": "answer", "trackId": "t", "timestamp": T, "sdp": ""},
    ),
    (
        e.Answer(timestamp=T, track_id="t", sdp="", audio=e.Audio("pcm", 16000, 20), resume="r"),
        {
            "event": "answer", "trackId": "t", "timestamp": T, "sdp": "", "resume": "r",
            "audio": {"codec": "pcm", "sampleRate": 16000, "ptime": 20},
        },
    ),
    (
        e.Ringing(timestamp=T, track_id="t", early_media=False),
        {"event": "ringing", "trackId": "t", "timestamp": T, "earlyMedia": False},
    ),
    (
        e.HungUp(
            timestamp=T, track_id="t", reason="r", initiator="user", start_time=T, answer_time=None,
            hangup_time=T + 1, caller="1", callee="2",
        ),
        {
            "event": "hangup", "trackId": "t", "timestamp": T, "reason": "r", "initiator": "user",
            "from": "1", "to": "2",
            "startTime": "2022-01-01T00:00:00.000Z", "hangupTime": "2022-01-01T00:00:00.001Z",
        },
    ),
    (
        e.Silence(timestamp=T, track_id="t", start_time=T, duration=5000),
        {"event": "silence", "trackId": "t", "timestamp": T, "startTime": T, "duration": 5000},
    ),
    (
        e.AsrFinal(timestamp=T, track_id="t", index=1, start_time=T, end_time=T, text="Hi"),
        {"event": "asrFinal", "trackId": "t", "timestamp": T, "index": 1, "startTime": T, "endTime": T,
        "text": "Hi"},
    ),
    (
        e.Interruption(timestamp=T, track_id="t", position=15000),
        {"event": "interruption", "trackId": "t", "timestamp": T, "position": 15000},
    ),
    (
        e.Error(timestamp=T, track_id="t", sender="asr", error="Connection timeout", code=408),
        {"event": "error", "trackId": "t", "timestamp": T, "sender": "asr", "error": "Connection timeout",
        "code": 408},
    ),
    (
        e.Metrics(timestamp=T, key="ttfb.asr.tencent", duration=150, data={"index": 1}),
        {"event": "metrics", "timestamp": T, "key": "ttfb.asr.tencent", "duration": 150, "data": {"index":
        1}},
    ),
    (
        e.EndOfUtterance(timestamp=T, track_id="t", completed=True, text="x"),
        {"event": "eou", "trackId": "t", "timestamp": T, "completed": True, "complete": True, "text": "x"},
    ),
    (
        e.Media(timestamp=T, track_id="t", state="none", seconds=3.02),
        {"event": "media", "trackId": "t", "timestamp": T, "state": "none", "seconds": 3},
    ),
    (e.Ack(timestamp=T, request_id="1"), {"event": "ack", "timestamp": T, "requestId": "1"}),
]  # fmt: skip


@pytest.mark.parametrize(("event", "wire"), CASES, ids=lambda case: type(case).__name__)
def test_event_is_rendered_as_documented(event: e.Event, wire: dict[str, object]) -> None:
    assert json.loads(render(event)) == wire
    assert json.loads(render(event, 7))["seq"] == 7


def test_every_event_has_a_wire_form() -> None:
    filled: dict[object, Any] = {int: 1, float: 1.0, str: "x", bool: True, object: "x"}
    kinds = {*e.Event.__subclasses__(), *e.TrackEvent.__subclasses__()} - {e.TrackEvent}
    for kind in kinds:
        required = [field for field in msgspec.structs.fields(kind) if field.required]
        values: dict[str, Any] = {
            field.name: filled.get(field.type, {} if "dict" in str(field.type) else None)
            for field in required
        }
        event = kind(**values)
        assert json.loads(render(event))["timestamp"] == 1


def test_binary_event_is_a_list_of_bytes() -> None:
    assert json.loads(render_audio("t", T, b"\0\xff")) == {
        "event": "binary", "trackId": "t", "timestamp": T, "data": [0, 255],
    }  # fmt: skip


@given(st.integers(0, 253_402_300_799_999))
def test_instants_equal_those_of_the_standard_library(epoch_ms: int) -> None:
    at = datetime.fromtimestamp(epoch_ms // 1000, UTC)
    assert rfc3339(epoch_ms) == f"{at:%Y-%m-%dT%H:%M:%S}".zfill(19) + f".{epoch_ms % 1000:03d}Z"
