"""Append, interrupt, stream, pause, mark, hang up behind: wire-call §6."""

import pytest

from softswitch.call.playbacks import MAX_LAYERS
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import effects, events, reports
from softswitch.call.vocabulary.commands import CallOption
from softswitch.call.vocabulary.rejection import CommandRejected, Reason
from softswitch.call.vocabulary.values import machine_on
from tests.call.harness import Harness


@pytest.fixture
def harness() -> Harness:
    return Harness(CallOption())


@pytest.mark.parametrize("play_id", [None, "p"])
def test_same_play_id_appends(harness: Harness, play_id: str | None) -> None:
    harness.command(c.Say(text="one", play_id=play_id))
    harness.command(c.Say(text="two", play_id=play_id))
    assert [text.track for text in harness.effects_of(effects.SpeakText)] == [1, 1]
    assert not harness.effects_of(effects.DropTrack)


def test_other_play_id_interrupts(harness: Harness) -> None:
    harness.command(c.Say(text="one", play_id="a"))
    harness.report(reports.SourceFed(1), reports.TrackStarted(1, 100.0))
    harness.command(c.Say(text="two", play_id="b"))
    assert harness.effects_of(effects.DropTrack)[0].track == 1
    harness.report(reports.TrackDropped(1, 100.0, 120, 900, "one"))
    cut = harness.emitted(events.Interruption)[0]
    assert (cut.play_id, cut.position, cut.total_duration, cut.subtitle) == ("a", 120, 900, "one")
    assert harness.names()[-2:] == ["Interruption", "TrackEnd"]


def test_layer_sounds_beside_the_main_playback(harness: Harness) -> None:
    harness.command(c.Say(text="one", play_id="a"))
    harness.command(c.Play(url="http://x/bed", layer="music"))
    assert not harness.effects_of(effects.DropTrack)
    harness.report(reports.TrackStarted(2, 100.0))
    assert harness.emitted(events.TrackStart)[-1].subject == machine_on("music")


def test_layers_are_bounded(harness: Harness) -> None:
    for number in range(MAX_LAYERS):
        harness.command(c.Play(url="http://x", layer=str(number)))
    with pytest.raises(CommandRejected, match=Reason.TOO_MANY_LAYERS):
        harness.command(c.Play(url="http://x", layer="one-more"))


def test_play_without_play_id_goes_by_its_url(harness: Harness) -> None:
    harness.command(c.Play(url="http://x/a.wav"))
    harness.heard(1)
    assert harness.emitted(events.TrackStart)[-1].play_id == "http://x/a.wav"


def test_track_ends_once_everything_was_fed_and_heard(harness: Harness) -> None:
    harness.command(c.Say(text="one"))
    harness.report(reports.SourceFed(1), reports.TrackStarted(1, 100.0), reports.TrackDrained(1, 100.0))
    assert not harness.effects_of(effects.EndTrack)
    harness.report(reports.SourceFed(1), reports.SourceDone(1, 1), reports.TrackDrained(1, 100.0, 480))
    assert [end.track for end in harness.effects_of(effects.EndTrack)] == [1]
    harness.report(reports.TrackEnded(1, 100.0, 480))
    assert [end.duration for end in harness.emitted(events.TrackEnd)] == [480]


def test_mark_at_the_end_and_the_end_of_the_track_leave_in_one_tick(harness: Harness) -> None:
    harness.command(c.Say(text="one", play_id="one"))
    harness.command(c.PlaceMark(name="end"))
    harness.report(reports.SourceFed(1), reports.TrackStarted(1, 100.0), reports.SourceDone(1, 1))
    # The engine passes the mark and runs empty in one tick.
    harness.report(reports.MarkReached(1, 100.0, "end"), reports.TrackDrained(1, 100.0, 480))
    assert harness.names()[-2:] == ["Mark", "TrackEnd"]
    harness.command(c.Say(text="two", play_id="two"))
    harness.report(reports.TrackEnded(1, 100.0, 480))
    assert not harness.emitted(events.Interruption)
    assert not harness.effects_of(effects.DropTrack)


def test_muted_layer_stays_muted_until_it_is_unmuted(harness: Harness) -> None:
    harness.command(c.Mute(muted=True, subject=machine_on("")))
    harness.command(c.Say(text="one", play_id="one"))
    harness.command(c.Say(text="other", layer="other"))
    harness.command(c.Mute(muted=False, subject=machine_on("")))
    harness.command(c.Say(text="two", play_id="two"))
    assert [opened.gain for opened in harness.effects_of(effects.OpenPlayback)] == [0.0, 1.0, 1.0]


