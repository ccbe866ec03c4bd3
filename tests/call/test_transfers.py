"""Transfers on a call that an application decides about."""

import pytest

from softswitch.call import commands as c
from softswitch.call import effects, events, reports
from softswitch.call.commands import AsrOption, CallOption, CommandRejected
from tests.call.desk import Desk


def asked(option: CallOption | None = None) -> Desk:
    desk = Desk(option or CallOption(caller="alice"), kind="sip")
    desk.report(reports.TransferRequested("party", "sip:bob@x", "sip:alice@x"))
    return desk


def test_transfer_is_told_and_refused_when_nobody_decides() -> None:
    desk = asked()
    (event,) = desk.told(events.TransferRequest)
    assert (event.refer_to, event.referred_by, event.track_id) == ("sip:bob@x", "sip:alice@x", "s1")
    assert desk.did(effects.AcceptTransfer)
    desk.wait(10.1)
    assert desk.did(effects.TellTransfer) == [effects.TellTransfer("party", 603, "Decline")]
    assert not desk.told(events.HungUp)


def test_transfer_is_carried_out_by_refer_and_the_new_party_is_listened_to() -> None:
    desk = asked(CallOption(caller="alice", asr=AsrOption()))
    desk.command(c.Refer(callee="sip:bob@x"))
    assert desk.did(effects.OpenLeg)[-1].callee == "sip:bob@x"
    desk.report(reports.LegRinging("transfer-1"), reports.LegAnswered("transfer-1"))
    assert [tell.code for tell in desk.did(effects.TellTransfer)] == [180, 200]
    assert desk.did(effects.CloseLeg) == [effects.CloseLeg("party", "transferred")]
    assert desk.did(effects.Transcribe)[-1].leg == "transfer-1"
    desk.report(reports.DigitReceived("transfer-1", "5"))
    assert desk.told(events.Dtmf)[0].track_id == "s1"
    desk.command(c.SendDtmf(digits="1"))
    assert desk.did(effects.SendLegDigits)[0].leg == "transfer-1"
    desk.report(reports.LegEnded("party"))
    assert not desk.told(events.HungUp), "who was replaced hangs up"
    desk.report(reports.LegEnded("transfer-1"))
    assert desk.told(events.HungUp)


def test_transfer_is_done_when_the_application_bridges_instead() -> None:
    desk = asked()
    desk.command(c.Bridge(other="s2"))
    desk.report(reports.Bridged("s2"))
    assert desk.did(effects.TellTransfer) == [effects.TellTransfer("party", 200, "OK")]


def test_transfer_before_the_answer_is_refused() -> None:
    desk = Desk(kind="sip")
    desk.command(c.Invite(option=CallOption(callee="x")))
    desk.report(reports.TransferRequested("party", "sip:bob@x", ""))
    assert desk.did(effects.TellTransfer)[0].code == 480
    assert not desk.told(events.TransferRequest)


def test_refer_of_the_second_party_names_it() -> None:
    desk = Desk(CallOption(), kind="sip")
    desk.command(c.Refer(callee="agent"))
    desk.report(reports.LegAnswered("second"))
    desk.report(reports.TransferRequested("second", "sip:bob@x", ""))
    assert desk.told(events.TransferRequest)[0].track_id == "second"
    desk.command(c.Refer(callee="bob"))
    desk.report(reports.LegAnswered("transfer-1"), reports.LegEnded("second"))
    assert not desk.told(events.HungUp)
    desk.report(reports.LegEnded("transfer-1"))
    assert desk.told(events.HungUp)[0].initiator == "callee"


def test_our_refer_is_followed_to_its_end() -> None:
    desk = Desk(CallOption(), kind="sip")
    desk.command(c.Refer(callee="sip:bob@x", method="refer", headers={"X-A": "1"}))
    assert desk.did(effects.ReferLeg) == [effects.ReferLeg("party", "sip:bob@x", {"X-A": "1"})]
    with pytest.raises(CommandRejected, match="under way"):
        desk.command(c.Refer(callee="x", method="refer"))
    desk.report(reports.LegReferred("party", 100, "Trying", final=False))
    desk.report(reports.LegReferred("party", 180, "Ringing", final=False))
    desk.report(reports.LegReferred("party", 200, "OK", final=True))
    assert desk.told(events.Ringing)[0].track_id == "second"
    assert desk.told(events.Answer)[-1].refer
    assert desk.told(events.HungUp)[0].reason == "autohangup"


@pytest.mark.parametrize("auto_hangup", [True, False])
def test_our_refer_that_fails_leaves_the_call(auto_hangup: bool) -> None:
    desk = Desk(CallOption(), kind="sip")
    desk.command(c.Refer(callee="sip:bob@x", method="refer", auto_hangup=auto_hangup))
    desk.report(reports.LegReferred("party", 603, "Decline", final=True))
    assert desk.told(events.Rejected)[0].code == 603
    assert not desk.told(events.HungUp)


def test_our_refer_that_is_never_answered_is_given_up() -> None:
    desk = Desk(CallOption(), kind="sip")
    desk.command(c.Refer(callee="sip:bob@x", method="refer"))
    desk.wait(121.0)
    assert desk.told(events.Rejected)[0].code == 408
    assert not desk.told(events.HungUp)


def test_second_party_is_recognised_where_the_command_wants_it() -> None:
    desk = Desk(CallOption(), kind="sip")
    desk.command(c.Refer(callee="agent", asr=AsrOption(), denoise=True))
    desk.report(reports.LegAnswered("second"))
    assert [effect.leg for effect in desk.did(effects.Transcribe)] == ["second"]
    assert [effect.leg for effect in desk.did(effects.Denoise)] == ["second"]
    desk.report(reports.SpeechStopped("second", 1.0, 2.0))
    assert desk.did(effects.FinalizeUtterance)[0].leg == "second"
    desk.report(reports.Transcribed("second", 1, "hello", 1.0, 2.0, final=True))
    assert desk.told(events.AsrFinal)[0].track_id == "second"


def test_second_party_speaks_what_the_first_one_does() -> None:
    desk = Desk(kind="sip")
    desk.command(c.Invite(option=CallOption(callee="x")))
    desk.report(reports.LegAnswered("party", codec="g722"))
    desk.command(c.Refer(callee="agent"))
    assert desk.did(effects.OpenLeg)[-1].option.codec == "g722"


def test_keys_cross_a_bridge() -> None:
    desk = Desk(CallOption(), kind="sip")
    desk.report(reports.Bridged("s2"))
    desk.report(reports.DigitReceived("party", "1"), reports.DigitReceived("party", "2", crossed=True))
    assert desk.did(effects.PassDigits) == [effects.PassDigits("s2", "1")]
    desk.report(reports.DigitsPassed("7"))
    assert desk.did(effects.SendLegDigits) == [effects.SendLegDigits("party", "7")]
