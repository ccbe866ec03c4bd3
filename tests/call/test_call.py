"""The life of one call."""

from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.call.state import TRANSITIONS, Input, State
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import effects, events, reports
from softswitch.call.vocabulary.commands import CallOption
from softswitch.call.vocabulary.rejection import CommandRejected, Reason
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


def test_command_after_the_end_is_rejected() -> None:
    harness = Harness(CallOption())
    harness.command(c.Hangup())
    with pytest.raises(CommandRejected, match=Reason.CALL_OVER):
        harness.command(c.Say(text="x"))


def test_commands_before_the_answer_wait_for_it() -> None:
    harness = Harness()
    harness.command(c.Invite())
    harness.command(c.Say(text="hi", request_id="r1"))
    assert not harness.effects_of(effects.SpeakText)
    harness.report(reports.LegAnswered("party"))
    assert harness.effects_of(effects.SpeakText)[0].text == "hi"
    assert harness.names() == ["Answer", "TrackStart", "MediaReady", "Ack"]


def test_second_invite_is_rejected_and_the_call_lives() -> None:
    harness = Harness(CallOption())
    with pytest.raises(CommandRejected, match=Reason.ALREADY_UP):
        harness.command(c.Invite())
    assert harness.call.state is State.UP


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


def test_no_answer_ends_the_call_after_the_setup_time() -> None:
    harness = Harness(setup_s=5)
    harness.command(c.Invite())
    harness.wait(4.9)
    assert harness.call.state is State.SETUP
    harness.wait(0.2)
    assert harness.emitted(events.HungUp)[0].reason == "no_answer"


def test_handshake_timeout_of_the_option_wins() -> None:
    harness = Harness(setup_s=30)
    harness.command(c.Invite(option=CallOption(handshake_s=2)))
    harness.wait(2.1)
    assert harness.call.state is State.OVER


def test_max_duration_ends_the_call() -> None:
    harness = Harness(CallOption(), max_duration_s=60)
    harness.wait(61)
    assert harness.emitted(events.HungUp)[0].reason == "max_duration"


def test_inactivity_ends_the_call_but_not_while_the_machine_speaks() -> None:
    harness = Harness(CallOption(inactivity_s=10))
    harness.wait(8)
    harness.command(c.Say(text="long"))
    harness.report(reports.SourceFed(1), reports.TrackStarted(1, 100.0))
    harness.wait(60)
    assert harness.call.state is State.UP
    harness.report(
        reports.SourceDone(1, 1), reports.TrackDrained(1, 100.0), reports.TrackEnded(1, 100.0, 60000)
    )
    harness.wait(9.9)
    assert harness.call.state is State.UP
    harness.wait(0.2)
    assert harness.emitted(events.HungUp)[0].reason == "inactivity"


def test_media_silence_is_told_and_ends_the_call_in_time() -> None:
    harness = Harness(CallOption(), kind="webrtc", media_start_s=30, media_s=15)
    harness.wait(100)
    harness.report(reports.MediaSilent("party", 100.0, 3.0))
    harness.wait(5)
    harness.report(reports.MediaResumed("party", 100.0, 8.0))
    harness.wait(100)
    assert [media.state for media in harness.emitted(events.Media)] == ["none", "resumed"]
    harness.report(reports.MediaSilent("party", 100.0, 3.0))
    harness.wait(11.9)
    assert harness.call.state is State.UP
    harness.wait(0.2)
    assert harness.emitted(events.HungUp)[0].reason == "media_timeout"


def test_request_id_is_acknowledged() -> None:
    harness = Harness(CallOption())
    harness.command(c.AddHistory(speaker="bot", text="hello", request_id="7"))
    assert harness.names()[-2:] == ["HistoryAdded", "Ack"]
    assert harness.emitted(events.Ack)[0].request_id == "7"


