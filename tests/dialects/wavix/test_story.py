"""How far a call has come, in Wavix's words."""

import pytest

from softswitch.call import events as e
from softswitch.dialects.wavix.story import Story, past_story

AT = 1_795_233_600_000
MOMENT = "2026-11-21T04:00:00.000Z"


def story(direction="outbound") -> Story:
    return Story("call", direction, started_ms=AT, caller="100", callee="200")


def ringing(early=False, track="call") -> e.Ringing:
    return e.Ringing(timestamp=AT + 100, track_id=track, early_media=early)


def answer(track="call", refer=None) -> e.Answer:
    return e.Answer(timestamp=AT + 1000, track_id=track, sdp="", refer=refer)


def rejected(code: int, track="call") -> e.Rejected:
    return e.Rejected(timestamp=AT + 500, track_id=track, code=code, reason="no")


def hung_up(reason: str, after_ms=4000) -> e.HungUp:
    return e.HungUp(
        timestamp=AT + after_ms,
        track_id="call",
        reason=reason,
        initiator="user",
        start_time=AT,
        answer_time=None,
        hangup_time=AT + after_ms,
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
    incoming = e.Incoming(timestamp=AT, track_id="call", caller="1", callee="2", sdp="")
    assert types(incoming, ringing(), ringing(early=True), answer(), direction="inbound") == [
        "call_setup",
        "answered",
    ]


def test_later_answers_are_no_news():
    assert types(answer(), answer(), answer(track="second")) == ["call_setup", "answered"]


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
        timestamp=AT, track_id="call", stream_id="s", status="failed", reason="nobody is there"
    )
    collected = e.Collected(timestamp=AT, track_id="call", digits="12", reason="complete")
    trouble = e.Error(timestamp=AT, track_id="call", sender="play", error="404", code=404)
    events = [changed, collected, answer("second", refer=True), rejected(486, "second"), trouble]
    happened = [step[1] for event in events for step in told.take(event)]
    assert [(one.type, one.payload) for one in happened if one is not None] == [
        ("stream", {"status": "failed", "stream_id": "s", "reason": "nobody is there"}),
        ("collect", {"digits": "12", "reason": "complete"}),
        ("transfer", {"status": "answered"}),
        ("transfer", {"status": "failed", "code": 486, "reason": "no"}),
        ("error", {"part": "play", "message": "404"}),
    ]
    assert told.event_type == "answered"


def test_what_is_nobodys_business_is_not_told():
    speaking = e.Speaking(timestamp=AT, track_id="call", start_time=AT)
    assert types(speaking, e.TrackStart(timestamp=AT, track_id="call")) == []


@pytest.mark.parametrize(
    ("answered", "reason", "code", "expected"),
    [
        (AT + 1, "caller", 0, "completed"),
        (None, "rejected", 404, "failed"),
        (None, "rejected", 603, "rejected"),
    ],
)
def test_past_call_says_what_the_live_one_said(answered, reason, code, expected):
    past = past_story(
        "call",
        "inbound",
        started_ms=AT,
        answered_ms=answered,
        finished_ms=AT + 5,
        caller="1",
        callee="2",
        tag="t",
        reason=reason,
        code=code,
    )
    assert past.call().event_type == expected
