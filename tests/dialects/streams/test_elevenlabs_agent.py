"""The dialect of ElevenLabs Agents against the reference of its WebSocket."""

import base64
import json
from typing import Any

import pytest

from softswitch.call.vocabulary.stream_words import CallerText, ServiceText, ToolCall, ToolResult
from softswitch.errors import MalformedError
from softswitch.legs.stream import dialect as d
from softswitch.legs.stream.formats import PCMU
from softswitch.settings import Stream
from tests.dialects.streams.sessions import ATTEMPT, NOW, objects, open_session, read


def audio(number: int | str, ms: int, **more: Any) -> dict[str, Any]:
    data = base64.b64encode(bytes(32 * ms)).decode()
    return {"type": "audio", "audio_event": {"event_id": number, "audio_base_64": data, **more}}


def metadata(hears: str, speaks: str) -> dict[str, Any]:
    event = {"conversation_id": "c", "user_input_audio_format": hears, "agent_output_audio_format": speaks}
    return {"type": "conversation_initiation_metadata", "conversation_initiation_metadata_event": event}


def test_first_message_has_the_overrides_and_the_parameters_as_variables():
    row = Stream(protocol="elevenlabs-agent", url="wss://bot.example/", token="k")
    override = {"conversation_config_override": {"agent": {"language": "de"}}}
    one = open_session("elevenlabs-agent", rows=(row,), session=override)
    [first] = objects(one.opened(NOW))
    assert first == {
        "type": "conversation_initiation_client_data",
        "dynamic_variables": {"plan": "gold"},
        **override,
    }
    assert one.handshake(ATTEMPT).headers == {"xi-api-key": "k"}
    assert json.loads(one.media("inbound", 0, b"\1\2", NOW)) == {"user_audio_chunk": "AQI="}


def test_formats_are_those_of_the_agent():
    one = open_session("elevenlabs-agent")
    assert read(one, metadata("pcm_16000", "ulaw_8000")) == [d.Ready()]
    assert read(one, audio(1, 20))[0] == d.Audio(bytes(640), PCMU)
    refused = read(open_session("elevenlabs-agent"), metadata("ulaw_8000", "pcm_16000"))
    assert isinstance(refused[-1], d.Close)
    assert "stream_encoding" in refused[-1].reason
    one = open_session("elevenlabs-agent", encoding="pcmu")
    assert read(one, metadata("ulaw_8000", "ulaw_8000")) == [d.Ready()]


def test_ping_is_answered():
    [pong] = read(
        open_session("elevenlabs-agent"), {"type": "ping", "ping_event": {"event_id": 3, "ping_ms": 9}}
    )
    assert isinstance(pong, d.Reply)
    assert json.loads(pong.message) == {"type": "pong", "event_id": 3}


def test_cut_by_the_times_of_the_characters_is_told_to_the_agent():
    one = open_session("elevenlabs-agent")
    read(one, {"type": "agent_response", "agent_response_event": {"agent_response": "No wait."}})
    times = {"chars": list("No "), "char_start_times_ms": [0, 50, 100], "char_durations_ms": [50, 50, 50]}
    read(one, audio(1, 500, alignment=times))
    read(one, audio(2, 500, alignment={**times, "chars": list("way")}))
    assert read(one, {"type": "interruption", "interruption_event": {"event_id": 2}}) == [d.Clear()]
    assert read(one, audio(2, 500)) == []
    text, note = one.cut(620, NOW)
    assert text == ServiceText("No", 620, 1000, interrupted=True)
    assert isinstance(note, d.Reply)
    context = json.loads(note.message)
    assert context["type"] == "contextual_update"
    assert 'up to "No"' in context["text"]
    assert read(one, audio("3", 20))[0] == d.Audio(bytes(640), one.traits.receives)


def test_answer_is_heard_when_its_last_piece_is_and_the_next_one_begins_anew():
    one = open_session("elevenlabs-agent")
    read(one, {"type": "agent_response", "agent_response_event": {"agent_response": "Yes."}})
    first, second = read(one, audio(1, 100))[1], read(one, audio(2, 100))[1]
    assert isinstance(first, d.PlaceMark)
    assert isinstance(second, d.PlaceMark)
    assert list(one.heard(first.name, False, NOW)) == []
    assert list(one.heard(second.name, False, NOW)) == [ServiceText("Yes.", 200, 200)]
    read(one, {"type": "agent_response", "agent_response_event": {"agent_response": "And?"}})
    third = read(one, audio(3, 100))[1]
    assert isinstance(third, d.PlaceMark)
    assert list(one.heard(third.name, False, NOW)) == [ServiceText("And?", 100, 100)]


def test_tool_and_transcript():
    one = open_session("elevenlabs-agent")
    call = {"tool_name": "f", "tool_call_id": "t", "parameters": {"a": 1}, "expects_response": True}
    assert read(one, {"type": "client_tool_call", "client_tool_call": call}) == [ToolCall("t", "f", {"a": 1})]
    assert objects(one.tool_result(ToolResult("t", {"b": 1}), NOW)) == [
        {"type": "client_tool_result", "tool_call_id": "t", "result": '{"b":1}', "is_error": False}
    ]
    said = {"type": "user_transcript", "user_transcription_event": {"user_transcript": " Hi "}}
    assert read(one, said) == [CallerText("Hi")]
    assert read(one, {"type": "vad_score", "vad_score_event": {}}) == []


@pytest.mark.parametrize(
    "message",
    [
        {"type": "dance"},
        {"type": "audio", "audio_event": {"event_id": "x", "audio_base_64": ""}},
        {"type": "audio", "audio_event": {"event_id": 1, "audio_base_64": 5}},
        {"type": "ping", "ping_event": {}},
        {"type": "interruption", "interruption_event": {"event_id": None}},
        {
            "type": "client_tool_call",
            "client_tool_call": {"tool_name": "f", "tool_call_id": "t", "parameters": 1},
        },
    ],
)
def test_malformed_message_is_refused(message):
    with pytest.raises(MalformedError):
        read(open_session("elevenlabs-agent"), message)
