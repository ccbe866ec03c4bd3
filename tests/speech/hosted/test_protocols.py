"""Protocols as pure functions: they read whatever a server may send, and sign as the vendor says."""

import base64
import contextlib
import hashlib
import hmac
import json
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softswitch.settings import SpeechProvider
from softswitch.settings.speech_provider import KINDS
from softswitch.speech.hosted import kinds
from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.kind import AsrQuery, OverHttp, OverSocket, Source, TtsQuery, nearest
from softswitch.speech.hosted.timeline import AudioTimeline
from softswitch.speech.hosted.wire import (
    Audio,
    Done,
    Failed,
    Flushed,
    Heard,
    Ready,
    Turned,
    Unreadable,
    Words,
)
from softswitch.speech.tencent.signing import signed_url
from softswitch.speech.wyoming.events import Event, EventReader, write

ACCESS = Access(name="acme", base_url="https://vendor.example", key="k", secret_id="id", app_id="1259")
QUERIES = (AsrQuery(language="en-US"), AsrQuery(language="en-US", model="flux-general-en"))
WORD = {"word": "a", "text": "a", "conf": 1.0, "confidence": 1.0, "start": 0.1, "end": 0.2}
CONTEXT = "00000000000000000000000000000001"
MESSAGES = (
    {"type": "Results", "start": 0.1, "duration": 0.5, "is_final": True, "speech_final": True,
     "from_finalize": True, "channel": {"alternatives": [{"transcript": "a", "confidence": 0.5}]}},
    {"type": "TurnInfo", "event": "EndOfTurn", "transcript": "a", "audio_window_start": 0.1,
     "audio_window_end": 0.5, "words": [WORD]},
    {"type": "Error", "description": "x", "code": "y"},
    {"code": 0, "message": "x", "final": 0, "ready": 0,
     "result": {"slice_type": 2, "start_time": 1, "end_time": 2, "voice_text_str": "a",
                "subtitles": [{"Text": "a", "BeginTime": 1}]}},
    {"code": 4002, "message": "x"},
    {"message_type": "committed_transcript", "text": "a"},
    {"message_type": "rate_limited", "error": "x"},
    {"type": "transcript", "text": "a", "is_final": True},
    {"type": "error", "error": {"code": "x", "type": "y", "message": "z"}, "status_code": 429,
     "message": "m"},
    {"header": {"event": "result-generated", "task_id": CONTEXT},
     "payload": {"output": {"sentence": {"begin_time": 1, "end_time": 2, "text": "a",
                                         "sentence_end": True}}}},
    {"header": {"event": "task-failed", "error_code": "x", "error_message": "y"}},
    {"type": "Turn", "transcript": "a", "end_of_turn": True, "turn_is_formatted": True, "words": [WORD],
     "end_of_turn_confidence": 0.5},
    {"error": "x", "error_code": 3006},
    {"type": "conversation.item.input_audio_transcription.delta", "item_id": "i", "delta": "a"},
    {"type": "conversation.item.input_audio_transcription.completed", "item_id": "i", "transcript": "a"},
    {"text": "a", "result": [WORD], "segment": 1, "is_final": True},
    {"results": [{"alternatives": [{"transcript": "a", "confidence": 0.5}]}]},
    {"audio": "AAAA", "contextId": "", "alignment": {"chars": ["a", " "], "charStartTimesMs": [1, 2]}},
    {"isFinal": True, "contextId": ""},
    {"type": "chunk", "data": "AAAA", "context_id": ""},
    {"type": "timestamps", "context_id": "",
     "word_timestamps": {"words": ["a"], "start": [0.1], "end": [0.2]}},
    {"audioContent": "AAAA"},
)  # fmt: skip
"""Whole messages of the vendors."""
JUNK: tuple[Any, ...] = (
    None,
    True,
    7,
    -1.5e308,
    1e308,
    "x",
    "",
    [],
    {},
    [1],
    ["x"],
    [None],
    [[]],
    [{}],
    {"a": 1},
)


def mutations(value):
    """Yield a value with each of its parts replaced by each piece of junk, one at a time."""
    yield from JUNK
    match value:
        case dict():
            for key, inner in value.items():
                yield {name: part for name, part in value.items() if name != key}
                for changed in mutations(inner):
                    yield {**value, key: changed}
        case list():
            for at, inner in enumerate(value):
                for changed in mutations(inner):
                    yield [*value[:at], changed, *value[at + 1 :]]


