"""Events of the /call dialect, read tolerantly."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.protocol.call_events import (
    KINDS,
    Answer,
    AsrFinal,
    Event,
    Mark,
    Unknown,
)
from softswitch.protocol.event_reading import NotAnEventError, decode


def test_event_is_typed_by_its_name():
    event = decode(
        '{"event":"asrFinal","trackId":"t","timestamp":5,"seq":2,"startTime":1,"endTime":4,"text":"yes"}'
    )
    assert event == AsrFinal(track_id="t", timestamp=5, seq=2, index=0, start_time=1, end_time=4, text="yes")
    assert event.name == "asrFinal"


def test_unknown_fields_are_kept():
    event = decode('{"event":"dtmf","digit":"5","timestamp":1,"volume":-10}')
    assert event.extra == {"volume": -10}


def test_unknown_events_are_kept_whole():
    event = decode('{"event":"weather","timestamp":7,"trackId":"t","kind":"rain","mm":3}')
    assert event == Unknown(timestamp=7, track_id="t", kind="weather", extra={"kind": "rain", "mm": 3})
    assert event.name == "weather"


def test_a_field_of_another_type_costs_no_more_than_the_type():
    event = decode('{"event":"answer","timestamp":7,"audio":"loud"}')
    assert isinstance(event, Unknown)
    assert event.name == "answer"
    assert event.extra == {"timestamp": 7, "audio": "loud"}


def test_numbers_as_text_and_nulls_are_taken():
    event = decode(
        '{"event":"answer","timestamp":"7","sdp":null,"audio":{"codec":"g722","sampleRate":16000}}'
    )
    assert isinstance(event, Answer)
    assert event.timestamp == 7
    assert event.sdp == ""
    assert event.audio is not None
    assert (event.audio.codec, event.audio.ptime) == ("g722", 20)


@pytest.mark.parametrize("text", ["", "x", "[]", "1", '{"a":1}', '{"event":1}', "[" * 100_000])
def test_what_is_no_event_is_refused(text):
    with pytest.raises(NotAnEventError):
        decode(text)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from([*KINDS, "other"]),
    st.dictionaries(
        st.sampled_from(
            ["timestamp", "seq", "trackId", "text", "code", "data", "extra", "kind", "name", "event2"]
        ),
        st.none()
        | st.integers()
        | st.text(max_size=5)
        | st.lists(st.integers(), max_size=2)
        | st.just({"a": 1}),
    ),
)
def test_any_object_with_an_event_becomes_one(name, fields):
    event = decode(json.dumps({**fields, "event": name}))
    assert isinstance(event, Event)
    assert event.name == name


def test_missing_fields_are_empty_and_required_ones_are_always_written():
    for name, kind in KINDS.items():
        event = decode(json.dumps({"event": name}))
        assert type(event) is kind
        assert event.timestamp == 0
        written = json.loads(msgspec.json.encode(event))
        required = {field.encode_name for field in msgspec.structs.fields(kind) if field.required}
        assert written.keys() == {"event", *required}


def test_event_that_was_written_is_read_as_it_was():
    mark = Mark(timestamp=5, seq=1, track_id="t", mark="half", status="played")
    assert decode(msgspec.json.encode(mark)) == mark
    assert decode(msgspec.json.encode(mark)).extra == {}
