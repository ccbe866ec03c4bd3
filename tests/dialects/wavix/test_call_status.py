"""How far a call has come, in Wavix's words."""

from typing import Any

import pytest

from softswitch.call.state import State
from softswitch.call.vocabulary import events as e
from softswitch.call.vocabulary.values import SECOND_PARTY, party_of
from softswitch.dialects.wavix.call_status import STEPS, CallStatus, live_status, past_status
from softswitch.protocol.instants import rfc3339
from softswitch.store.store import CallRecord
from softswitch.switch.directory import CallSnapshot
from softswitch.switch.origin import Source

AT = 1_795_233_600_000
PARTY = party_of("call")
MOMENT = "2026-11-21T04:00:00.000Z"


def story(direction="outbound") -> CallStatus:
    return CallStatus("call", direction, started_ms=AT, caller="100", callee="200")


def ringing(early=False, track=PARTY) -> e.Ringing:
    return e.Ringing(timestamp=(AT + 100) / 1000, subject=track, early_media=early)


def answer(track=PARTY, refer=None) -> e.Answer:
    return e.Answer(timestamp=(AT + 1000) / 1000, subject=track, sdp="", refer=refer)


def rejected(code: int, track=PARTY) -> e.Rejected:
    return e.Rejected(timestamp=(AT + 500) / 1000, subject=track, code=code, reason="no")


def hung_up(reason: str, after_ms=4000) -> e.HungUp:
    return e.HungUp(
        timestamp=(AT + after_ms) / 1000,
        subject=PARTY,
        reason=reason,
        initiator="user",
        start_time=AT / 1000,
        answer_time=None,
        hangup_time=(AT + after_ms) / 1000,
        caller="100",
        callee="200",
    )


def types(*events, direction="outbound") -> list[str]:
    told = story(direction)
    return [step[0] for event in events for step in told.take(event)]


def test_outbound_call_is_set_up_rings_is_answered_and_completed():
    assert types(ringing(), answer(), hung_up("user_requested")) == [
        "call_setup",
        "ringing",
        "answered",
        "completed",
    ]


def test_early_media_is_told_instead_of_ringing():
    assert types(ringing(early=True)) == ["call_setup", "early_media"]


def test_inbound_call_tells_one_event_before_its_answer():
    incoming = e.Incoming(timestamp=AT / 1000, subject=PARTY, caller="1", callee="2", sdp="")
    assert types(incoming, ringing(), ringing(early=True), answer(), direction="inbound") == [
        "call_setup",
        "answered",
    ]


def test_later_answers_are_no_news():
    assert types(answer(), answer(), answer(track=SECOND_PARTY)) == ["call_setup", "answered"]


@pytest.mark.parametrize(
    ("events", "last", "disposition"),
    [
        ([rejected(486), hung_up("busy")], "busy", "busy"),
        ([rejected(603), hung_up("rejected")], "rejected", "failed"),
        ([rejected(403), hung_up("rejected")], "rejected", "failed"),
        ([rejected(404), hung_up("rejected")], "failed", "failed"),
        ([rejected(503), hung_up("rejected")], "failed", "failed"),
        ([hung_up("no_answer")], "cancelled", "noanswer"),
        ([hung_up("user_requested")], "cancelled", "noanswer"),
        ([hung_up("caller")], "cancelled", "noanswer"),
        ([hung_up("error")], "failed", "failed"),
        ([answer(), hung_up("caller")], "completed", "answered"),
    ],
)
def test_end_of_a_call_is_told_in_the_right_word(events, last, disposition):
    told = story()
    steps = [step for event in events for step in told.take(event)]
    assert steps[-1][0] == last
    assert told.record().disposition == disposition


def test_call_object_has_both_ids_and_all_times():
    told = story()
    told.take(answer())
    told.take(hung_up("caller"))
    told.tag = "vip"
    call = told.call()
    assert (call.uuid, call.id, call.from_, call.to, call.tag) == ("call", "call", "100", "200", "vip")
    assert call.call_started == MOMENT
    assert call.call_answered == "2026-11-21T04:00:01.000Z"
    assert call.call_finished == call.call_completed == "2026-11-21T04:00:04.000Z"
    assert told.record().duration == 3


def test_beginning_is_told_as_it_was_however_late():
    told = story()
    [setup, _] = told.take(answer())
    call = told.call(setup)
    assert (call.event_type, call.event_time, call.call_answered) == ("call_setup", MOMENT, None)
    assert told.begin() == []


