"""The life of one call."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.call import commands as c
from softswitch.call import effects, events, reports
from softswitch.call.commands import CallOption, CommandRejected
from softswitch.call.state import TRANSITIONS, Input, State
from tests.call.desk import Desk


def test_invite_opens_the_leg_and_answers_in_order() -> None:
    desk = Desk(CallOption(caller="a", callee="b"))
    assert desk.did(effects.OpenLeg)[0].leg == "party"
    assert desk.names()[:2] == ["Answer", "TrackStart"]
    assert desk.told(events.TrackStart)[0].track_id == "s1"


def test_hangup_tells_track_end_then_hangup_exactly_once() -> None:
    desk = Desk(CallOption(caller="a", callee="b"))
    desk.now += 2.5
    desk.command(c.Hangup(reason="done", initiator="user"))
    desk.report(reports.LegEnded("party"))
    assert desk.names()[-2:] == ["TrackEnd", "HungUp"]
    over = desk.told(events.HungUp)
    assert [(o.reason, o.initiator, o.caller, o.callee) for o in over] == [("done", "user", "a", "b")]
    assert desk.told(events.TrackEnd)[0].duration == 2500
    assert isinstance(desk.effects[-1], effects.CloseCall)


def test_hangup_of_a_playing_call_ends_its_tracks_first() -> None:
    desk = Desk(CallOption())
    desk.command(c.Say(text="hello", play_id="p"))
    desk.report(reports.SourceFed(1), reports.PlaybackStarted(1))
    desk.now += 1
    desk.command(c.Hangup())
    ends = desk.told(events.TrackEnd)
    assert [(end.track_id, end.play_id) for end in ends] == [("server-side-track", "p"), ("s1", None)]
    assert ends[0].duration == 1000


def test_command_after_the_end_is_rejected() -> None:
    desk = Desk(CallOption())
    desk.command(c.Hangup())
    with pytest.raises(CommandRejected, match="over"):
        desk.command(c.Say(text="x"))


def test_commands_before_the_answer_wait_for_it() -> None:
    desk = Desk()
    desk.command(c.Invite())
    desk.command(c.Say(text="hi", request_id="r1"))
    assert not desk.did(effects.SpeakText)
    desk.report(reports.LegAnswered("party"))
    assert desk.did(effects.SpeakText)[0].text == "hi"
    assert desk.names() == ["Answer", "TrackStart", "Ack"]


def test_second_invite_is_rejected_and_the_call_lives() -> None:
    desk = Desk(CallOption())
    with pytest.raises(CommandRejected, match="already"):
        desk.command(c.Invite())
    assert desk.call.state is State.UP


def test_speech_warning_before_the_answer_is_told_after_it() -> None:
    desk = Desk()
    desk.command(c.Invite())
    desk.report(reports.SpeechWarned("tts", "unknown provider 'tencent'", 404))
    assert desk.names() == []
    desk.report(reports.LegAnswered("party"))
    assert desk.names() == ["Answer", "TrackStart", "Error"]


def test_failed_leg_tells_error_and_hangup() -> None:
    desk = Desk()
    desk.command(c.Invite())
    desk.report(reports.LegFailed("party", "invite", "option.codec: 'x' is not one", 400))
    assert desk.names() == ["Error", "HungUp"]
    assert desk.told(events.Error)[0].sender == "invite"
    assert desk.told(events.HungUp)[0].reason == "error"


@pytest.mark.parametrize(("code", "reason"), [(486, "busy"), (603, "rejected")])
def test_rejected_leg_tells_reject_and_hangup(code: int, reason: str) -> None:
    desk = Desk(kind="sip")
    desk.command(c.Invite())
    desk.report(reports.LegRinging("party", early_media=True), reports.LegRejected("party", code, "no"))
    assert desk.names() == ["Ringing", "Rejected", "HungUp"]
    assert desk.told(events.HungUp)[0].reason == reason


def test_no_answer_ends_the_call_after_the_setup_time() -> None:
    desk = Desk(setup_s=5)
    desk.command(c.Invite())
    desk.wait(4.9)
    assert desk.call.state is State.SETUP
    desk.wait(0.2)
    assert desk.told(events.HungUp)[0].reason == "no_answer"


def test_handshake_timeout_of_the_option_wins() -> None:
    desk = Desk(setup_s=30)
    desk.command(c.Invite(option=CallOption(handshake_s=2)))
    desk.wait(2.1)
    assert desk.call.state is State.OVER


def test_max_duration_ends_the_call() -> None:
    desk = Desk(CallOption(), max_duration_s=60)
    desk.wait(61)
    assert desk.told(events.HungUp)[0].reason == "max_duration"


def test_inactivity_ends_the_call_but_not_while_the_machine_speaks() -> None:
    desk = Desk(CallOption(inactivity_s=10))
    desk.wait(8)
    desk.command(c.Say(text="long"))
    desk.report(reports.SourceFed(1), reports.PlaybackStarted(1))
    desk.wait(60)
    assert desk.call.state is State.UP
    desk.report(reports.SourceDone(1, 1), reports.PlaybackDrained(1), reports.PlaybackEnded(1, 60000))
    desk.wait(9.9)
    assert desk.call.state is State.UP
    desk.wait(0.2)
    assert desk.told(events.HungUp)[0].reason == "inactivity"


def test_media_silence_is_told_and_ends_the_call_in_time() -> None:
    desk = Desk(CallOption(), kind="webrtc", media_start_s=30, media_s=15)
    desk.wait(100)
    desk.report(reports.MediaSilent("party", 3.0))
    desk.wait(5)
    desk.report(reports.MediaResumed("party", 8.0))
    desk.wait(100)
    assert [media.state for media in desk.told(events.Media)] == ["none", "resumed"]
    desk.report(reports.MediaSilent("party", 3.0))
    desk.wait(11.9)
    assert desk.call.state is State.UP
    desk.wait(0.2)
    assert desk.told(events.HungUp)[0].reason == "media_timeout"


def test_request_id_is_acknowledged() -> None:
    desk = Desk(CallOption())
    desk.command(c.AddHistory(speaker="bot", text="hello", request_id="7"))
    assert desk.names()[-2:] == ["HistoryAdded", "Ack"]
    assert desk.told(events.Ack)[0].request_id == "7"


def test_mute_without_a_track_silences_both_sides() -> None:
    desk = Desk(CallOption())
    desk.command(c.Play(url="http://x/y", gain=0.5))
    desk.command(c.Mute(muted=True))
    desk.command(c.Mute(muted=False))
    assert [m.muted for m in desk.did(effects.MuteLeg)] == [True, False]
    assert [g.gain for g in desk.did(effects.SetPlaybackGain)] == [0.0, 0.5]
    with pytest.raises(CommandRejected, match="no track"):
        desk.command(c.Mute(muted=True, track_id="other"))


def test_options_start_what_they_ask_for() -> None:
    option = CallOption(
        asr=c.AsrOption(),
        denoise=True,
        recorder=c.RecorderOption(),
        media_pass=c.MediaPassOption("ws://x"),
        ambiance=c.AmbianceOption("bed.wav", duck_level=0.2, normal_level=0.4),
        subscribe=True,
    )
    desk = Desk(option)
    kinds = {type(effect) for effect in desk.effects}
    assert kinds >= {
        effects.DetectSpeech, effects.DetectTones, effects.Transcribe, effects.Denoise, effects.Record,
        effects.PassMedia, effects.ShareAudio, effects.OpenPlayback, effects.PlayUrl,
    }  # fmt: skip
    assert desk.did(effects.OpenPlayback)[0].duck_to == 0.2


def test_tones_are_not_listened_for_where_rfc4733_is_known() -> None:
    assert not Desk(CallOption(), kind="webrtc").did(effects.DetectTones)
    assert Desk(CallOption(inband_dtmf=True), kind="webrtc").did(effects.DetectTones)
    assert not Desk(CallOption(inband_dtmf=False)).did(effects.DetectTones)


def test_wall_time_comes_from_the_offset_alone() -> None:
    desk = Desk(CallOption())
    assert desk.told(events.Answer)[0].timestamp == 1_700_000_100_000


def test_pending_call_is_rejected_by_the_application() -> None:
    desk = Desk(kind="sip")
    desk.call.incoming("a", "b", "v=0", {}, desk.now)
    desk.command(c.Reject(code=603, reason="no"))
    assert desk.did(effects.RejectLeg)[0].code == 603
    assert desk.names() == ["Incoming", "HungUp"]


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
        reports.LegAnswered("party"), reports.LegEnded("party"), reports.PlaybackStarted(1),
        reports.PlaybackDrained(1),
        reports.PlaybackEnded(1, 5), reports.PlaybackDropped(2, 1, 2), reports.SourceDone(1, 1),
        reports.SourceFailed(1, 1, "tts", "x"), reports.SpeechStarted("party", 99.0),
        reports.SpeechStopped("party", 99.0, 99.5), reports.DigitReceived("party", "5"),
        reports.LegAnswered("second"), reports.LegRejected("second", 486, "busy"), reports.Bridged("z"),
        reports.Unbridged("z"), reports.MediaSilent("party", 3.0), reports.MarkReached(1, "m"),
        reports.Transcribed("party", 0, "hi", 99.0, 99.2, final=True),
    ]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(_COMMANDS, _REPORTS, st.floats(0, 40)), max_size=30))
def test_call_survives_any_order_and_hangs_up_at_most_once(steps: list[object]) -> None:
    desk = Desk()
    for step in steps:
        match step:
            case c.Command():
                try:
                    desk.command(step)
                except CommandRejected as rejected:
                    assert rejected.error  # noqa: PT017  (either outcome will do)
            case reports.Report():
                desk.report(step)
            case float():
                desk.wait(step)
    desk.call.end("killed", "system", desk.now)
    desk._drain()
    assert len(desk.told(events.HungUp)) == 1
    assert isinstance(desk.events[-1], events.HungUp)
    assert len(desk.did(effects.CloseCall)) == 1
    assert desk.call.deadline() is None
