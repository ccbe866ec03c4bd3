"""A caller who waits, on a call that an application decides about."""

import pytest

from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import effects, events, reports
from softswitch.call.vocabulary.commands import CallOption
from softswitch.call.vocabulary.rejection import CommandRejected, Reason
from tests.call.harness import Harness


def pending(**more: float) -> Harness:
    harness = Harness(kind="sip")
    harness.call.incoming("alice", "100", "v=0", {"X-A": "1"}, harness.now, **more)
    harness.report()
    return harness


def test_incoming_is_told_and_its_endpoint_made() -> None:
    harness = pending()
    (incoming,) = harness.emitted(events.Incoming)
    assert (incoming.caller, incoming.callee, incoming.sdp) == ("alice", "100", "v=0")
    assert harness.effects_of(effects.PrepareLeg)[0].option.offer == "v=0"
    assert not harness.effects_of(effects.OpenLeg)


def test_accept_keeps_caller_and_callee_of_the_caller() -> None:
    harness = pending()
    harness.command(c.Ring())
    assert harness.effects_of(effects.RingLeg) == [effects.RingLeg("party", early_media=False)]
    harness.command(c.Accept(option=CallOption(caller="x", callee="y", codec="pcma")))
    (opened,) = harness.effects_of(effects.OpenLeg)
    assert (opened.option.caller, opened.option.callee, opened.option.codec) == ("alice", "100", "pcma")
    harness.report(reports.LegAnswered("party", codec="pcma"))
    assert harness.names()[:3] == ["Incoming", "Answer", "TrackStart"]


@pytest.mark.parametrize(("code", "reason"), [(486, "busy"), (603, "rejected"), (480, "no_answer")])
def test_reject_says_code_and_reason(code: int, reason: str) -> None:
    harness = pending()
    harness.command(c.Reject(code=code, reason="because"))
    assert harness.effects_of(effects.RejectLeg) == [effects.RejectLeg("party", code, "because")]
    assert harness.emitted(events.HungUp)[0].reason == reason


def test_nobody_accepting_in_time_is_temporarily_unavailable() -> None:
    harness = pending(accept_s=50.0)
    harness.wait(49.9)
    assert not harness.emitted(events.HungUp)
    harness.wait(0.2)
    assert harness.effects_of(effects.RejectLeg)[0].code == 480
    assert harness.emitted(events.HungUp)[0].reason == "no_answer"


@pytest.mark.parametrize(("reason", "code"), [("server_shutdown", 503), ("killed", 480)])
def test_caller_is_refused_when_the_call_ends_from_outside(reason: str, code: int) -> None:
    harness = pending()
    harness.call.end(reason, "system", harness.now)
    harness.report()
    assert harness.effects_of(effects.RejectLeg)[0].code == code


def test_leg_that_fails_before_the_answer_refuses_with_its_code() -> None:
    harness = pending()
    harness.command(c.Accept())
    harness.report(reports.LegFailed("party", "invite", "no codec in common", 488))
    assert harness.effects_of(effects.RejectLeg)[0].code == 488
    assert harness.emitted(events.Error)[0].code == 488


def test_caller_who_gives_up_is_not_refused() -> None:
    harness = pending()
    harness.report(reports.LegEnded("party", headers={"Reason": "SIP;cause=200"}))
    assert not harness.effects_of(effects.RejectLeg)
    assert harness.emitted(events.HungUp)[0].headers == {"Reason": "SIP;cause=200"}


def test_ringtone_is_heard_before_the_answer_and_recorded_only_once() -> None:
    harness = pending()
    wish = c.RecorderOption(name="a.wav")
    harness.command(c.Ring(ringtone="http://x/tone.wav", recorder=wish))
    assert harness.effects_of(effects.RingLeg)[0].early_media
    assert harness.effects_of(effects.PlayUrl)[0].loop
    harness.report(reports.LegRinging("party", early_media=True))
    assert harness.effects_of(effects.Record) == [effects.Record("party", wish)]
    harness.command(c.Say(text="one moment"))
    harness.command(c.Accept(option=CallOption(recorder=c.RecorderOption(name="b.wav"))))
    harness.report(reports.LegAnswered("party"))
    assert len(harness.effects_of(effects.Record)) == 1
    assert [drop.track for drop in harness.effects_of(effects.DropTrack)] == [1]


