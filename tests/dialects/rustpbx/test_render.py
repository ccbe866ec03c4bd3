"""Events to their text."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softswitch.call.vocabulary import events as e
from softswitch.call.vocabulary.values import SECOND_PARTY, Candidate, Subject, machine_on, party_of
from softswitch.dialects.rustpbx import render, render_audio
from softswitch.protocol.instants import rfc3339

T = 1_640_995_200_000
S = T / 1000
CASES = [
    (
        e.Answer(timestamp=S, subject=party_of("t"), sdp=""),
        {"event": "answer", "trackId": "t", "timestamp": T, "sdp": ""},
    ),
    (
        e.Answer(timestamp=S, subject=party_of("t"), sdp="", audio=e.Audio("pcm", 16000, 20), resume="r"),
        {
            "event": "answer", "trackId": "t", "timestamp": T, "sdp": "", "resume": "r",
            "audio": {"codec": "pcm", "sampleRate": 16000, "ptime": 20},
        },
    ),
    (
        e.Ringing(timestamp=S, subject=party_of("t"), early_media=False),
        {"event": "ringing", "trackId": "t", "timestamp": T, "earlyMedia": False},
    ),
    (
        e.HungUp(
            timestamp=S, subject=party_of("t"), reason="r", initiator="user", start_time=S, answer_time=None,
            hangup_time=S + 0.001, caller="1", callee="2",
        ),
        {
            "event": "hangup", "trackId": "t", "timestamp": T, "reason": "r", "initiator": "user",
            "from": {"username": "1", "realm": "", "source": "1"},
            "to": {"username": "2", "realm": "", "source": "2"},
            "startTime": "2022-01-01T00:00:00.000Z", "hangupTime": "2022-01-01T00:00:00.001Z",
        },
    ),
    (
        e.Silence(timestamp=S, subject=party_of("t"), start_time=S, duration=5000),
        {"event": "silence", "trackId": "t", "timestamp": T, "startTime": T, "duration": 5000},
    ),
    (
        e.AsrFinal(timestamp=S, subject=party_of("t"), index=1, start_time=S, end_time=S, text="Hi"),
        {"event": "asrFinal", "trackId": "t", "timestamp": T, "index": 1, "startTime": T, "endTime": T,
        "text": "Hi"},
    ),
    (
        e.Interruption(timestamp=S, subject=party_of("t"), position=15000),
        {"event": "interruption", "trackId": "t", "timestamp": T, "position": 15000},
    ),
    (
        e.Error(timestamp=S, subject=party_of("t"), sender="asr", error="Connection timeout", code=408),
        {"event": "error", "trackId": "t", "timestamp": T, "sender": "asr", "error": "Connection timeout",
        "code": 408},
    ),
    (
        e.Metrics(timestamp=S, key="ttfb.asr.tencent", duration=150, data={"index": 1}),
        {"event": "metrics", "timestamp": T, "key": "ttfb.asr.tencent", "duration": 150, "data": {"index":
        1}},
    ),
    (
        e.EndOfUtterance(timestamp=S, subject=party_of("t"), completed=True, text="x"),
        {"event": "eou", "trackId": "t", "timestamp": T, "completed": True, "complete": True, "text": "x"},
    ),
    (
        e.CandidatesFound(
            timestamp=S, subject=party_of("t"), candidates=(Candidate("candidate:x", "0", 0), Candidate(""))
        ),
        {"event": "candidate", "trackId": "t", "timestamp": T, "candidates": [
            {"candidate": "candidate:x", "sdpMid": "0", "sdpMLineIndex": 0}, {"candidate": ""}]},
    ),
    (
        e.Media(timestamp=S, subject=party_of("t"), state="none", seconds=3.02),
        {"event": "media", "trackId": "t", "timestamp": T, "state": "none", "seconds": 3},
    ),
    (e.Ack(timestamp=S, request_id="1"), {"event": "ack", "timestamp": T, "requestId": "1"}),
]  # fmt: skip


@pytest.mark.parametrize(("event", "wire"), CASES, ids=lambda case: type(case).__name__)
def test_event_is_rendered_as_documented(event: e.Event, wire: dict[str, object]) -> None:
    assert json.loads(render(event)) == wire
    assert json.loads(render(event, 7))["seq"] == 7


def test_every_event_has_a_wire_form() -> None:
    filled: dict[object, Any] = {
        int: 1,
        float: 1.0,
        str: "x",
        bool: True,
        object: "x",
        tuple[Candidate, ...]: (Candidate("candidate:x"),),
        Subject: party_of("t"),
    }
    kinds = {*e.Event.__subclasses__(), *e.SubjectEvent.__subclasses__()} - {e.SubjectEvent}
    for kind in kinds:
        required = [field for field in msgspec.structs.fields(kind) if field.required]
        values: dict[str, Any] = {
            field.name: filled.get(field.type, {} if "dict" in str(field.type) else 1.0) for field in required
        }
        event = kind(**values)
        assert json.loads(render(event))["timestamp"] == 1000


@pytest.mark.parametrize(
    ("subject", "track"),
    [
        (party_of("session"), "session"),
        (SECOND_PARTY, "second"),
        (machine_on(""), "server-side-track"),
        (machine_on("music"), "server-side-track-music"),
    ],
)
def test_participants_of_a_call_have_the_documented_track_ids(subject: Subject, track: str) -> None:
    assert json.loads(render(e.TrackStart(timestamp=S, subject=subject)))["trackId"] == track


def test_binary_event_is_a_list_of_bytes() -> None:
    assert json.loads(render_audio("t", T, b"\0\xff", 3)) == {
        "event": "binary", "trackId": "t", "timestamp": T, "data": [0, 255], "seq": 3,
    }  # fmt: skip


@given(st.integers(0, 253_402_300_799_999))
def test_instants_equal_those_of_the_standard_library(epoch_ms: int) -> None:
    at = datetime.fromtimestamp(epoch_ms // 1000, UTC)
    assert rfc3339(epoch_ms) == f"{at:%Y-%m-%dT%H:%M:%S}".zfill(19) + f".{epoch_ms % 1000:03d}Z"
