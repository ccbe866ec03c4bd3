"""Commands and reports of one call, and its times."""

from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.call.state import State
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import effects, events, reports
from softswitch.call.vocabulary.commands import CallOption
from softswitch.call.vocabulary.rejection import CommandRejected, Reason
from softswitch.call.vocabulary.values import party_of
from tests.call.harness import Harness


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
