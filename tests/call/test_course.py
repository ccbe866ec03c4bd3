"""How a call begins, is answered and ends."""

import pytest

from softswitch.call.state import TRANSITIONS, Input, State
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import effects, events, reports
from softswitch.call.vocabulary.commands import CallOption
from softswitch.call.vocabulary.values import machine_on, party_of
from tests.call.harness import Harness


def test_invite_opens_the_leg_and_answers_in_order() -> None:
    harness = Harness(CallOption(caller="a", callee="b"))
    assert harness.effects_of(effects.OpenLeg)[0].leg == "party"
    assert harness.names()[:2] == ["Answer", "TrackStart"]
    assert harness.emitted(events.TrackStart)[0].subject == party_of("s1")


def test_hangup_tells_track_end_then_hangup_exactly_once() -> None:
    harness = Harness(CallOption(caller="a", callee="b"))
    harness.now += 2.5
    harness.command(c.Hangup(reason="done", initiator="user"))
    harness.report(reports.LegEnded("party"))
    assert harness.names()[-2:] == ["TrackEnd", "HungUp"]
    over = harness.emitted(events.HungUp)
    assert [(o.reason, o.initiator, o.caller, o.callee) for o in over] == [("done", "user", "a", "b")]
    assert harness.emitted(events.TrackEnd)[0].duration == 2500
    assert isinstance(harness.effects[-1], effects.CloseCall)


def test_hangup_of_a_playing_call_ends_its_tracks_first() -> None:
    harness = Harness(CallOption())
    harness.command(c.Say(text="hello", play_id="p"))
    harness.report(reports.SourceFed(1), reports.TrackStarted(1, 100.0))
    harness.now += 1
    harness.command(c.Hangup())
    ends = harness.emitted(events.TrackEnd)
    assert [(end.subject, end.play_id) for end in ends] == [(machine_on(""), "p"), (party_of("s1"), None)]
    assert ends[0].duration == 1000


def test_speech_warning_before_the_answer_is_told_after_it() -> None:
    harness = Harness()
    harness.command(c.Invite())
    harness.report(reports.SpeechWarned("tts", "unknown provider 'tencent'", 404))
    assert harness.names() == []
    harness.report(reports.LegAnswered("party"))
    assert harness.names() == ["Answer", "TrackStart", "MediaReady", "Error"]


def test_tones_are_listened_for_from_early_media_to_the_answer() -> None:
    harness = Harness(kind="sip")
    harness.command(c.Invite(CallOption(tones=True)))
    harness.report(reports.LegRinging("party"))
    assert not harness.effects_of(effects.DetectTones)
    harness.report(reports.LegRinging("party", early_media=True))
    harness.report(reports.ToneHeard("party", "ringback", (440, 480), harness.now))
    (tone,) = harness.emitted(events.ToneHeard)
    assert (tone.tone, tone.frequencies) == ("ringback", (440, 480))
    harness.report(reports.LegAnswered("party"))
    assert [effect.on for effect in harness.effects_of(effects.DetectTones)] == [True, False]


def test_failed_leg_tells_error_and_hangup() -> None:
    harness = Harness()
    harness.command(c.Invite())
    harness.report(reports.LegFailed("party", "invite", "option.codec: 'x' is not one", 400))
    assert harness.names() == ["Error", "HungUp"]
    assert harness.emitted(events.Error)[0].sender == "invite"
    assert harness.emitted(events.HungUp)[0].reason == "error"


@pytest.mark.parametrize(("code", "reason"), [(486, "busy"), (603, "rejected")])
def test_rejected_leg_tells_reject_and_hangup(code: int, reason: str) -> None:
    harness = Harness(kind="sip")
    harness.command(c.Invite())
    harness.report(reports.LegRinging("party", early_media=True), reports.LegRejected("party", code, "no"))
    assert harness.names() == ["Ringing", "Rejected", "HungUp"]
    assert harness.emitted(events.HungUp)[0].reason == reason


def test_options_start_what_they_ask_for() -> None:
    option = CallOption(
        asr=c.AsrOption(),
        denoise=True,
        agc=True,
        aec=True,
        recorder=c.RecorderOption(),
        media_pass=c.MediaPassOption("ws://x"),
        ambiance=c.AmbianceOption("bed.wav", duck_level=0.2, normal_level=0.4),
        subscribe=True,
    )
    harness = Harness(option)
    kinds = {type(effect) for effect in harness.effects}
    assert kinds >= {
        effects.DetectSpeech, effects.SetInbandDtmf, effects.Transcribe, effects.SetDenoise, effects.Record,
        effects.SetEchoControl, effects.SetGainControl, effects.PassMedia, effects.ShareAudio,
        effects.OpenPlayback, effects.PlayUrl,
    }  # fmt: skip
    assert harness.effects_of(effects.OpenPlayback)[0].duck_to == 0.2


def test_tones_are_not_listened_for_where_rfc4733_is_known() -> None:
    assert not Harness(CallOption(), kind="webrtc").effects_of(effects.SetInbandDtmf)
    assert Harness(CallOption(inband_dtmf=True), kind="webrtc").effects_of(effects.SetInbandDtmf)
    assert not Harness(CallOption(inband_dtmf=False)).effects_of(effects.SetInbandDtmf)


def test_wall_time_comes_from_the_offset_alone() -> None:
    harness = Harness(CallOption())
    assert harness.emitted(events.Answer)[0].timestamp == 1_700_000_100.0


def test_pending_call_is_rejected_by_the_application() -> None:
    harness = Harness(kind="sip")
    harness.call.incoming("a", "b", "v=0", {}, harness.now)
    harness.command(c.Reject(code=603, reason="no"))
    assert harness.effects_of(effects.RejectLeg)[0].code == 603
    assert harness.names() == ["Incoming", "HungUp"]


def test_every_state_can_end_but_over() -> None:
    for state in State:
        assert ((state, Input.END) in TRANSITIONS) == (state is not State.OVER)


def test_faults_of_the_option_are_told_in_one_error_after_the_answer() -> None:
    harness = Harness(CallOption(faults=("option.a: wrong", "option.b: wrong")))
    assert harness.names() == ["Answer", "TrackStart", "MediaReady", "Error"]
    rejected = harness.emitted(events.Error)[0]
    assert (rejected.sender, rejected.error) == ("invite", "option.a: wrong; option.b: wrong")
