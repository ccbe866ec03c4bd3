"""The streams of a call: limits, and what their reports mean for it."""

import pytest

from softswitch.call.outbox import Outbox
from softswitch.call.outcome import Over
from softswitch.call.streams import MAX_TOOL_CALLS, Streams
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import effects as fx
from softswitch.call.vocabulary import events as e
from softswitch.call.vocabulary import reports as r
from softswitch.call.vocabulary.rejection import CommandRejected, Reason
from softswitch.call.vocabulary.stream_words import (
    CallerText,
    FromService,
    KeyPressed,
    PartySpeech,
    ServiceText,
    ToolCall,
    ToolCancelled,
    ToolResult,
)


@pytest.fixture
def outbox() -> Outbox:
    return Outbox("call", 0.0)


@pytest.fixture
def streams(outbox: Outbox) -> Streams:
    return Streams(outbox)


def start(streams: Streams, name: str, **option) -> None:
    streams.command(c.StartStream(stream=name, option=c.StreamOption("ws://x/", **option)), "party")


def test_stream_is_opened_on_the_party(streams, outbox):
    start(streams, "a", two_way=True)
    [effect] = outbox.take_effects()
    assert effect == fx.OpenStream("a", "party", c.StreamOption("ws://x/", two_way=True))


def test_key_is_told_to_every_stream_since_its_dialect_decides(streams, outbox):
    start(streams, "a", two_way=True)
    start(streams, "b")
    outbox.take_effects()
    streams.pressed("5")
    assert outbox.take_effects() == [
        fx.TellStream("a", KeyPressed("5")),
        fx.TellStream("b", KeyPressed("5")),
    ]


def test_second_two_way_stream_is_refused_while_the_first_is_connecting(streams):
    start(streams, "a", two_way=True)
    with pytest.raises(CommandRejected, match=Reason.TOO_MANY_TWO_WAY) as refused:
        start(streams, "b", two_way=True)
    assert refused.value.code == 422


def test_sixth_one_way_stream_is_refused_beside_a_two_way_one(streams):
    start(streams, "two", two_way=True)
    for name in "abcde":
        start(streams, name)
    with pytest.raises(CommandRejected, match=Reason.TOO_MANY_ONE_WAY):
        start(streams, "f")


def test_place_is_free_again_when_a_stream_failed(streams, outbox):
    start(streams, "a", two_way=True)
    streams.report(r.StreamEnded("a", "failed", "connection refused"))
    start(streams, "b", two_way=True)
    [event] = outbox.take_events()
    assert isinstance(event, e.StreamChanged)
    assert (event.stream_id, event.status, event.reason) == ("a", "failed", "connection refused")


def test_stream_is_told_to_have_started_and_resumed(streams, outbox):
    start(streams, "a")
    streams.report(r.StreamOpened("a"))
    streams.report(r.StreamOpened("a"))
    assert [event.status for event in outbox.take_events()] == ["started", "resumed"]


def test_stop_closes_a_stream_that_is_there(streams, outbox):
    start(streams, "a")
    outbox.take_effects()
    streams.command(c.StopStream(stream="a"), "party")
    assert outbox.take_effects() == [fx.CloseStream("a")]
    with pytest.raises(CommandRejected, match=Reason.UNKNOWN_STREAM):
        streams.command(c.StopStream(stream="b"), "party")


@pytest.mark.parametrize(
    ("status", "hangs_up"), [("closed", True), ("lost", True), ("stopped", False), ("failed", True)]
)
def test_call_ends_with_its_stream_only_where_that_was_asked_for(streams, status, hangs_up):
    start(streams, "a", hangup_on_close=True)
    start(streams, "b")
    over = streams.report(r.StreamEnded("a", status))
    assert isinstance(over, Over) == hangs_up
    assert streams.report(r.StreamEnded("b", status)) is None


def test_report_of_an_unknown_stream_is_nothing(streams, outbox):
    assert streams.report(r.StreamEnded("gone", "closed")) is None
    assert outbox.take_events() == []


def tell(streams: Streams, outbox: Outbox, word: FromService) -> list[e.Event]:
    """Let the service of the stream "a" tell something; return the events."""
    assert streams.report(r.StreamTold("a", word)) is None
    return outbox.take_events()


def test_texts_of_the_party_are_numbered_and_dated(streams, outbox):
    start(streams, "a", two_way=True)
    outbox.now = 9.0
    [first] = tell(streams, outbox, CallerText("hi", 1500, 2000))
    [second] = tell(streams, outbox, CallerText("ho"))
    assert isinstance(first, e.AsrFinal)
    assert isinstance(second, e.AsrFinal)
    assert (first.index, first.text, first.start_time, first.end_time) == (0, "hi", 1.5, 2.0)
    assert (second.index, second.text, second.start_time, second.end_time) == (1, "ho", 9.0, 9.0)