def test_streams_keys_transfers_and_troubles_are_on_call_events():
    told = story()
    told.take(answer())
    changed = e.StreamChanged(
        timestamp=AT / 1000, subject=PARTY, stream_id="s", status="failed", reason="no answer"
    )
    collected = e.Collected(timestamp=AT / 1000, subject=PARTY, digits="12", reason="complete")
    trouble = e.Error(timestamp=AT / 1000, subject=PARTY, sender="play", error="404", code=404)
    events = [changed, collected, answer(SECOND_PARTY, refer=True), rejected(486, SECOND_PARTY), trouble]
    happened = [step[1] for event in events for step in told.take(event)]
    assert [(one.type, one.payload) for one in happened if one is not None] == [
        ("stream", {"status": "failed", "stream_id": "s", "reason": "no answer"}),
        ("collect", {"status": "completed", "digits": "12", "reason": "complete"}),
        ("transfer", {"status": "answered"}),
        ("transfer", {"status": "failed", "code": 486, "reason": "no"}),
        ("error", {"part": "play", "message": "404"}),
    ]
    assert told.event_type == "answered"


def test_what_is_nobodys_business_is_not_told():
    speaking = e.Speaking(timestamp=AT / 1000, subject=PARTY, start_time=AT / 1000)
    assert types(speaking, e.TrackStart(timestamp=AT / 1000, subject=PARTY)) == []


def kinds(base: type[e.Event]) -> list[type[e.Event]]:
    return [one for kind in base.__subclasses__() for one in (kinds(kind) or [kind])]


def test_kinds_of_events_without_steps_have_none():
    others = set(kinds(e.Event)) - STEPS
    assert len(others) > 20
    for kind in others:
        fields: dict[str, Any] = dict.fromkeys(kind.__struct_fields__, "") | {
            "timestamp": AT / 1000,
            "subject": PARTY,
        }
        event = kind(**{name: fields[name] for name in kind.__struct_fields__})
        assert types(event) == [], kind


@pytest.mark.parametrize(
    ("answered", "reason", "code", "expected"),
    [
        (AT + 1, "caller", 0, "completed"),
        (None, "rejected", 404, "failed"),
        (None, "rejected", 603, "rejected"),
    ],
)
def test_past_call_says_what_the_live_one_said(answered, reason, code, expected):
    record = CallRecord(
        id="call",
        kind="sip",
        created_at=AT,
        caller="1",
        callee="2",
        answered_at=answered,
        ended_at=AT + 5,
        reason=reason,
        tag="t",
        direction="inbound",
        code=code,
    )
    call = past_status(record, AT + 5).call()
    assert (call.event_type, call.direction, call.tag) == (expected, "inbound", "t")


@pytest.mark.parametrize(
    ("direction", "fields", "expected"),
    [
        ("outbound", {}, ("call_setup", AT)),
        ("outbound", {"ringing_ms": AT + 5}, ("ringing", AT + 5)),
        ("outbound", {"ringing_ms": AT + 5, "early_media": True}, ("early_media", AT + 5)),
        ("outbound", {"ringing_ms": AT + 5, "answered_ms": AT + 9}, ("answered", AT + 9)),
        ("inbound", {"ringing_ms": AT + 5}, ("call_setup", AT)),
    ],
)
def test_live_call_says_how_far_it_has_come(direction, fields, expected):
    snapshot = CallSnapshot(
        id="call",
        kind="sip",
        state=State.NEW,
        created_ms=AT,
        now_ms=AT + 10,
        source=Source(direction),
        tag="t",
        **fields,
    )
    call = live_status(snapshot).call()
    event_type, at = expected
    assert (call.event_type, call.event_time, call.tag) == (event_type, rfc3339(at), "t")


def test_who_answered_is_told_and_kept_for_the_record():
    told = story()
    told.take(answer())
    event = e.AnsweredBy(
        timestamp=(AT + 3000) / 1000, subject=PARTY, result="machine", reason="words", at=0.0, duration=900
    )
    [(kind, payload)] = told.take(event)
    assert payload is not None
    assert (kind, payload.type, payload.payload) == (
        "on_call_event",
        "machine_detection",
        {"status": "machine", "reason": "words"},
    )
    assert told.call((kind, payload)).machine_detected
    [(_, beep)] = told.take(
        e.AnsweredBy(
            timestamp=(AT + 5000) / 1000, subject=PARTY, result="beep", reason="tone", at=0.0, duration=1
        )
    )
    assert beep is not None
    assert beep.payload["status"] == "beep"
    told.take(hung_up("user_requested"))
    assert told.record().answered_by == "machine"
    assert told.call().machine_detected
