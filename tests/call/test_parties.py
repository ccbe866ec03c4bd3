"""The second leg and the bridge."""

import pytest

from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import effects, events, reports
from softswitch.call.vocabulary.commands import CallOption
from softswitch.call.vocabulary.rejection import CommandRejected, Reason
from softswitch.call.vocabulary.values import SECOND_PARTY
from tests.call.harness import Harness


@pytest.mark.parametrize(
    ("callee", "dialled"), [("echo", True), ("tone", True), ("0987654321", False), ("", False)]
)
def test_callee_is_dialled_where_the_switch_knows_it(callee: str, dialled: bool) -> None:
    legs = [leg.callee for leg in Harness(CallOption(callee=callee)).effects_of(effects.OpenLeg)]
    assert legs == (["", callee] if dialled else [""])


def test_refer_plays_music_until_the_second_party_answers() -> None:
    harness = Harness(CallOption())
    harness.command(c.Refer(callee="echo", moh="http://x/moh.wav"))
    assert harness.effects_of(effects.PlayUrl)[0].loop
    harness.report(reports.LegRinging("second"), reports.LegAnswered("second"))
    assert harness.effects_of(effects.DropTrack)[0].track == 1
    assert harness.emitted(events.Answer)[-1].refer is True
    harness.report(reports.LegEnded("second"))
    assert harness.emitted(events.HungUp)[0].initiator == "callee"


def test_refer_without_auto_hangup_leaves_the_caller() -> None:
    harness = Harness(CallOption())
    harness.command(c.Refer(callee="echo", auto_hangup=False))
    harness.report(reports.LegAnswered("second"), reports.LegEnded("second"))
    assert not harness.emitted(events.HungUp)


def test_second_party_of_a_transfer_is_told_apart_from_the_party() -> None:
    harness = Harness(CallOption())
    harness.command(c.Refer(callee="echo"))
    harness.report(reports.LegRinging("second"), reports.LegRejected("second", 486, "Busy Here"))
    assert harness.emitted(events.Ringing)[-1].refer is True
    assert harness.emitted(events.Rejected)[-1].refer is True
    called = Harness(kind="sip")
    called.command(c.Invite(option=CallOption(callee="bob")))
    called.report(reports.LegRinging("party"), reports.LegRejected("party", 486, "Busy Here"))
    assert called.emitted(events.Ringing)[-1].refer is None
    assert called.emitted(events.Rejected)[-1].refer is None


def test_redirection_that_was_not_followed_tells_its_targets() -> None:
    harness = Harness(CallOption())
    harness.command(c.Refer(callee="bob"))
    targets = ("sip:a@192.0.2.1",)
    harness.report(reports.LegRejected("second", 302, "Moved", from_peer=True, redirect_to=targets))
    assert harness.emitted(events.Rejected)[-1].redirect_to == targets
    called = Harness(kind="sip")
    called.command(c.Invite(option=CallOption(callee="bob")))
    called.report(reports.LegRejected("party", 302, "Moved", from_peer=True, redirect_to=targets))
    assert called.emitted(events.Rejected)[-1].redirect_to == targets


@pytest.mark.parametrize("auto_hangup", [True, False])
def test_hangup_with_refer_ends_the_second_party_alone(auto_hangup: bool) -> None:
    harness = Harness(CallOption())
    with pytest.raises(CommandRejected, match=Reason.NO_SECOND_PARTY):
        harness.command(c.Hangup(refer=True))
    harness.command(c.Refer(callee="echo", auto_hangup=auto_hangup))
    harness.command(c.Hangup(refer=True, reason="enough"))
    assert harness.emitted(events.Rejected)[-1].code == 487
    harness.command(c.Refer(callee="echo", auto_hangup=auto_hangup))
    harness.report(reports.LegAnswered("second"))
    harness.wait(2.0)
    harness.command(c.Hangup(refer=True))
    ended = harness.emitted(events.TrackEnd)[-1]
    assert (ended.subject, ended.duration) == (SECOND_PARTY, 2000)
    harness.report(reports.LegEnded("second"))
    assert [effect.leg for effect in harness.effects_of(effects.CloseLeg)] == ["second", "second"]
    assert not harness.emitted(events.HungUp)
    harness.command(c.Refer(callee="tone"))


