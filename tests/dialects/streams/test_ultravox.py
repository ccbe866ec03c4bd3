"""The dialect of Ultravox calls against the pages "WebSockets" and "Data Messages"."""

import pytest

from softswitch.call.vocabulary.stream_words import CallerText, ServiceText, ToolCall, ToolResult
from softswitch.errors import MalformedError
from softswitch.legs.stream import dialect as d
from tests.dialects.streams.sessions import NOW, objects, open_session, read


def transcript(role: str, **fields: object) -> dict[str, object]:
    return {"type": "transcript", "role": role, "medium": "voice", "ordinal": 1, **fields}


def test_answer_is_told_when_its_last_piece_was_heard():
    one = open_session("ultravox", sample_rate=8000)
    read(one, transcript("agent", delta="One ", final=False))
    audio, mark = one.read_binary(bytes(16_000), NOW)
    assert audio == d.Audio(bytes(16_000))
    read(one, transcript("agent", delta="two.", final=False))
    read(one, transcript("agent", text="One two.", final=True))
    assert isinstance(mark, d.PlaceMark)
    assert list(one.heard(mark.name, False, NOW)) == [ServiceText("One two.", 1000, 1000)]


def test_clear_of_the_service_cuts_the_words():
    one = open_session("ultravox", sample_rate=8000)
    read(one, transcript("agent", text="one two", final=False))
    one.read_binary(bytes(16_000), NOW)
    assert read(one, {"type": "playback_clear_buffer"}) == [d.Clear()]
    assert list(one.cut(700, NOW)) == [ServiceText("one", 700, 1000, interrupted=True)]


def test_party_tools_and_the_end():
    one = open_session("ultravox")
    assert read(one, transcript("user", text="Hi ", final=True)) == [CallerText("Hi")]
    assert read(one, transcript("user", text="H", final=False)) == []
    call = {"type": "client_tool_invocation", "toolName": "f", "invocationId": "i", "parameters": {"a": 1}}
    assert read(one, call) == [ToolCall("i", "f", {"a": 1})]
    assert objects(one.tool_result(ToolResult("i", "ok"), NOW)) == [
        {"type": "client_tool_result", "invocationId": "i", "result": "ok", "responseType": "tool-response"}
    ]
    read(one, call)
    [failed] = objects(one.tool_result(ToolResult("i", "no", failed=True), NOW))
    assert (failed["errorType"], failed["errorMessage"]) == ("implementation-error", "no")
    assert read(one, {"type": "hang_up"}) == [d.HangUp(drain=True)]
    assert read(one, {"type": "state", "state": "listening"}) == []


@pytest.mark.parametrize(
    "message", [{"type": "dance"}, transcript("agent"), {"type": "client_tool_invocation"}]
)
def test_malformed_message_is_refused(message):
    with pytest.raises(MalformedError):
        read(open_session("ultravox"), message)


def test_settings_of_a_session_are_refused():
    with pytest.raises(MalformedError, match="stream_session"):
        open_session("ultravox", session={"voice": "Mark"})