def test_single_layer_can_be_unmuted_while_all_others_stay_muted(harness: Harness) -> None:
    harness.command(c.Mute(muted=True))
    harness.command(c.Mute(muted=False, subject=machine_on("other")))
    harness.command(c.Say(text="one"))
    harness.command(c.Say(text="other", layer="other"))
    assert [opened.gain for opened in harness.effects_of(effects.OpenPlayback)] == [0.0, 1.0]


def test_streamed_text_without_an_end_is_over_after_a_second_of_idling(harness: Harness) -> None:
    harness.command(c.Say(text="one", streaming=True))
    harness.report(reports.SourceDone(1, 1), reports.SourceFed(1), reports.TrackStarted(1, 100.0))
    harness.wait(5)
    assert not harness.effects_of(effects.CompleteText)
    harness.report(reports.TrackDrained(1, 100.0))
    harness.wait(0.9)
    assert not harness.effects_of(effects.CompleteText)
    harness.wait(0.2)
    last = harness.effects_of(effects.CompleteText)[0]
    harness.report(reports.SourceDone(1, last.item))
    assert harness.effects_of(effects.EndTrack)


def test_empty_text_with_end_of_stream_terminates_without_an_error(harness: Harness) -> None:
    harness.command(c.Say(text="one", play_id="p", streaming=True))
    harness.command(c.Say(text="", play_id="p", streaming=True, end_of_stream=True))
    last = harness.effects_of(effects.CompleteText)[0]
    harness.report(reports.SourceFed(1), reports.TrackStarted(1, 100.0), reports.SourceDone(1, 1))
    harness.report(
        reports.SourceDone(1, last.item), reports.TrackDrained(1, 100.0), reports.TrackEnded(1, 100.0, 300)
    )
    assert harness.emitted(events.TrackEnd)[-1].play_id == "p"
    assert not harness.emitted(events.Error)


def test_end_of_stream_of_something_never_begun_is_followed_by_track_end(harness: Harness) -> None:
    harness.command(c.Say(play_id="p", streaming=True, end_of_stream=True))
    assert (harness.emitted(events.TrackEnd)[-1].play_id, harness.emitted(events.TrackEnd)[-1].duration) == (
        "p",
        0,
    )
    count = len(harness.events)
    harness.command(c.Say(play_id="p", streaming=True, end_of_stream=True))
    assert len(harness.events) == count


def test_interrupt_with_nothing_playing_does_nothing(harness: Harness) -> None:
    count = len(harness.events)
    harness.command(c.Interrupt())
    assert len(harness.events) == count


def test_interrupt_of_one_play_id_leaves_the_others(harness: Harness) -> None:
    harness.command(c.Say(text="a", play_id="a"))
    harness.command(c.Play(url="http://x", play_id="b", layer="music"))
    harness.command(c.Interrupt(play_id="b", fade_ms=200))
    assert [(drop.track, drop.fade_ms) for drop in harness.effects_of(effects.DropTrack)] == [(2, 200)]


def test_graceful_interrupt_waits_for_the_sentence_only_when_it_has_begun(harness: Harness) -> None:
    harness.command(c.Say(text="a", play_id="a"))
    harness.command(c.Interrupt(graceful=True))
    harness.command(c.Say(text="b", play_id="b"))
    harness.report(reports.TrackStarted(2, 100.0))
    harness.command(c.Interrupt(graceful=True))
    assert [drop.at_boundary for drop in harness.effects_of(effects.DropTrack)] == [False, True]


def test_pause_and_resume_reach_every_layer_but_the_ambiance() -> None:
    harness = Harness(CallOption(ambiance=c.AmbianceOption("bed.wav")))
    harness.command(c.Say(text="a"))
    harness.command(c.Pause())
    harness.command(c.Pause())
    harness.command(c.Resume())
    assert [(p.track, p.paused) for p in harness.effects_of(effects.SetTrack)] == [(2, True), (2, False)]