def test_text_that_was_cut_off_is_an_interruption_and_a_line_of_what_was_heard(streams, outbox):
    start(streams, "a", two_way=True)
    [line] = tell(streams, outbox, ServiceText("all of it", 900, 900))
    assert isinstance(line, e.HistoryAdded)
    assert (line.sender, line.speaker, line.text) == ("a", "agent", "all of it")
    cut, line = tell(streams, outbox, ServiceText("half", 400, 900, interrupted=True))
    assert isinstance(cut, e.Interruption)
    assert (cut.position, cut.total_duration, cut.subtitle, cut.play_id) == (400, 900, "half", "a")
    assert isinstance(line, e.HistoryAdded)
    [cut] = tell(streams, outbox, ServiceText("", 0, 900, interrupted=True))
    assert isinstance(cut, e.Interruption)


def test_tool_call_waits_for_one_result(streams, outbox):
    start(streams, "a", two_way=True)
    outbox.take_effects()
    [event] = tell(streams, outbox, ToolCall("t", "f", {"x": 1}))
    assert isinstance(event, e.ToolCall)
    assert (event.stream_id, event.tool_call_id, event.name, event.arguments, event.status) == (
        "a", "t", "f", {"x": 1}, "requested",
    )  # fmt: skip
    streams.command(c.AnswerTool(tool_call="t", result=[1]), "party")
    assert outbox.take_effects() == [fx.TellStream("a", ToolResult("t", [1]))]
    with pytest.raises(CommandRejected, match=Reason.UNKNOWN_TOOL_CALL) as refused:
        streams.command(c.AnswerTool(tool_call="t"), "party")
    assert refused.value.code == 404


def test_cancelled_tool_call_takes_no_result(streams, outbox):
    start(streams, "a", two_way=True)
    tell(streams, outbox, ToolCall("t", "f"))
    [event] = tell(streams, outbox, ToolCancelled("t"))
    assert isinstance(event, e.ToolCall)
    assert (event.name, event.status) == ("f", "cancelled")
    assert tell(streams, outbox, ToolCancelled("t")) == []
    with pytest.raises(CommandRejected):
        streams.command(c.AnswerTool(tool_call="t"), "party")


def test_tool_call_of_a_stream_that_has_ended_takes_no_result(streams, outbox):
    start(streams, "a", two_way=True)
    tell(streams, outbox, ToolCall("t", "f"))
    streams.report(r.StreamEnded("a", "closed"))
    with pytest.raises(CommandRejected):
        streams.command(c.AnswerTool(tool_call="t"), "party")


def test_one_tool_call_too_many_fails_and_is_told(streams, outbox):
    start(streams, "a", two_way=True)
    for number in range(MAX_TOOL_CALLS):
        tell(streams, outbox, ToolCall(str(number), "f"))
    outbox.take_effects()
    [event] = tell(streams, outbox, ToolCall("more", "f"))
    assert isinstance(event, e.StreamChanged)
    assert event.status == "warning"
    [effect] = outbox.take_effects()
    assert isinstance(effect, fx.TellStream)
    assert isinstance(effect.word, ToolResult)
    assert effect.word.failed


def test_speech_of_the_party_is_told_to_every_stream(streams, outbox):
    start(streams, "a", two_way=True)
    outbox.take_effects()
    streams.spoke(True)
    assert outbox.take_effects() == [fx.TellStream("a", PartySpeech(True))]


def test_callee_that_is_a_service_is_a_stream_that_the_call_ends_with(streams, outbox):
    streams.dial("stream:wss://bot.example/s", "party")
    [effect] = outbox.take_effects()
    option = c.StreamOption("wss://bot.example/s", two_way=True, hangup_on_close=True)
    assert effect == fx.OpenStream("call-callee", "party", option)
    with pytest.raises(CommandRejected) as refused:
        streams.dial("stream:https://bot.example", "party")
    assert (refused.value.rejection.reason, refused.value.rejection.field) == (Reason.NO_SERVICE, "callee")


def test_media_pass_and_a_service_as_callee_are_one_two_way_stream_too_many(streams, outbox):
    streams.pass_media(c.MediaPassOption("ws://x/", protocol="twilio"), "party")
    [effect] = outbox.take_effects()
    assert (effect.stream, effect.option.protocol) == ("call-media-pass", "twilio")
    with pytest.raises(CommandRejected, match=Reason.TOO_MANY_TWO_WAY):
        streams.dial("stream:wss://bot.example/s", "party")
