"""Transfers on a call that an application decides about."""

import pytest

from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import effects, events, reports
from softswitch.call.vocabulary.commands import AsrOption, CallOption
from softswitch.call.vocabulary.rejection import CommandRejected, Reason
from softswitch.call.vocabulary.values import SECOND_PARTY, party_of
from tests.call.harness import Harness


def asked(option: CallOption | None = None) -> Harness:
    harness = Harness(option or CallOption(caller="alice"), kind="sip")
    harness.report(reports.TransferRequested("party", "sip:bob@x", "sip:alice@x"))
    return harness


def test_transfer_is_told_and_refused_when_nobody_decides() -> None:
    harness = asked()
    (event,) = harness.emitted(events.TransferRequest)
    assert (event.refer_to, event.referred_by, event.subject) == (
        "sip:bob@x",
        "sip:alice@x",
        party_of("s1"),
    )
    assert harness.effects_of(effects.AcceptTransfer)
    harness.wait(10.1)
    assert harness.effects_of(effects.TellTransfer) == [effects.TellTransfer("party", 603, "Decline")]
    assert not harness.emitted(events.HungUp)


def test_transfer_is_carried_out_by_refer_and_the_new_party_is_listened_to() -> None:
    harness = asked(CallOption(caller="alice", asr=AsrOption()))
    harness.command(c.Refer(callee="sip:bob@x"))
    assert harness.effects_of(effects.OpenLeg)[-1].callee == "sip:bob@x"
    harness.report(reports.LegRinging("transfer-1"), reports.LegAnswered("transfer-1"))
    assert [tell.code for tell in harness.effects_of(effects.TellTransfer)] == [180, 200]
    assert harness.effects_of(effects.CloseLeg) == [effects.CloseLeg("party", "transferred")]
    assert harness.effects_of(effects.Transcribe)[-1].leg == "transfer-1"
    harness.report(reports.DigitReceived("transfer-1", 100.0, "5"))
    assert harness.emitted(events.Dtmf)[0].subject == party_of("s1")
    harness.command(c.SendDtmf(digits="1"))
    assert harness.effects_of(effects.SendLegDigits)[0].leg == "transfer-1"
    harness.report(reports.LegEnded("party"))
    assert not harness.emitted(events.HungUp), "who was replaced hangs up"
    harness.report(reports.LegEnded("transfer-1"))
    assert harness.emitted(events.HungUp)


@pytest.mark.parametrize(("from_peer", "phrase"), [(True, "Gone Fishing"), (False, "")])
def test_peer_learns_the_phrase_of_the_new_party_but_no_error_text(from_peer: bool, phrase: str) -> None:
    harness = asked()
    harness.command(c.Refer(callee="sip:bob@x"))
    harness.report(reports.LegRejected("transfer-1", 403, "Gone Fishing", from_peer=from_peer))
    assert harness.effects_of(effects.TellTransfer)[-1] == effects.TellTransfer("party", 403, phrase)


def test_transfer_is_done_when_the_application_bridges_instead() -> None:
    harness = asked()
    harness.command(c.Bridge(other="s2"))
    harness.report(reports.Bridged("s2"))
    assert harness.effects_of(effects.TellTransfer) == [effects.TellTransfer("party", 200, "OK")]


def test_transfer_before_the_answer_is_refused() -> None:
    harness = Harness(kind="sip")
    harness.command(c.Invite(option=CallOption(callee="x")))
    harness.report(reports.TransferRequested("party", "sip:bob@x", ""))
    assert harness.effects_of(effects.TellTransfer)[0].code == 480
    assert not harness.emitted(events.TransferRequest)


