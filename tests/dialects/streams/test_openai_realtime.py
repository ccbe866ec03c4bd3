"""The dialect of the Realtime API against the reference of its client and server events."""

import base64
import json
from typing import Any

import pytest

from softswitch.call.vocabulary.stream_words import CallerText, PartySpeech, ServiceText, ToolCall, ToolResult
from softswitch.errors import MalformedError
from softswitch.legs.stream import dialect as d
from softswitch.settings import Stream
from tests.dialects.streams.sessions import ATTEMPT, NOW, URL, objects, open_session, read

FRAME = bytes(960)
ROW = Stream(
    protocol="openai-realtime",
    url="wss://bot.example/s",
    token="sk-1",
    session={"instructions": "Be brief.", "audio": {"output": {"voice": "marin", "speed": 1.1}}},
)


def ready(**fields: Any) -> d.StreamSession:
    """Return a session whose settings the service has taken."""
    one = open_session("openai-realtime", **fields)
    one.opened(NOW)
    assert read(one, {"type": "session.updated", "session": {}})[0] == d.Ready()
    return one


def delta(item: str, ms: int, response: str = "r1") -> dict[str, Any]:
    return {
        "type": "response.output_audio.delta",
        "response_id": response,
        "item_id": item,
        "output_index": 0,
        "content_index": 0,
        "delta": base64.b64encode(bytes(48 * ms)).decode(),
    }


def created(response: str = "r1") -> dict[str, Any]:
    return {"type": "response.created", "response": {"id": response, "status": "in_progress"}}


def done(response: str = "r1", status: str = "completed", **more: Any) -> dict[str, Any]:
    return {"type": "response.done", "response": {"id": response, "status": status, **more}}


def function(call: str, status: str = "completed") -> dict[str, Any]:
    item = {"type": "function_call", "call_id": call, "name": "f", "arguments": '{"a":1}', "status": status}
    return {"type": "response.output_item.done", "response_id": "r1", "output_index": 0, "item": item}


def replies(values: d.Values) -> list[Any]:
    return [json.loads(value.message) for value in values if isinstance(value, d.Reply)]


def test_settings_of_the_row_lie_under_those_of_the_request():
    one = open_session(
        "openai-realtime",
        rows=(ROW,),
        session={"audio": {"output": {"voice": "cedar"}}, "tools": [{"type": "function", "name": "f"}]},
    )
    [update] = objects(one.opened(NOW))
    session = update["session"]
    assert update["type"] == "session.update"
    assert session["type"] == "realtime"
    assert session["instructions"] == "Be brief."
    pcm = {"type": "audio/pcm", "rate": 24000}
    assert session["audio"]["output"] == {"voice": "cedar", "speed": 1.1, "format": pcm}
    assert session["audio"]["input"]["format"] == pcm
    assert session["audio"]["input"]["turn_detection"] == {"type": "server_vad"}
    assert session["tools"] == [{"type": "function", "name": "f"}]
    assert one.handshake(ATTEMPT).headers == {"Authorization": "Bearer sk-1"}


@pytest.mark.parametrize("encoding", ["pcmu", "pcma"])
def test_g711_has_no_rate(encoding):
    one = open_session("openai-realtime", encoding=encoding)
    [update] = objects(one.opened(NOW))
    for way in ("input", "output"):
        assert update["session"]["audio"][way]["format"] == {"type": f"audio/{encoding}"}
    assert one.traits.sends.sample_rate == 8000


def test_key_of_another_url_or_account_is_not_sent_and_that_of_the_request_wins():
    assert open_session("openai-realtime", rows=(ROW,), url="wss://evil/s").handshake(ATTEMPT).headers == {}
    assert open_session("openai-realtime", rows=(ROW,), account="b").handshake(ATTEMPT).headers == {}
    own = open_session("openai-realtime", rows=(ROW,), url=URL, headers={"authorization": "Bearer own"})
    assert own.handshake(ATTEMPT).headers == {}


def test_greeting_is_asked_for_once_the_session_is_there():
    one = open_session("openai-realtime", session={"greeting": "Say hello."})
    assert "greeting" not in objects(one.opened(NOW))[0]["session"]
    values = read(one, {"type": "session.updated", "session": {}})
    assert replies(values) == [{"type": "response.create", "response": {"instructions": "Say hello."}}]
    assert read(one, {"type": "session.updated", "session": {}}) == []


def test_refused_session_ends_the_stream_and_a_later_error_does_not():
    one = open_session("openai-realtime")
    [update] = objects(one.opened(NOW))
    error: dict[str, Any] = {
        "type": "error",
        "error": {"type": "x", "message": "no", "event_id": update["event_id"]},
    }
    complaint, close = read(one, error)
    assert complaint == d.Complaint("no")
    assert isinstance(close, d.Close)
    one = ready()
    error["error"] |= {"event_id": None, "code": "c"}
    assert read(one, error) == [d.Complaint("c: no")]
    error["error"]["code"] = "response_cancel_not_active"
    assert read(one, error) == []


