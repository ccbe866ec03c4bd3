"""Spans of a call: what begins and ends them, and what they never hold."""

import logging
from collections.abc import Mapping
from typing import Any

import pytest

from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import events as e
from softswitch.call.vocabulary.values import party_of
from softswitch.log.lines import _extras, set_trace_of
from softswitch.switch import tracing
from softswitch.switch.tracing import CallTrace, Span, Traces
from tests.switch.harness import House
from tests.switch.test_switch import house, up  # noqa: F401


class FakeSpan:
    """Remembers."""

    def __init__(self, made: list["FakeSpan"], name: str, at: float, attributes: Mapping[str, Any]) -> None:
        self.made, self.name, self.began, self.attributes = made, name, at, dict(attributes)
        self.ended: float | None = None
        self.error = ""
        made.append(self)

    @property
    def trace_id(self) -> str:
        return "0" * 31 + "1"

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{len(self.made):016x}-01"

    def child(self, name: str, at: float, attributes: Mapping[str, Any]) -> Span:
        return FakeSpan(self.made, name, at, attributes)

    def end(self, at: float, attributes: Mapping[str, Any], error: str = "") -> None:
        assert self.ended is None
        self.ended, self.error = at, error
        self.attributes.update(attributes)


class FakeTracer:
    """Makes fake spans."""

    def __init__(self) -> None:
        self.made: list[FakeSpan] = []

    def begin(self, name: str, at: float, attributes: Mapping[str, Any]) -> Span:
        return FakeSpan(self.made, name, at, attributes)


def trace() -> tuple[CallTrace, list[FakeSpan]]:
    tracer = FakeTracer()
    return CallTrace(tracer.begin("call", 1.0, {})), tracer.made


def hung_up(at: float, reason: str = "caller") -> e.HungUp:
    return e.HungUp(
        timestamp=at,
        subject=party_of("a"),
        reason=reason,
        initiator="caller",
        start_time=1.0,
        answer_time=None,
        hangup_time=at,
        caller="+4930",
        callee="100",
    )


def test_events_become_spans_without_numbers_and_words():
    made_trace, made = trace()
    party = party_of("a")
    for event in (
        e.Answer(timestamp=2.0, subject=party, sdp=""),
        e.TrackStart(timestamp=3.0, subject=party, play_id="x"),
        e.TrackEnd(timestamp=4.0, subject=party, duration=900, play_id="x"),
        e.TrackStart(timestamp=5.0, subject=party, play_id="y"),
        e.Interruption(timestamp=5.5, subject=party, position=400, play_id="y"),
        e.AsrFinal(timestamp=7.0, subject=party, index=0, start_time=6.0, end_time=6.5, text="my secret"),
        e.TrackStart(timestamp=8.0, subject=party, play_id="z"),
        hung_up(9.0),
    ):
        made_trace.event(event, 1)
    assert [(span.name, span.began, span.ended) for span in made] == [
        ("call", 1.0, 9.0),
        ("playback", 3.0, 4.0),
        ("playback", 5.0, 5.5),
        ("utterance", 6.0, 6.5),
        ("playback", 8.0, 9.0),
    ]
    assert made[0].attributes == {"call.reason": "caller", "call.initiator": "caller", "call.answered": True}
    assert made[2].attributes["playback.interrupted"] is True
    assert made[3].attributes == {"utterance.characters": 9}
    assert "+4930" not in str([span.attributes for span in made])


def test_failure_is_an_error_and_spans_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tracing, "MOST_OPEN", 2)
    made_trace, made = trace()
    for number in range(5):
        made_trace.event(e.TrackStart(timestamp=2.0, subject=party_of("a"), play_id=str(number)), 1)
    assert len(made) == 3
    made_trace.event(hung_up(3.0, "error"), 2)
    assert made[0].error == "error"
    assert all(span.ended == 3.0 for span in made)


async def test_call_and_its_legs_are_traced_and_the_log_names_the_trace(house: House) -> None:  # noqa: F811
    tracer = FakeTracer()
    traces = Traces(tracer)
    house.switch.followers.append(traces.follow)
    conversation = await up(house)
    assert traces.trace_id("a") == "0" * 31 + "1"
    span = traces.webhook("a", 5.0, {})
    assert span is not None
    assert traces.webhook("unknown", 5.0, {}) is None
    conversation.command(c.Hangup())
    await conversation.released.wait()
    assert {(one.name, one.ended is not None) for one in tracer.made} == {
        ("call", True),
        ("leg", True),
        ("playback", True),
        ("webhook", False),
    }
    assert tracer.made[0].attributes["call.id"] == "a"


def test_log_names_the_trace_of_a_call():
    set_trace_of(lambda call: "77" if call == "a" else "")
    try:
        record = logging.makeLogRecord({"call": "a"})
        assert _extras(record)["trace_id"] == "77"
        assert "trace_id" not in _extras(logging.makeLogRecord({"call": "b"}))
    finally:
        set_trace_of(None)
    assert "trace_id" not in _extras(record)


def test_ended_calls_are_forgotten_beyond_the_bound(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tracing, "MOST_ENDED", 2)
    traces = Traces(FakeTracer())

    class Conversation:
        def __init__(self, name: str) -> None:
            self.id, self.created_ms, self.owner = name, 1000, ""
            self.call = type("Call", (), {"kind": "sip"})
            self.source = type("Source", (), {"direction": "inbound", "trunk": "t"})

        def subscribe(self, subscriber: object) -> None: ...

    for name in "abc":
        traces.follow(Conversation(name))  # type: ignore[arg-type]
    assert [traces.trace_id(name) != "" for name in "abc"] == [False, True, True]


def test_fault_of_the_library_ends_the_trace_alone(caplog: pytest.LogCaptureFixture):
    made_trace, made = trace()

    def broken(*_: object) -> Span:
        raise RuntimeError("a defect")

    made[0].child = broken  # type: ignore[method-assign, assignment]
    made_trace.leg_opened("party", 1.0)
    made_trace.event(hung_up(3.0), 2)
    assert [record.getMessage() for record in caplog.records] == ["a trace failed"]
    assert made[0].ended is None