def test_refer_of_the_second_party_names_it() -> None:
    harness = Harness(CallOption(), kind="sip")
    harness.command(c.Refer(callee="agent"))
    harness.report(reports.LegAnswered("second"))
    harness.report(reports.TransferRequested("second", "sip:bob@x", ""))
    assert harness.emitted(events.TransferRequest)[0].subject == SECOND_PARTY
    harness.command(c.Refer(callee="bob"))
    harness.report(reports.LegAnswered("transfer-1"), reports.LegEnded("second"))
    assert not harness.emitted(events.HungUp)
    harness.report(reports.LegEnded("transfer-1"))
    assert harness.emitted(events.HungUp)[0].initiator == "callee"


def test_our_refer_is_followed_to_its_end() -> None:
    harness = Harness(CallOption(), kind="sip")
    harness.command(c.Refer(callee="sip:bob@x", method="refer", headers={"X-A": "1"}))
    assert harness.effects_of(effects.ReferLeg) == [effects.ReferLeg("party", "sip:bob@x", {"X-A": "1"})]
    with pytest.raises(CommandRejected, match=Reason.TRANSFER_UNDER_WAY):
        harness.command(c.Refer(callee="x", method="refer"))
    harness.report(reports.LegReferred("party", 100, "Trying", final=False))
    harness.report(reports.LegReferred("party", 180, "Ringing", final=False))
    harness.report(reports.LegReferred("party", 200, "OK", final=True))
    assert harness.emitted(events.Ringing)[0].subject == SECOND_PARTY
    assert harness.emitted(events.Answer)[-1].refer
    assert harness.emitted(events.HungUp)[0].reason == "autohangup"


@pytest.mark.parametrize("auto_hangup", [True, False])
def test_our_refer_that_fails_leaves_the_call(auto_hangup: bool) -> None:
    harness = Harness(CallOption(), kind="sip")
    harness.command(c.Refer(callee="sip:bob@x", method="refer", auto_hangup=auto_hangup))
    harness.report(reports.LegReferred("party", 603, "Decline", final=True))
    assert harness.emitted(events.Rejected)[0].code == 603
    assert not harness.emitted(events.HungUp)


def test_our_refer_that_is_never_answered_is_given_up() -> None:
    harness = Harness(CallOption(), kind="sip")
    harness.command(c.Refer(callee="sip:bob@x", method="refer"))
    harness.wait(121.0)
    assert harness.emitted(events.Rejected)[0].code == 408
    assert not harness.emitted(events.HungUp)


def test_second_party_is_recognised_where_the_command_wants_it() -> None:
    harness = Harness(CallOption(), kind="sip")
    harness.command(c.Refer(callee="agent", asr=AsrOption(), denoise=True))
    harness.report(reports.LegAnswered("second"))
    assert [effect.leg for effect in harness.effects_of(effects.Transcribe)] == ["second"]
    assert [effect.leg for effect in harness.effects_of(effects.SetDenoise)] == ["second"]
    harness.report(reports.SpeechStopped("second", 100.0, 1.0, 2.0))
    assert harness.effects_of(effects.FinalizeUtterance)[0].leg == "second"
    harness.report(reports.Transcribed("second", 1, "hello", 1.0, 2.0, final=True))
    assert harness.emitted(events.AsrFinal)[0].subject == SECOND_PARTY


def test_second_party_speaks_what_the_first_one_does() -> None:
    harness = Harness(kind="sip")
    harness.command(c.Invite(option=CallOption(callee="x")))
    harness.report(reports.LegAnswered("party", codec="g722"))
    harness.command(c.Refer(callee="agent"))
    assert harness.effects_of(effects.OpenLeg)[-1].option.codec == "g722"


def test_keys_cross_a_bridge() -> None:
    harness = Harness(CallOption(), kind="sip")
    harness.report(reports.Bridged("s2"))
    harness.report(
        reports.DigitReceived("party", 100.0, "1"), reports.DigitReceived("party", 100.0, "2", crossed=True)
    )
    assert harness.effects_of(effects.PassDigits) == [effects.PassDigits("s2", "1")]
    harness.report(reports.DigitsPassed("7"))
    assert harness.effects_of(effects.SendLegDigits) == [effects.SendLegDigits("party", "7")]
