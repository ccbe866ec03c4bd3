"""The dialect of Deepgram's Voice Agent against its reference."""

import json

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


def test_settings_follow_the_welcome_and_audio_the_settings():
    row = Stream(protocol="deepgram-agent", url="wss://bot.example/", token="k")
    one = open_session("deepgram-agent", rows=(row,), encoding="pcmu", session={"agent": {"greeting": "Hi"}})
    assert one.opened(NOW) == ()
    assert one.keepalive(NOW) == ()
    [reply] = read(one, {"type": "Welcome", "request_id": "r"})
    assert isinstance(reply, d.Reply)
    wire = {"encoding": "mulaw", "sample_rate": 8000}
    assert json.loads(reply.message) == {
        "type": "Settings",
        "agent": {"greeting": "Hi"},
        "audio": {"input": wire, "output": {**wire, "container": "none"}},
    }
    assert read(one, {"type": "SettingsApplied"}) == [d.Ready()]
    assert objects(one.keepalive(NOW)) == [{"type": "KeepAlive"}]
    assert one.handshake(ATTEMPT).headers == {"Authorization": "Token k"}
    assert one.media("inbound", 0, b"\1\2", NOW) == b"\1\2"


def test_refused_settings_end_the_stream_and_a_later_error_does_not():
    error = {"type": "Error", "description": "bad model", "code": "X"}
    complaint, close = read(open_session("deepgram-agent"), error)
    assert complaint == d.Complaint("X: bad model")
    assert isinstance(close, d.Close)
    one = open_session("deepgram-agent")
    read(one, {"type": "SettingsApplied"})
    assert read(one, error) == [d.Complaint("X: bad model")]


def test_answers_are_told_by_their_words_and_their_cut():
    one = open_session("deepgram-agent")
    assert read(one, {"type": "ConversationText", "role": "user", "content": "Hi"}) == [CallerText("Hi")]
    for text in ("One.", "Two."):
        read(one, {"type": "ConversationText", "role": "assistant", "content": text})
        assert one.read_binary(bytes(48_000), NOW) == (d.Audio(bytes(48_000)),)
    [mark] = read(one, {"type": "AgentAudioDone"})
    assert isinstance(mark, d.PlaceMark)
    assert list(one.heard(mark.name, False, NOW)) == [ServiceText("One. Two.", 2000, 2000)]
    read(one, {"type": "ConversationText", "role": "assistant", "content": "tri for"})
    one.read_binary(bytes(48_000), NOW)
    assert read(one, {"type": "UserStartedSpeaking"}) == [d.Clear()]
    assert list(one.cut(2600, NOW)) == [ServiceText("tri", 600, 1000, interrupted=True)]


def test_functions_of_the_client_are_tool_calls():
    one = open_session("deepgram-agent")
    functions = [
        {"id": "1", "name": "f", "arguments": '{"a":1}', "client_side": True},
        {"id": "2", "name": "g", "arguments": "", "client_side": True},
        {"id": "3", "name": "h", "arguments": "{}", "client_side": False},
    ]
    assert read(one, {"type": "FunctionCallRequest", "functions": functions}) == [
        ToolCall("1", "f", {"a": 1}),
        ToolCall("2", "g"),
    ]
    assert objects(one.tool_result(ToolResult("1", "done"), NOW)) == [
        {"type": "FunctionCallResponse", "id": "1", "name": "f", "content": "done"}
    ]
    cancelled = {"type": "FunctionCallCancelled", "functions": [{"id": "1"}, {"id": "2"}]}
    assert read(one, cancelled) == [ToolCancelled("2")]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "dance"},
        {"type": "ConversationText", "role": "user"},
        {"type": "FunctionCallRequest", "functions": 5},
        {"type": "FunctionCallRequest", "functions": [{"id": "1", "name": "f", "arguments": "{"}]},
    ],
)
def test_malformed_message_is_refused(message):
    with pytest.raises(MalformedError):
        read(open_session("deepgram-agent"), message)