def test_both_sides_of_a_bridge_are_told_of_it() -> None:
    harness = Harness(CallOption())
    harness.report(reports.Bridged("s2"), reports.Unbridged("s2"))
    assert [event.other for event in harness.emitted(events.Bridged)] == ["s2"]
    assert [event.other for event in harness.emitted(events.Unbridged)] == ["s2"]


def test_refer_that_nobody_answers_is_told_and_the_call_lives() -> None:
    harness = Harness(CallOption())
    harness.command(c.Refer(callee="echo", timeout_s=5))
    harness.wait(5.1)
    assert (harness.emitted(events.Rejected)[0].code, harness.effects_of(effects.CloseLeg)[0].leg) == (
        408,
        "second",
    )
    harness.command(c.Refer(callee="echo"))


def test_refer_twice_is_rejected() -> None:
    harness = Harness(CallOption())
    harness.command(c.Refer(callee="echo"))
    with pytest.raises(CommandRejected, match=Reason.SECOND_PARTY_PRESENT):
        harness.command(c.Refer(callee="tone"))


def test_bridge_joins_and_hangup_parts() -> None:
    harness = Harness(CallOption())
    harness.command(c.Bridge(other="s2"))
    assert harness.effects_of(effects.JoinCalls)[0].other == "s2"
    harness.report(reports.Bridged("s2"))
    with pytest.raises(CommandRejected, match=Reason.ALREADY_BRIDGED):
        harness.command(c.Bridge(other="s3"))
    harness.command(c.Hangup())
    assert harness.effects_of(effects.PartCalls)[0].other == "s2"


def test_unbridge_without_a_bridge_does_nothing() -> None:
    harness = Harness(CallOption())
    harness.command(c.Unbridge())
    assert not harness.effects_of(effects.PartCalls)
    with pytest.raises(CommandRejected, match=Reason.BRIDGE_WITH_ITSELF):
        harness.command(c.Bridge(other="s1"))


def connected() -> Harness:
    """Return a call that a rule connected."""
    harness = Harness(kind="sip")
    harness.call.incoming("alice", "100", "v=0", {}, harness.now)
    harness.command(c.Connect(callee="bob"))
    harness.report(reports.LegAnswered("second"), reports.LegAnswered("party"))
    return harness


def test_callee_that_says_nothing_ends_a_connected_call() -> None:
    harness = connected()
    harness.wait(100.0)
    harness.report(reports.MediaSilent("second", 100.0, 3.0))
    assert harness.emitted(events.Media)[0].subject == SECOND_PARTY
    harness.wait(11.0)
    assert not harness.emitted(events.HungUp)
    harness.wait(2.0)
    assert harness.emitted(events.HungUp)[0].reason == "media_timeout"


def test_callee_on_hold_is_waited_for() -> None:
    harness = connected()
    harness.report(reports.LegHeld("second", held=True), reports.MediaSilent("second", 100.0, 3.0))
    harness.wait(100.0)
    harness.report(reports.LegHeld("second", held=False), reports.MediaSilent("second", 100.0, 3.0))
    harness.report(reports.MediaResumed("second", 100.0, 4.0))
    harness.wait(100.0)
    assert not harness.emitted(events.HungUp)


def test_silent_second_party_leaves_a_caller_who_was_to_stay() -> None:
    harness = Harness(CallOption(), kind="sip")
    harness.command(c.Refer(callee="agent", auto_hangup=False))
    harness.report(reports.LegAnswered("second"), reports.MediaSilent("second", 100.0, 3.0))
    harness.wait(30.0)
    assert effects.CloseLeg("second", "media_timeout") in harness.effects
    assert not harness.emitted(events.HungUp)


def test_transfer_is_recorded_and_its_answer_detected() -> None:
    harness = Harness(CallOption())
    record, detect = c.RecorderOption(transcribe=True), c.AmdOption(beep_s=1.0)
    harness.command(c.Refer(callee="sip:bob@x", recorder=record, amd=detect))
    assert harness.effects_of(effects.Record) == []
    harness.report(reports.LegAnswered("second"))
    assert harness.effects_of(effects.Record) == [effects.Record("party", record)]
    assert harness.effects_of(effects.DetectAnswer) == [effects.DetectAnswer("second", detect)]