def test_each_item_is_truncated_where_it_was_heard_to():
    one = ready()
    read(one, created())
    read(one, delta("a", 1000))
    read(one, {"type": "response.output_audio_transcript.delta", "item_id": "a", "delta": "one two"})
    [mark] = read(one, {"type": "response.output_audio.done", "item_id": "a"})
    assert isinstance(mark, d.PlaceMark)
    read(one, delta("b", 1000))
    read(one, {"type": "response.output_audio_transcript.delta", "item_id": "b", "delta": "tri for"})
    read(one, delta("c", 500))
    assert list(one.heard(mark.name, False, NOW)) == [ServiceText("one two", 1000, 1000)]
    started = {"type": "input_audio_buffer.speech_started", "audio_start_ms": 5, "item_id": "u"}
    assert read(one, started) == [d.Clear()]
    # Audio of the response that was still on its way is not played.
    assert read(one, delta("c", 500)) == []
    assert read(one, delta("d", 500)) == []
    values = one.cut(1600, NOW)
    assert [value for value in values if isinstance(value, ServiceText)] == [
        ServiceText("tri", 600, 1000, interrupted=True),
        ServiceText("", 0, 500, interrupted=True),
    ]
    assert replies(values) == [
        {"type": "conversation.item.truncate", "item_id": "b", "content_index": 0, "audio_end_ms": 600},
        {"type": "conversation.item.truncate", "item_id": "c", "content_index": 0, "audio_end_ms": 0},
    ]
    read(one, done(status="cancelled"))
    read(one, created("r2"))
    assert len(read(one, delta("e", 20, "r2"))) == 1


def test_speech_does_not_interrupt_where_the_settings_say_so():
    one = ready(
        session={"audio": {"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}}}
    )
    read(one, created())
    read(one, delta("a", 1000))
    started = {"type": "input_audio_buffer.speech_started", "audio_start_ms": 5, "item_id": "u"}
    assert read(one, started) == []


def test_speech_of_the_switch_cancels_commits_and_asks():
    one = ready(session={"audio": {"input": {"turn_detection": {"type": "none"}}}})
    assert one.traits.follows_speech
    for number in range(40):
        assert one.media("inbound", number, FRAME, NOW) == b""
    read(one, created())
    read(one, delta("a", 1000))
    values = one.speech(True, NOW)
    assert values[0] == d.Clear()
    cancel, append = replies(values)
    assert cancel == {"type": "response.cancel", "response_id": "r1"}
    assert append["type"] == "input_audio_buffer.append"
    assert len(base64.b64decode(append["audio"])) == 25 * 960
    assert json.loads(one.media("inbound", 40, FRAME, NOW))["type"] == "input_audio_buffer.append"
    # The response is over only now: a second one may not be asked for before.
    assert [one["type"] for one in replies(one.speech(False, NOW))] == ["input_audio_buffer.commit"]
    assert one.media("inbound", 41, FRAME, NOW) == b""
    assert replies(read(one, done(status="cancelled"))) == [{"type": "response.create"}]
    assert PartySpeech(True).speaking


def test_response_with_results_is_asked_for_when_all_are_there_and_none_is_active():
    one = ready()
    read(one, created())
    assert read(one, function("t1")) == [ToolCall("t1", "f", {"a": 1})]
    [output] = objects(one.tool_result(ToolResult("t1", {"b": 2}), NOW))
    assert output["item"] == {"type": "function_call_output", "call_id": "t1", "output": '{"b":2}'}
    read(one, function("t2"))
    assert read(one, done()) == []
    outputs = objects(one.tool_result(ToolResult("t2", "broken", failed=True), NOW))
    assert outputs[0]["item"]["output"] == '{"error":"broken"}'
    assert outputs[1] == {"type": "response.create"}
    assert one.tool_result(ToolResult("t2"), NOW) == ()


def test_function_call_that_was_interrupted_is_no_tool_call():
    assert read(ready(), function("t1", "incomplete")) == []


def test_transcript_has_the_times_of_the_speech():
    one = ready()
    one.media("inbound", 0, FRAME, NOW)
    read(one, {"type": "input_audio_buffer.speech_started", "audio_start_ms": 100, "item_id": "u"})
    read(one, {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 900, "item_id": "u"})
    kind = "conversation.item.input_audio_transcription.completed"
    [text] = read(one, {"type": kind, "item_id": "u", "content_index": 0, "transcript": " Hi. "})
    assert text == CallerText("Hi.", NOW - 20 + 100, NOW - 20 + 900)
    assert read(one, {"type": kind, "item_id": "v", "transcript": "So."}) == [CallerText("So.")]
    assert read(one, {"type": kind, "item_id": "w", "transcript": " "}) == []


def test_failed_response_and_failed_transcription_are_complaints():
    one = ready()
    error = {"error": {"code": "quota", "message": "none left"}}
    assert read(one, done(status="failed", status_details=error)) == [
        d.Complaint("a response failed: quota: none left")
    ]
    failed = {"type": "conversation.item.input_audio_transcription.failed", "error": {"message": "bad"}}
    assert read(one, failed) == [d.Complaint("bad")]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "dance"},
        {"type": 5},
        {},
        {"type": "response.output_audio.delta", "item_id": "a", "delta": "%%"},
        {"type": "response.output_audio.delta", "delta": ""},
        {"type": "response.created", "response": 5},
        {"type": "input_audio_buffer.speech_started", "item_id": "a", "audio_start_ms": "x"},
        {"type": "response.output_item.done", "item": {"type": "function_call", "call_id": "a", "name": "f"}},
        {
            "type": "response.output_item.done",
            "item": {"type": "function_call", "call_id": "a", "name": "f", "arguments": "[1]"},
        },
    ],
)
def test_malformed_message_is_refused(message):
    with pytest.raises(MalformedError):
        read(ready(), message)


@pytest.mark.parametrize(
    "kind", ["rate_limits.updated", "session.created", "response.content_part.added", "response.brand_new"]
)
def test_event_that_says_nothing_of_use_is_left_alone(kind):
    assert read(ready(), {"type": kind}) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"two_way": False},
        {"sample_rate": 16000},
        {"session": {"audio": {"input": 5}}},
        {"session": {"audio": {"input": {"turn_detection": "server_vad"}}}},
    ],
)
def test_what_it_does_not_have_is_refused(fields):
    with pytest.raises(MalformedError):
        open_session("openai-realtime", **fields)
