"""A caller who waits, on a call that an application decides about."""

import pytest

from softswitch.call import commands as c
from softswitch.call import effects, events, reports
from softswitch.call.commands import CallOption, CommandRejected
from tests.call.desk import Desk


def pending(**more: float) -> Desk:
    desk = Desk(kind="sip")
    desk.call.incoming("alice", "100", "v=0", {"X-A": "1"}, desk.now, **more)
    desk.report()
    return desk


def test_incoming_is_told_and_its_endpoint_made() -> None:
    desk = pending()
    (incoming,) = desk.told(events.Incoming)
    assert (incoming.caller, incoming.callee, incoming.sdp) == ("alice", "100", "v=0")
    assert desk.did(effects.PrepareLeg)[0].option.offer == "v=0"
    assert not desk.did(effects.OpenLeg)


def test_accept_keeps_caller_and_callee_of_the_caller() -> None:
    desk = pending()
    desk.command(c.Ring())
    assert desk.did(effects.RingLeg) == [effects.RingLeg("party", early_media=False)]
    desk.command(c.Accept(option=CallOption(caller="x", callee="y", codec="pcma")))
    (opened,) = desk.did(effects.OpenLeg)
    assert (opened.option.caller, opened.option.callee, opened.option.codec) == ("alice", "100", "pcma")
    desk.report(reports.LegAnswered("party", codec="pcma"))
    assert desk.names()[:3] == ["Incoming", "Answer", "TrackStart"]


@pytest.mark.parametrize(("code", "reason"), [(486, "busy"), (603, "rejected"), (480, "no_answer")])
def test_reject_says_code_and_reason(code: int, reason: str) -> None:
    desk = pending()
    desk.command(c.Reject(code=code, reason="because"))
    assert desk.did(effects.RejectLeg) == [effects.RejectLeg("party", code, "because")]
    assert desk.told(events.HungUp)[0].reason == reason


def test_nobody_accepting_in_time_is_temporarily_unavailable() -> None:
    desk = pending(accept_s=50.0)
    desk.wait(49.9)
    assert not desk.told(events.HungUp)
    desk.wait(0.2)
    assert desk.did(effects.RejectLeg)[0].code == 480
    assert desk.told(events.HungUp)[0].reason == "no_answer"


@pytest.mark.parametrize(("reason", "code"), [("server_shutdown", 503), ("killed", 480)])
def test_caller_is_refused_when_the_call_ends_from_outside(reason: str, code: int) -> None:
    desk = pending()
    desk.call.end(reason, "system", desk.now)
    desk.report()
    assert desk.did(effects.RejectLeg)[0].code == code


def test_leg_that_fails_before_the_answer_refuses_with_its_code() -> None:
    desk = pending()
    desk.command(c.Accept())
    desk.report(reports.LegFailed("party", "invite", "no codec in common", 488))
    assert desk.did(effects.RejectLeg)[0].code == 488
    assert desk.told(events.Error)[0].code == 488


def test_caller_who_gives_up_is_not_refused() -> None:
    desk = pending()
    desk.report(reports.LegEnded("party", headers={"Reason": "SIP;cause=200"}))
    assert not desk.did(effects.RejectLeg)
    assert desk.told(events.HungUp)[0].headers == {"Reason": "SIP;cause=200"}


def test_ringtone_is_heard_before_the_answer_and_recorded_only_once() -> None:
    desk = pending()
    wish = c.RecorderOption(name="a.wav")
    desk.command(c.Ring(ringtone="http://x/tone.wav", recorder=wish))
    assert desk.did(effects.RingLeg)[0].early_media
    assert desk.did(effects.PlayUrl)[0].loop
    desk.report(reports.LegRinging("party", early_media=True))
    assert desk.did(effects.Record) == [effects.Record("party", wish)]
    desk.command(c.Say(text="one moment"))
    desk.command(c.Accept(option=CallOption(recorder=c.RecorderOption(name="b.wav"))))
    desk.report(reports.LegAnswered("party"))
    assert len(desk.did(effects.Record)) == 1
    assert [drop.track for drop in desk.did(effects.DropPlayback)] == [1]


def test_nothing_is_said_to_a_caller_who_only_hears_ringing() -> None:
    desk = pending()
    desk.command(c.Ring())
    with pytest.raises(CommandRejected, match="not answered"):
        desk.command(c.Say(text="hello"))


def test_accept_without_a_caller_is_rejected_and_over() -> None:
    desk = Desk(kind="sip")
    desk.command(c.Accept())
    assert desk.names() == ["Rejected", "HungUp"]
    assert desk.told(events.Rejected)[0].code == 486
    assert desk.told(events.Rejected)[0].reason == "no pending call"


def test_ringing_without_a_caller_is_refused() -> None:
    for command in (c.Ring(), c.Reject()):
        with pytest.raises(CommandRejected, match="no pending call"):
            Desk(CallOption(), kind="sip").command(command)


def test_outgoing_call_tells_ringing_then_the_refusal() -> None:
    desk = Desk(kind="sip")
    desk.command(c.Invite(option=CallOption(callee="sip:bob@x")))
    desk.report(reports.LegRinging("party"), reports.LegRejected("party", 486, "Busy Here"))
    assert desk.names() == ["Ringing", "Rejected", "HungUp"]
    assert desk.told(events.HungUp)[0].reason == "busy"
    assert not desk.did(effects.RejectLeg)


def test_echo_called_over_sip_is_the_party_itself() -> None:
    desk = Desk(CallOption(callee="echo"), kind="sip")
    assert [leg.callee for leg in desk.did(effects.OpenLeg)] == [""]


def test_held_call_does_not_time_out_for_want_of_media() -> None:
    desk = Desk(CallOption(), kind="sip")
    desk.report(reports.LegHeld("party", held=True), reports.MediaSilent("party", 3.0))
    desk.wait(60.0)
    assert desk.told(events.Hold)[0].on_hold
    assert not desk.told(events.HungUp)
    desk.report(reports.LegHeld("party", held=False), reports.MediaSilent("party", 3.0))
    desk.wait(60.0)
    assert desk.told(events.HungUp)[0].reason == "media_timeout"


def test_texts_go_both_ways() -> None:
    desk = Desk(CallOption(), kind="sip")
    desk.command(c.SendMessage(body="hi", request_id="r"))
    assert desk.did(effects.SendLegMessage)[0].body == "hi"
    desk.report(reports.TextReceived("party", "ho", "text/plain"))
    assert desk.told(events.MessageReceived)[0].body == "ho"


def test_hangup_gives_its_headers_to_the_far_end() -> None:
    desk = Desk(CallOption(), kind="sip")
    desk.command(c.Hangup(headers={"X-Why": "done"}))
    assert desk.did(effects.CloseLeg)[0].headers == {"X-Why": "done"}