def test_nothing_is_said_to_a_caller_who_only_hears_ringing() -> None:
    harness = pending()
    harness.command(c.Ring())
    with pytest.raises(CommandRejected, match=Reason.NOT_ANSWERED):
        harness.command(c.Say(text="hello"))


def test_accept_without_a_caller_is_rejected_and_over() -> None:
    harness = Harness(kind="sip")
    harness.command(c.Accept())
    assert harness.names() == ["Rejected", "HungUp"]
    assert harness.emitted(events.Rejected)[0].code == 486
    assert harness.emitted(events.Rejected)[0].reason == "no pending call"


def test_ringing_without_a_caller_is_refused() -> None:
    for command in (c.Ring(), c.Reject()):
        with pytest.raises(CommandRejected, match=Reason.NO_PENDING_CALL):
            Harness(CallOption(), kind="sip").command(command)


def test_outgoing_call_tells_ringing_then_the_refusal() -> None:
    harness = Harness(kind="sip")
    harness.command(c.Invite(option=CallOption(callee="sip:bob@x")))
    harness.report(reports.LegRinging("party"), reports.LegRejected("party", 486, "Busy Here"))
    assert harness.names() == ["Ringing", "Rejected", "HungUp"]
    assert harness.emitted(events.HungUp)[0].reason == "busy"
    assert not harness.effects_of(effects.RejectLeg)


@pytest.mark.parametrize(("from_peer", "phrase"), [(True, "Busy Now"), (False, "")])
def test_caller_is_refused_with_the_phrase_of_the_callee_but_no_error_text(
    from_peer: bool, phrase: str
) -> None:
    harness = Harness(kind="sip")
    harness.call.incoming("alice", "100", "v=0", {}, harness.now)
    harness.command(c.Connect(callee="sip:bob@x"))
    leg = harness.effects_of(effects.OpenLeg)[-1].leg
    harness.report(reports.LegRejected(leg, 486, "Busy Now", from_peer=from_peer))
    assert harness.emitted(events.Rejected)[-1].reason == "Busy Now", "the client is told in any case"
    assert [(refusal.code, refusal.reason) for refusal in harness.effects_of(effects.RejectLeg)] == [
        (486, phrase)
    ]


def test_echo_called_over_sip_is_the_party_itself() -> None:
    harness = Harness(CallOption(callee="echo"), kind="sip")
    assert [leg.callee for leg in harness.effects_of(effects.OpenLeg)] == [""]


def test_held_call_does_not_time_out_for_want_of_media() -> None:
    harness = Harness(CallOption(), kind="sip")
    harness.report(reports.LegHeld("party", held=True), reports.MediaSilent("party", 100.0, 3.0))
    harness.wait(60.0)
    assert harness.emitted(events.Hold)[0].on_hold
    assert not harness.emitted(events.HungUp)
    harness.report(reports.LegHeld("party", held=False), reports.MediaSilent("party", 100.0, 3.0))
    harness.wait(60.0)
    assert harness.emitted(events.HungUp)[0].reason == "media_timeout"


def test_texts_go_both_ways() -> None:
    harness = Harness(CallOption(), kind="sip")
    harness.command(c.SendMessage(body="hi", request_id="r"))
    assert harness.effects_of(effects.SendLegMessage)[0].body == "hi"
    harness.report(reports.TextReceived("party", "ho", "text/plain"))
    assert harness.emitted(events.MessageReceived)[0].body == "ho"


def test_hangup_gives_its_headers_to_the_far_end() -> None:
    harness = Harness(CallOption(), kind="sip")
    harness.command(c.Hangup(headers={"X-Why": "done"}))
    assert harness.effects_of(effects.CloseLeg)[0].headers == {"X-Why": "done"}
