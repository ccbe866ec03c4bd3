"""The dialect of Gemini Live against the reference of its messages."""

import base64
import json
from typing import Any

import pytest

from softswitch.call.vocabulary.stream_words import (
    CallerText,
    ServiceText,
    ToolCall,
    ToolCancelled,
    ToolResult,
)
from softswitch.errors import MalformedError
from softswitch.legs.stream import dialect as d
from softswitch.settings import Stream
from tests.dialects.streams.sessions import ATTEMPT, NOW, objects, open_session, read

DISABLED = {"realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}}}


def content(**fields: Any) -> dict[str, Any]:
    return {"serverContent": fields}


def audio(ms: int, mime: str = "audio/pcm;rate=24000") -> dict[str, Any]:
    data = base64.b64encode(bytes(48 * ms)).decode()
    return content(modelTurn={"parts": [{"inlineData": {"mimeType": mime, "data": data}}]})


def test_setup_is_first_and_the_greeting_is_a_turn_of_the_user():
    row = Stream(protocol="gemini-live", url="wss://bot.example/", token="k")
    session = {"model": "models/x", "greeting": "Say hello.", "tools": [{"functionDeclarations": []}]}
    one = open_session("gemini-live", rows=(row,), session=session)
    [message] = objects(one.opened(NOW))
    setup = message["setup"]
    assert setup["model"] == "models/x"
    assert setup["generationConfig"] == {"responseModalities": ["AUDIO"]}
    assert setup["inputAudioTranscription"] == setup["outputAudioTranscription"] == {}
    assert "greeting" not in setup
    ready, reply = one.read_binary(b'{"setupComplete": {}}', NOW)
    assert ready == d.Ready()
    assert isinstance(reply, d.Reply)
    assert json.loads(reply.message)["clientContent"]["turnComplete"] is True
    assert one.handshake(ATTEMPT).headers == {"x-goog-api-key": "k"}


def test_audio_has_the_rate_of_its_type_both_ways():
    one = open_session("gemini-live")
    sent = json.loads(one.media("inbound", 0, bytes(640), NOW))["realtimeInput"]["audio"]
    assert sent["mimeType"] == "audio/pcm;rate=16000"
    assert read(one, audio(20)) == [d.Audio(bytes(960), d.AudioFormat("pcm16", 24000))]
    assert read(one, audio(20, "audio/pcm; rate=16000")) == [
        d.Audio(bytes(960), d.AudioFormat("pcm16", 16000))
    ]


def test_turns_are_told_by_their_words_and_their_cut():
    one = open_session("gemini-live")
    read(one, content(inputTranscription={"text": " Hel"}))
    read(one, content(inputTranscription={"text": "lo. "}))
    assert read(one, content(outputTranscription={"text": "one two"})) == [CallerText("Hello.")]
    read(one, audio(1000))
    [mark] = read(one, content(turnComplete=True))
    assert isinstance(mark, d.PlaceMark)
    assert list(one.heard(mark.name, False, NOW)) == [ServiceText("one two", 1000, 1000)]
    read(one, content(outputTranscription={"text": "tri for"}))
    read(one, audio(1000))
    assert read(one, content(interrupted=True)) == [d.Clear()]
    assert list(one.cut(1600, NOW)) == [ServiceText("tri", 600, 1000, interrupted=True)]
    assert read(one, content(interrupted=True)) == []


def test_tools_are_called_answered_and_cancelled():
    one = open_session("gemini-live")
    calls = [{"id": "1", "name": "f", "args": {"a": 1}}, {"id": "2", "name": "g"}]
    assert read(one, {"toolCall": {"functionCalls": calls}}) == [
        ToolCall("1", "f", {"a": 1}),
        ToolCall("2", "g"),
    ]
    [answer] = objects(one.tool_result(ToolResult("1", [1]), NOW))
    assert answer == {
        "toolResponse": {"functionResponses": [{"id": "1", "name": "f", "response": {"output": [1]}}]}
    }
    assert read(one, {"toolCallCancellation": {"ids": ["1", "2"]}}) == [ToolCancelled("2")]
    assert one.tool_result(ToolResult("2"), NOW) == ()


def test_speech_of_the_switch_is_an_activity():
    one = open_session("gemini-live", session=DISABLED)
    assert one.traits.follows_speech
    assert one.media("inbound", 0, bytes(640), NOW) == b""
    messages = [json.loads(reply.message) for reply in one.speech(True, NOW) if isinstance(reply, d.Reply)]
    assert messages[0] == {"realtimeInput": {"activityStart": {}}}
    assert len(base64.b64decode(messages[1]["realtimeInput"]["audio"]["data"])) == 640
    [end] = one.speech(False, NOW)
    assert isinstance(end, d.Reply)
    assert json.loads(end.message) == {"realtimeInput": {"activityEnd": {}}}


def test_end_of_the_session_is_announced():
    assert read(open_session("gemini-live"), {"goAway": {"timeLeft": "10s"}}) == [
        d.Complaint("the service will close the session in 10s")
    ]
    assert read(open_session("gemini-live"), {"usageMetadata": {}}) == []


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"dance": 1},
        {"serverContent": 5},
        content(modelTurn={"parts": 5}),
        audio(20, "audio/opus"),
        audio(20, "audio/pcm;rate=4000"),
        {"toolCall": {"functionCalls": [5]}},
        {"toolCall": {"functionCalls": [{"name": "f"}]}},
        {"toolCallCancellation": {"ids": 5}},
    ],
)
def test_malformed_message_is_refused(message):
    with pytest.raises(MalformedError):
        read(open_session("gemini-live"), message)
