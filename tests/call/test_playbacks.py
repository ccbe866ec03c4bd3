"""Append, interrupt, stream, pause, mark, hang up behind: wire-call §6."""

import pytest

from softswitch.call import commands as c
from softswitch.call import effects, events, reports
from softswitch.call.commands import CallOption, CommandRejected
from softswitch.call.playbacks import MAX_LAYERS
from tests.call.desk import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk(CallOption())


@pytest.mark.parametrize("play_id", [None, "p"])
def test_same_play_id_appends(desk: Desk, play_id: str | None) -> None:
    desk.command(c.Say(text="one", play_id=play_id))
    desk.command(c.Say(text="two", play_id=play_id))
    assert [text.track for text in desk.did(effects.SpeakText)] == [1, 1]
    assert not desk.did(effects.DropPlayback)


def test_other_play_id_interrupts(desk: Desk) -> None:
    desk.command(c.Say(text="one", play_id="a"))
    desk.report(reports.SourceFed(1), reports.PlaybackStarted(1))
    desk.command(c.Say(text="two", play_id="b"))
    assert desk.did(effects.DropPlayback)[0].track == 1
    desk.report(reports.PlaybackDropped(1, 120, 900, "one"))
    cut = desk.told(events.Interruption)[0]
    assert (cut.play_id, cut.position, cut.total_duration, cut.subtitle) == ("a", 120, 900, "one")
    assert desk.names()[-2:] == ["Interruption", "TrackEnd"]


def test_layer_sounds_beside_the_main_playback(desk: Desk) -> None:
    desk.command(c.Say(text="one", play_id="a"))
    desk.command(c.Play(url="http://x/bed", layer="music"))
    assert not desk.did(effects.DropPlayback)
    desk.report(reports.PlaybackStarted(2))
    assert desk.told(events.TrackStart)[-1].track_id == "server-side-track-music"


def test_layers_are_bounded(desk: Desk) -> None:
    for number in range(MAX_LAYERS):
        desk.command(c.Play(url="http://x", layer=str(number)))
    with pytest.raises(CommandRejected, match="layer"):
        desk.command(c.Play(url="http://x", layer="one-more"))


def test_play_without_play_id_goes_by_its_url(desk: Desk) -> None:
    desk.command(c.Play(url="http://x/a.wav"))
    desk.heard(1)
    assert desk.told(events.TrackStart)[-1].play_id == "http://x/a.wav"


def test_track_ends_once_everything_was_fed_and_heard(desk: Desk) -> None:
    desk.command(c.Say(text="one"))
    desk.report(reports.SourceFed(1), reports.PlaybackStarted(1), reports.PlaybackDrained(1))
    assert not desk.did(effects.EndPlayback)
    desk.report(reports.SourceFed(1), reports.SourceDone(1, 1), reports.PlaybackDrained(1))
    assert [end.track for end in desk.did(effects.EndPlayback)] == [1]
    desk.report(reports.PlaybackEnded(1, 480))
    assert desk.told(events.TrackEnd)[-1].duration == 480


def test_streamed_text_without_an_end_is_over_after_a_second_of_idling(desk: Desk) -> None:
    desk.command(c.Say(text="one", streaming=True))
    desk.report(reports.SourceDone(1, 1), reports.SourceFed(1), reports.PlaybackStarted(1))
    desk.wait(5)
    assert not desk.did(effects.CompleteText)
    desk.report(reports.PlaybackDrained(1))
    desk.wait(0.9)
    assert not desk.did(effects.CompleteText)
    desk.wait(0.2)
    last = desk.did(effects.CompleteText)[0]
    desk.report(reports.SourceDone(1, last.item))
    assert desk.did(effects.EndPlayback)


def test_empty_text_with_end_of_stream_terminates_without_an_error(desk: Desk) -> None:
    desk.command(c.Say(text="one", play_id="p", streaming=True))
    desk.command(c.Say(text="", play_id="p", streaming=True, end_of_stream=True))
    last = desk.did(effects.CompleteText)[0]
    desk.report(reports.SourceFed(1), reports.PlaybackStarted(1), reports.SourceDone(1, 1))
    desk.report(reports.SourceDone(1, last.item), reports.PlaybackDrained(1), reports.PlaybackEnded(1, 300))
    assert desk.told(events.TrackEnd)[-1].play_id == "p"
    assert not desk.told(events.Error)


def test_end_of_stream_of_something_never_begun_is_followed_by_track_end(desk: Desk) -> None:
    desk.command(c.Say(play_id="p", streaming=True, end_of_stream=True))
    assert (desk.told(events.TrackEnd)[-1].play_id, desk.told(events.TrackEnd)[-1].duration) == ("p", 0)
    count = len(desk.events)
    desk.command(c.Say(play_id="p", streaming=True, end_of_stream=True))
    assert len(desk.events) == count


