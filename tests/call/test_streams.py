"""The streams of a call: limits, and what their reports mean for it."""

import pytest

from softswitch.call import commands as c
from softswitch.call import effects as fx
from softswitch.call import events as e
from softswitch.call import reports as r
from softswitch.call.commands import CommandRejected
from softswitch.call.outbox import Outbox
from softswitch.call.outcome import Over
from softswitch.call.streams import Streams


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


def test_second_two_way_stream_is_refused_while_the_first_is_connecting(streams):
    start(streams, "a", two_way=True)
    with pytest.raises(CommandRejected, match="Only one bidirectional stream is allowed per call") as refused:
        start(streams, "b", two_way=True)
    assert refused.value.code == 422


def test_sixth_one_way_stream_is_refused_beside_a_two_way_one(streams):
    start(streams, "two", two_way=True)
    for name in "abcde":
        start(streams, name)
    with pytest.raises(CommandRejected, match="Up to 5 unidirectional streams are allowed per call"):
        start(streams, "f")


def test_place_is_free_again_when_a_stream_failed(streams, outbox):
    start(streams, "a", two_way=True)
    streams.report(r.StreamEnded("a", "failed", "nobody answers"))
    start(streams, "b", two_way=True)
    [event] = outbox.take_events()
    assert isinstance(event, e.StreamChanged)
    assert (event.stream_id, event.status, event.reason) == ("a", "failed", "nobody answers")


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
    with pytest.raises(CommandRejected, match="Stream not found"):
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