def messages():
    """Yield all messages, whole and spoiled, and what is no JSON."""
    for message in MESSAGES:
        yield json.dumps(message)
        for spoiled in mutations(message):
            yield json.dumps(spoiled)
    yield from ("", "{", "null", "Path: x", "Path: speech.phrase\r\n\r\n[]", b"", b"\xff\xfe", b"\0" * 40)
    for path in ("speech.phrase", "speech.hypothesis", "turn.end"):
        phrase = {
            "RecognitionStatus": "Success",
            "Offset": 1,
            "Duration": 1,
            "Text": "a",
            "NBest": [{"Display": "a"}],
        }
        for spoiled in mutations(phrase):
            yield f"Path: {path}\r\nX-RequestId: 1\r\n\r\n{json.dumps(spoiled)}"
    for kind in ("transcript", "audio-chunk", "audio-start", "error"):
        for spoiled in mutations(
            {"type": kind, "data": {"text": "a", "rate": 8000, "width": 2, "channels": 1}}
        ):
            yield json.dumps(spoiled).encode() + b"\n"


def source():
    numbers = count(1)
    return Source(lambda: 1_700_000_000.0, lambda: f"{next(numbers):032x}")


def asr(name: str, access: Access, query: AsrQuery) -> Any:
    """Return how a kind recognises."""
    choose = kinds.load(name).asr
    assert choose is not None
    return choose(access, query)


def octets(message):
    return message.encode("utf-8", "replace") if isinstance(message, str) else message


@pytest.mark.parametrize("query", QUERIES, ids=["default", "flux"])
@pytest.mark.parametrize("name", KINDS)
def test_recognisers_read_anything(name, query):
    way: Any = asr(name, ACCESS, query)
    for message in messages():
        made = way.make(ACCESS, query, source())
        events = [made.receive(octets(message))] if isinstance(way, OverHttp) else made.receive(message)
        for event in events:
            assert isinstance(event, Ready | Heard | Turned | Flushed | Failed | Unreadable), message


@pytest.mark.parametrize("name", [name for name in KINDS if kinds.load(name).tts is not None])
def test_synthesisers_read_anything(name):
    way: Any = kinds.load(name).tts
    for message in messages():
        made = way.make(ACCESS, TtsQuery(), source())
        if isinstance(way, OverSocket):
            for event in made.receive(message):
                assert isinstance(event, Ready | Audio | Words | Done | Failed | Unreadable), message
            continue
        with contextlib.suppress(ValueError):  # what is not audio
            body = octets(message)
            assert isinstance(made.decode(body, last=False) + made.decode(b"", last=True), bytes)


@pytest.mark.parametrize("name", [name for name in KINDS if kinds.load(name).base_url])
def test_addresses_of_vendors_are_https_and_have_no_key(name):
    kind = kinds.load(name)
    assert kind.base_url.startswith("https://")
    access = Access(
        name="a", base_url=kind.base_url.format(region="eu"), key="SECRETKEY", secret_id="i", app_id="1"
    )
    way: Any = asr(name, access, QUERIES[0])
    made = way.make(access, QUERIES[0], source())
    url = made.endpoint().url if isinstance(way, OverSocket) else made.request(b"\0\0").url
    assert "SECRETKEY" not in url
    assert url.startswith(("wss://", "https://"))


def test_tencent_signs_sorted_values_as_they_are():
    url = signed_url("wss://host/asr/v2/1", {"b": "x y", "a": 1}, "key", field="signature")
    expected = base64.b64encode(hmac.new(b"key", b"host/asr/v2/1?a=1&b=x y", hashlib.sha1).digest()).decode()
    assert url.startswith("wss://host/asr/v2/1?a=1&b=x%20y&signature=")
    assert parse_qs(urlsplit(url).query)["signature"] == [expected]


def test_settings_refuse_names_with_a_meaning_and_odd_addresses():
    for name in ("", "builtin", "off", "two words"):
        with pytest.raises(ValueError, match="name"):
            SpeechProvider(name=name, kind="openai")
    with pytest.raises(ValueError, match="base_url"):
        SpeechProvider(name="a", kind="openai", base_url="ftp://host")


def test_nearest_rate():
    assert nearest(0, (8000, 16000), 16000) == 16000
    assert nearest(11025, (8000, 16000), 8000) == 16000
    assert nearest(48000, (8000, 16000), 8000) == 16000


def test_times_leave_out_what_was_added():
    timeline = AudioTimeline()
    timeline.sent(0, 100)
    timeline.added(500)
    timeline.sent(100, 100)
    assert [timeline.stream_ms(at) for at in (0, 50, 600, 650)] == [0, 50, 100, 150]
    assert timeline.sent_ms == 700


@given(st.lists(st.integers(1, 7), min_size=1, max_size=60))
def test_wyoming_events_may_be_cut_anywhere(sizes):
    events = [Event("a", {"x": 1}, b"\n\n{"), Event("b"), Event("c", {}, bytes(30))]
    stream = b"".join(map(write, events))
    reader, got, at = EventReader(), [], 0
    for size in [*sizes, len(stream)]:
        got += reader.push(stream[at : at + size])
        at += size
    assert got == events


def test_wyoming_stream_that_cannot_be_followed_is_given_up():
    with pytest.raises(ValueError, match="1 MiB"):
        EventReader().push(b'{"type": "a", "payload_length": 99999999}\n')
    with pytest.raises(ValueError, match="64 KiB"):
        EventReader().push(b"x" * 70000)