def test_interrupt_with_nothing_playing_does_nothing(desk: Desk) -> None:
    count = len(desk.events)
    desk.command(c.Interrupt())
    assert len(desk.events) == count


def test_interrupt_of_one_play_id_leaves_the_others(desk: Desk) -> None:
    desk.command(c.Say(text="a", play_id="a"))
    desk.command(c.Play(url="http://x", play_id="b", layer="music"))
    desk.command(c.Interrupt(play_id="b", fade_ms=200))
    assert [(drop.track, drop.fade_ms) for drop in desk.did(effects.DropPlayback)] == [(2, 200)]


def test_graceful_interrupt_waits_for_the_sentence_only_when_it_has_begun(desk: Desk) -> None:
    desk.command(c.Say(text="a", play_id="a"))
    desk.command(c.Interrupt(graceful=True))
    desk.command(c.Say(text="b", play_id="b"))
    desk.report(reports.PlaybackStarted(2))
    desk.command(c.Interrupt(graceful=True))
    assert [drop.graceful for drop in desk.did(effects.DropPlayback)] == [False, True]


def test_pause_and_resume_reach_every_layer_but_the_ambiance() -> None:
    desk = Desk(CallOption(ambiance=c.AmbianceOption("bed.wav")))
    desk.command(c.Say(text="a"))
    desk.command(c.Pause())
    desk.command(c.Pause())
    desk.command(c.Resume())
    assert [(p.track, p.paused) for p in desk.did(effects.PausePlayback)] == [(2, True), (2, False)]


def test_auto_hangup_waits_for_its_own_audio_to_be_heard(desk: Desk) -> None:
    desk.command(c.Say(text="bye", play_id="bye", auto_hangup=True))
    desk.report(reports.SourceFed(1), reports.PlaybackStarted(1), reports.SourceDone(1, 1))
    assert not desk.told(events.HungUp)
    desk.report(reports.PlaybackDrained(1), reports.PlaybackEnded(1, 700))
    assert desk.told(events.HungUp)[0].reason == "autohangup"


def test_auto_hangup_of_an_interrupted_playback_does_not_hang_up(desk: Desk) -> None:
    desk.command(c.Say(text="bye", play_id="bye", auto_hangup=True))
    desk.report(reports.PlaybackStarted(1))
    desk.command(c.Interrupt())
    desk.report(reports.PlaybackDropped(1, 100, 700))
    desk.command(c.Say(text="still here", play_id="x"))
    desk.heard(2)
    assert not desk.told(events.HungUp)


def test_auto_hangup_lets_media_reach_the_far_end_first() -> None:
    desk = Desk(CallOption(), kind="webrtc")
    desk.command(c.Say(text="bye", auto_hangup=True))
    desk.report(reports.SourceDone(1, 1))
    desk.heard(1)
    assert not desk.told(events.HungUp)
    desk.wait(0.3)
    assert desk.told(events.HungUp)[0].reason == "autohangup"


def test_failed_play_tells_error_and_track_end(desk: Desk) -> None:
    desk.command(c.Play(url="http://dead"))
    desk.report(reports.SourceFailed(1, 1, "play", "cannot be reached", 502))
    desk.report(reports.PlaybackEnded(1, 0))
    assert desk.names()[-2:] == ["Error", "TrackEnd"]
    assert desk.told(events.Error)[0].sender == "play"


def test_mark_with_nothing_playing_is_passed_at_once(desk: Desk) -> None:
    desk.command(c.PlaceMark(name="m"))
    assert [(mark.name, mark.status) for mark in desk.told(events.Mark)] == [("m", "played")]


def test_mark_is_placed_behind_the_text_and_told_when_reached(desk: Desk) -> None:
    desk.command(c.Say(text="one", play_id="p"))
    desk.command(c.PlaceMark(name="m"))
    assert isinstance(desk.effects[-1], effects.MarkPlayback)
    desk.report(reports.MarkReached(1, "m", cleared=True))
    mark = desk.told(events.Mark)[0]
    assert (mark.status, mark.play_id) == ("cleared", "p")


def test_given_audio_is_played_like_text(desk: Desk) -> None:
    desk.command(c.Say(pcm=b"\1\0" * 100, option=c.TtsOption(sample_rate=8000)))
    assert desk.did(effects.SpeakAudio)[0].sample_rate == 8000


def test_append_to_a_playback_that_is_ending_opens_a_new_track(desk: Desk) -> None:
    desk.command(c.Say(text="one"))
    desk.report(reports.SourceDone(1, 1))
    assert desk.did(effects.EndPlayback)
    desk.command(c.Say(text="two"))
    assert [open_.track for open_ in desk.did(effects.OpenPlayback)] == [1, 2]
    assert not desk.did(effects.DropPlayback)