def test_mute_without_a_track_silences_both_sides() -> None:
    harness = Harness(CallOption())
    harness.command(c.Play(url="http://x/y", gain=0.5))
    harness.command(c.Mute(muted=True))
    harness.command(c.Mute(muted=False))
    assert [m.muted for m in harness.effects_of(effects.SetMuted)] == [True, False]
    assert [g.gain for g in harness.effects_of(effects.SetTrack)] == [0.0, 0.5]
    with pytest.raises(CommandRejected, match=Reason.UNKNOWN_SUBJECT):
        harness.command(c.Mute(muted=True, subject=party_of("other")))


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


_COMMANDS = st.sampled_from(
    [
        c.Invite(), c.Hangup(), c.Say(text="a", play_id="1"), c.Say(text="b", streaming=True),
        c.Say(end_of_stream=True),
        c.Play(url="http://x"), c.Interrupt(), c.Pause(), c.Resume(), c.PlaceMark(name="m"), c.Collect(),
        c.Mute(muted=True), c.Bridge(other="z"), c.Unbridge(), c.Refer(callee="echo"), c.SendDtmf(digits="1"),
    ]
)  # fmt: skip
_REPORTS = st.sampled_from(
    [
        reports.LegAnswered("party"), reports.LegEnded("party"), reports.TrackStarted(1, 100.0),
        reports.TrackDrained(1, 100.0),
        reports.TrackEnded(1, 100.0, 5), reports.TrackDropped(2, 100.0, 1, 2), reports.SourceDone(1, 1),
        reports.SourceFailed(1, 1, "tts", "x"), reports.SpeechStarted("party", 100.0, 99.0),
        reports.SpeechStopped("party", 100.0, 99.0, 99.5), reports.DigitReceived("party", 100.0, "5"),
        reports.LegAnswered("second"), reports.LegRejected("second", 486, "busy"), reports.Bridged("z"),
        reports.Unbridged("z"), reports.MediaSilent("party", 100.0, 3.0), reports.MarkReached(1, 100.0, "m"),
        reports.Transcribed("party", 0, "hi", 99.0, 99.2, final=True),
    ]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(_COMMANDS, _REPORTS, st.floats(0, 40)), max_size=30))
def test_call_survives_any_order_and_hangs_up_at_most_once(steps: list[object]) -> None:
    harness = Harness()
    for step in steps:
        match step:
            case c.CommandBase():
                try:
                    harness.command(cast("c.Command", step))
                except CommandRejected as rejected:
                    assert rejected.rejection.reason  # noqa: PT017  (either outcome will do)
            case reports.ReportBase() | reports.PortReport() | reports.TrackReport():
                harness.report(cast("reports.Report", step))
            case float():
                harness.wait(step)
    harness.call.end("killed", "system", harness.now)
    harness._drain()
    assert len(harness.emitted(events.HungUp)) == 1
    assert isinstance(harness.events[-1], events.HungUp)
    assert len(harness.effects_of(effects.CloseCall)) == 1
    assert harness.call.deadline() is None


def test_inactivity_is_told_before_the_hangup() -> None:
    harness = Harness(CallOption(inactivity_s=5.0))
    harness.wait(6.0)
    assert harness.names()[-3:] == ["Inactivity", "TrackEnd", "HungUp"]
    assert harness.emitted(events.HungUp)[0].reason == "inactivity"


def test_first_audio_of_an_rtp_leg_makes_the_media_ready() -> None:
    harness = Harness(CallOption(), kind="webrtc")
    assert not harness.emitted(events.MediaReady)
    harness.report(reports.MediaResumed("party", 100.0, 0.0), reports.MediaResumed("party", 100.0, 4.0))
    assert harness.emitted(events.MediaReady)[0].subject == party_of("s1")
    assert [event.state for event in harness.emitted(events.Media)] == ["resumed"]


def test_faults_of_the_option_are_told_in_one_error_after_the_answer() -> None:
    harness = Harness(CallOption(faults=("option.a: wrong", "option.b: wrong")))
    assert harness.names() == ["Answer", "TrackStart", "MediaReady", "Error"]
    rejected = harness.emitted(events.Error)[0]
    assert (rejected.sender, rejected.error) == ("invite", "option.a: wrong; option.b: wrong")
