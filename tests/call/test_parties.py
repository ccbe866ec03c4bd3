"""The second leg and the bridge."""

import pytest

from softswitch.call import commands as c
from softswitch.call import effects, events, reports
from softswitch.call.commands import CallOption, CommandRejected
from tests.call.desk import Desk


@pytest.mark.parametrize(
    ("callee", "dialled"), [("echo", True), ("tone", True), ("0987654321", False), ("", False)]
)
def test_callee_is_dialled_where_the_switch_knows_it(callee: str, dialled: bool) -> None:
    legs = [leg.callee for leg in Desk(CallOption(callee=callee)).did(effects.OpenLeg)]
    assert legs == (["", callee] if dialled else [""])


def test_refer_plays_music_until_the_second_party_answers() -> None:
    desk = Desk(CallOption())
    desk.command(c.Refer(callee="echo", moh="http://x/moh.wav"))
    assert desk.did(effects.PlayUrl)[0].loop
    desk.report(reports.LegRinging("second"), reports.LegAnswered("second"))
    assert desk.did(effects.DropPlayback)[0].track == 1
    assert desk.told(events.Answer)[-1].refer is True
    desk.report(reports.LegEnded("second"))
    assert desk.told(events.HungUp)[0].initiator == "callee"


def test_refer_without_auto_hangup_leaves_the_caller() -> None:
    desk = Desk(CallOption())
    desk.command(c.Refer(callee="echo", auto_hangup=False))
    desk.report(reports.LegAnswered("second"), reports.LegEnded("second"))
    assert not desk.told(events.HungUp)


def test_refer_that_nobody_answers_is_told_and_the_call_lives() -> None:
    desk = Desk(CallOption())
    desk.command(c.Refer(callee="echo", timeout_s=5))
    desk.wait(5.1)
    assert (desk.told(events.Rejected)[0].code, desk.did(effects.CloseLeg)[0].leg) == (408, "second")
    desk.command(c.Refer(callee="echo"))


def test_refer_twice_is_rejected() -> None:
    desk = Desk(CallOption())
    desk.command(c.Refer(callee="echo"))
    with pytest.raises(CommandRejected, match="second party"):
        desk.command(c.Refer(callee="tone"))


def test_bridge_joins_and_hangup_parts() -> None:
    desk = Desk(CallOption())
    desk.command(c.Bridge(other="s2"))
    assert desk.did(effects.JoinCalls)[0].other == "s2"
    desk.report(reports.Bridged("s2"))
    with pytest.raises(CommandRejected, match="already"):
        desk.command(c.Bridge(other="s3"))
    desk.command(c.Hangup())
    assert desk.did(effects.PartCalls)[0].other == "s2"


def test_unbridge_without_a_bridge_does_nothing() -> None:
    desk = Desk(CallOption())
    desk.command(c.Unbridge())
    assert not desk.did(effects.PartCalls)
    with pytest.raises(CommandRejected, match="itself"):
        desk.command(c.Bridge(other="s1"))


def connected() -> Desk:
    """Return a call that a rule connected."""
    desk = Desk(kind="sip")
    desk.call.incoming("alice", "100", "v=0", {}, desk.now)
    desk.command(c.Connect(callee="bob"))
    desk.report(reports.LegAnswered("second"), reports.LegAnswered("party"))
    return desk


def test_callee_that_says_nothing_ends_a_connected_call() -> None:
    desk = connected()
    desk.wait(100.0)
    desk.report(reports.MediaSilent("second", 3.0))
    assert desk.told(events.Media)[0].track_id == "second"
    desk.wait(11.0)
    assert not desk.told(events.HungUp)
    desk.wait(2.0)
    assert desk.told(events.HungUp)[0].reason == "media_timeout"


def test_callee_on_hold_is_waited_for() -> None:
    desk = connected()
    desk.report(reports.LegHeld("second", held=True), reports.MediaSilent("second", 3.0))
    desk.wait(100.0)
    desk.report(reports.LegHeld("second", held=False), reports.MediaSilent("second", 3.0))
    desk.report(reports.MediaResumed("second", 4.0))
    desk.wait(100.0)
    assert not desk.told(events.HungUp)


def test_silent_second_party_leaves_a_caller_who_was_to_stay() -> None:
    desk = Desk(CallOption(), kind="sip")
    desk.command(c.Refer(callee="agent", auto_hangup=False))
    desk.report(reports.LegAnswered("second"), reports.MediaSilent("second", 3.0))
    desk.wait(30.0)
    assert effects.CloseLeg("second", "media_timeout") in desk.effects
    assert not desk.told(events.HungUp)