def test_auto_hangup_waits_for_its_own_audio_to_be_heard(harness: Harness) -> None:
    harness.command(c.Say(text="bye", play_id="bye", auto_hangup=True))
    harness.report(reports.SourceFed(1), reports.TrackStarted(1, 100.0), reports.SourceDone(1, 1))
    assert not harness.emitted(events.HungUp)
    harness.report(reports.TrackDrained(1, 100.0), reports.TrackEnded(1, 100.0, 700))
    assert harness.emitted(events.HungUp)[0].reason == "autohangup"


def test_auto_hangup_of_an_interrupted_playback_does_not_hang_up(harness: Harness) -> None:
    harness.command(c.Say(text="bye", play_id="bye", auto_hangup=True))
    harness.report(reports.TrackStarted(1, 100.0))
    harness.command(c.Interrupt())
    harness.report(reports.TrackDropped(1, 100.0, 100, 700))
    harness.command(c.Say(text="still here", play_id="x"))
    harness.heard(2)
    assert not harness.emitted(events.HungUp)


def test_auto_hangup_lets_media_reach_the_far_end_first() -> None:
    harness = Harness(CallOption(), kind="webrtc")
    harness.command(c.Say(text="bye", auto_hangup=True))
    harness.report(reports.SourceDone(1, 1))
    harness.heard(1)
    assert not harness.emitted(events.HungUp)
    harness.wait(0.3)
    assert harness.emitted(events.HungUp)[0].reason == "autohangup"


def test_failed_play_tells_error_and_track_end(harness: Harness) -> None:
    harness.command(c.Play(url="http://dead"))
    harness.report(reports.SourceFailed(1, 1, "play", "cannot be reached", 502))
    harness.report(reports.TrackEnded(1, 100.0, 0))
    assert harness.names()[-2:] == ["Error", "TrackEnd"]
    assert harness.emitted(events.Error)[0].sender == "play"


def test_mark_with_nothing_playing_is_passed_at_once(harness: Harness) -> None:
    harness.command(c.PlaceMark(name="m"))
    assert [(mark.name, mark.status) for mark in harness.emitted(events.Mark)] == [("m", "played")]


def test_mark_is_placed_behind_the_text_and_told_when_reached(harness: Harness) -> None:
    harness.command(c.Say(text="one", play_id="p"))
    harness.command(c.PlaceMark(name="m"))
    assert isinstance(harness.effects[-1], effects.PlaceMark)
    harness.report(reports.MarkReached(1, 100.0, "m", cleared=True))
    mark = harness.emitted(events.Mark)[0]
    assert (mark.status, mark.play_id) == ("cleared", "p")


def test_given_audio_is_played_like_text(harness: Harness) -> None:
    harness.command(c.Say(pcm=b"\1\0" * 100, option=c.TtsOption(sample_rate=8000)))
    assert harness.effects_of(effects.SpeakAudio)[0].sample_rate == 8000


def test_append_to_a_playback_that_is_ending_opens_a_new_track(harness: Harness) -> None:
    harness.command(c.Say(text="one"))
    harness.report(reports.SourceDone(1, 1))
    assert harness.effects_of(effects.EndTrack)
    harness.command(c.Say(text="two"))
    assert [open_.track for open_ in harness.effects_of(effects.OpenPlayback)] == [1, 2]
    assert not harness.effects_of(effects.DropTrack)


def test_playbacks_wait_while_the_party_holds_the_call() -> None:
    harness = Harness(CallOption())
    harness.command(c.Say(text="a long story", play_id="story"))
    harness.report(reports.SourceFed(1), reports.TrackStarted(1, 100.0))
    harness.report(reports.LegHeld("party", True))
    assert harness.effects_of(effects.SetTrack)[-1] == effects.SetTrack(1, paused=True)
    harness.command(c.Say(text="another one", layer="overlay", play_id="other"))
    assert harness.effects_of(effects.SetTrack)[-1] == effects.SetTrack(2, paused=True)
    harness.command(c.Pause())
    count = len(harness.effects_of(effects.SetTrack))
    harness.report(reports.LegHeld("party", False))
    assert len(harness.effects_of(effects.SetTrack)) == count  # The client has paused them meanwhile.
    harness.command(c.Resume())
    assert [item.paused for item in harness.effects_of(effects.SetTrack)[count:]] == [False, False]


def test_a_playback_that_waited_for_the_end_of_a_hold_goes_on() -> None:
    harness = Harness(CallOption())
    harness.command(c.Say(text="a long story", play_id="story"))
    harness.report(reports.SourceFed(1), reports.TrackStarted(1, 100.0))
    harness.report(reports.LegHeld("party", True), reports.LegHeld("party", False))
    assert [item.paused for item in harness.effects_of(effects.SetTrack)] == [True, False]


def greeting(harness: Harness) -> None:
    harness.command(c.Say(text="Welcome.", play_id="a"))
    harness.report(reports.SourceFed(1), reports.TrackStarted(1, 100.0))


def test_file_interrupts_once_it_has_audio(harness: Harness) -> None:
    greeting(harness)
    harness.command(c.Play(url="http://x/b.wav"))
    assert not harness.effects_of(effects.DropTrack)
    harness.report(reports.SourceFed(2))
    assert [drop.track for drop in harness.effects_of(effects.DropTrack)] == [1]
    harness.report(reports.TrackDropped(1, 100.0, 120, 900, "Welcome."), reports.TrackStarted(2, 100.0))
    assert harness.names()[-3:] == ["Interruption", "TrackEnd", "TrackStart"]


def test_file_that_is_not_there_interrupts_nothing(harness: Harness) -> None:
    greeting(harness)
    harness.command(c.Play(url="http://x/b.wav", auto_hangup=True))
    harness.command(c.PlaceMark(name="m"))
    harness.report(reports.SourceFailed(2, 1, "play", "http://x/b.wav answered 404", 404))
    assert [error.code for error in harness.emitted(events.Error)] == [404]
    assert [mark.status for mark in harness.emitted(events.Mark)] == ["cleared"]
    assert [drop.track for drop in harness.effects_of(effects.DropTrack)] == [2]
    assert not harness.emitted(events.Interruption)
    assert not harness.emitted(events.HungUp)
    # The greeting is what appends and interrupts go to, as if nothing had been.
    harness.command(c.Say(text="Go on.", play_id="a"))
    assert harness.effects_of(effects.SpeakText)[-1].track == 1
    harness.report(reports.TrackDropped(2, 100.0, 0, 0, ""))
    assert not harness.emitted(events.Interruption)


def test_second_file_that_is_there_interrupts_although_the_first_is_not(harness: Harness) -> None:
    greeting(harness)
    harness.command(c.Play(url="http://x/b.wav", play_id="p"))
    harness.command(c.Play(url="http://x/c.wav", play_id="p"))
    harness.report(reports.SourceFailed(2, 1, "play", "gone", 404))
    assert not harness.effects_of(effects.DropTrack)
    harness.report(reports.SourceFed(2))
    assert [drop.track for drop in harness.effects_of(effects.DropTrack)] == [1]


def test_third_file_takes_the_place_of_one_that_waits(harness: Harness) -> None:
    greeting(harness)
    harness.command(c.Play(url="http://x/b.wav"))
    harness.command(c.Play(url="http://x/c.wav"))
    assert [drop.track for drop in harness.effects_of(effects.DropTrack)] == [2]
    harness.report(reports.TrackDropped(2, 100.0, 0, 0, ""))
    harness.report(reports.SourceFailed(3, 1, "play", "gone", 404))
    assert [drop.track for drop in harness.effects_of(effects.DropTrack)] == [2, 3]


@pytest.mark.parametrize("command", [c.Say(text="Stop.", play_id="z"), c.Interrupt()])
def test_what_interrupts_at_once_ends_both(harness: Harness, command: c.Command) -> None:
    greeting(harness)
    harness.command(c.Play(url="http://x/b.wav"))
    harness.command(command)
    assert {drop.track for drop in harness.effects_of(effects.DropTrack)} == {1, 2}
    assert len(harness.effects_of(effects.DropTrack)) == 2


def test_greeting_that_ends_while_a_file_is_fetched_is_no_interruption(harness: Harness) -> None:
    greeting(harness)
    harness.command(c.Play(url="http://x/b.wav"))
    harness.report(reports.SourceDone(1, 1), reports.TrackDrained(1, 100.0, 900))
    assert not harness.emitted(events.Interruption)
    harness.report(reports.SourceFed(2))
    assert not harness.effects_of(effects.DropTrack)
    harness.report(
        reports.TrackStarted(2, 101.0), reports.SourceDone(2, 1), reports.TrackDrained(2, 102.0, 9)
    )
    assert [end.play_id for end in harness.emitted(events.TrackEnd)] == ["a", "http://x/b.wav"]
