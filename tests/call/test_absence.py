"""What the client did not hear: sound that falls into the absence of the client."""

import pytest

from softswitch.call.absence import Absence, Sounding
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import effects, events, reports
from softswitch.call.vocabulary.commands import CallOption
from tests.call.harness import Harness


def away(harness: Harness, since: float) -> None:
    harness.call.client_away(since, harness.now)
    harness._drain()


def back(harness: Harness) -> int:
    unheard = harness.call.client_back(harness.now)
    harness._drain()
    return unheard


def sounding(option: CallOption, kind: str = "websocket") -> Harness:
    harness = Harness(option, kind)
    harness.command(c.Say(text="one", play_id="p"))
    harness.report(reports.SourceFed(1), reports.TrackStarted(1, harness.now), reports.SourceDone(1, 1))
    return harness


def paused(harness: Harness) -> list[bool | None]:
    return [effect.paused for effect in harness.effects_of(effects.SetTrack)]


def test_only_sound_within_the_absence_is_unheard():
    absence, sound = Absence(), Sounding()
    sound.begin(1.0)
    sound.begin(1.5)
    sound.end(3.0, absence)
    assert (sound.sounded_s, sound.unheard_s) == (2.0, 0.0)
    sound.begin(4.0)
    absence.since = 5.0
    sound.end(7.0, absence)
    sound.end(8.0, absence)
    assert (sound.sounded_s, sound.unheard_ms, sound.heard_ms(5000)) == (5.0, 2000, 3000)
    assert sound.heard_ms(100) == 0
    assert absence.total_ms() == 2000


def test_playback_waits_for_the_client_and_goes_on_where_it_stopped():
    harness = sounding(CallOption())
    harness.now += 1.0
    away(harness, harness.now)
    harness.now += 8.0
    assert back(harness) == 0
    assert paused(harness) == [True, False]
    harness.now += 2.0
    harness.report(reports.TrackDrained(1, harness.now, 3000))
    [end] = harness.emitted(events.TrackEnd)[-1:]
    assert (end.duration, end.unheard) == (3000, None)


def test_what_was_played_before_the_loss_was_noticed_is_told_as_unheard():
    harness = sounding(CallOption())
    harness.now += 3.0
    away(harness, harness.now - 2.0)
    harness.now += 8.0
    assert back(harness) == 2000
    harness.now += 1.0
    harness.report(reports.TrackDrained(1, harness.now, 4000))
    [end] = harness.emitted(events.TrackEnd)[-1:]
    assert (end.duration, end.unheard) == (2000, 2000)


def test_stalled_playback_waits_before_its_loss_is_certain_and_its_last_stretch_counts():
    harness = sounding(CallOption())
    harness.now += 3.0
    harness.call.client_stalled(True, harness.now)
    harness.now += 20.0
    away(harness, 101.0)  # two of the three seconds before
    harness.now += 1.0
    assert back(harness) == 2000
    assert paused(harness) == [True, False]


def test_stall_that_passes_loses_nothing():
    harness = sounding(CallOption())
    harness.call.client_stalled(True, harness.now)
    harness.now += 5.0
    harness.call.client_stalled(False, harness.now)
    harness._drain()
    assert paused(harness) == [True, False]
    harness.now += 3.0
    harness.report(reports.TrackDrained(1, harness.now, 3000))
    assert harness.emitted(events.TrackEnd)[-1].unheard is None


def test_playback_that_goes_on_is_told_as_unheard_when_it_ends_meanwhile():
    harness = sounding(CallOption(away="continue"))
    harness.command(c.PlaceMark(name="m"))
    harness.now += 1.0
    away(harness, harness.now)
    harness.call.client_stalled(True, harness.now)
    harness.now += 4.0
    harness.report(reports.MarkReached(1, harness.now, "m"), reports.TrackDrained(1, harness.now, 5000))
    assert paused(harness) == []
    [end] = harness.emitted(events.TrackEnd)[-1:]
    assert (end.duration, end.unheard) == (1000, 4000)
    assert harness.emitted(events.Mark)[-1].status == "cleared"
    harness.now += 1.0
    assert back(harness) == 4000


def test_interruption_names_the_position_that_was_heard():
    harness = sounding(CallOption(away="continue"))
    harness.now += 1.0
    away(harness, harness.now)
    harness.now += 4.0
    assert back(harness) == 4000
    harness.now += 1.0
    harness.command(c.Interrupt())
    harness.report(reports.TrackDropped(1, harness.now, 6000, 9000, "one"))
    [cut] = harness.emitted(events.Interruption)
    assert (cut.position, cut.current, cut.unheard, cut.total_duration) == (2000, 2000, 4000, 9000)


@pytest.mark.parametrize("kind", ["webrtc", "sip"])
def test_party_whose_audio_goes_another_way_hears_on(kind):
    harness = sounding(CallOption(), kind)
    away(harness, harness.now - 2.0)
    harness.now += 4.0
    assert back(harness) == 0
    assert paused(harness) == []


def test_end_of_the_call_tells_what_was_heard():
    harness = sounding(CallOption())
    harness.now += 2.0
    away(harness, harness.now - 0.5)
    harness.now += 30.0
    harness.call.end("caller", "caller", harness.now)
    harness._drain()
    end = next(one for one in harness.emitted(events.TrackEnd) if one.play_id == "p")
    assert (end.duration, end.unheard) == (1500, 500)


def test_hold_and_absence_end_separately():
    harness = sounding(CallOption())
    harness.report(reports.LegHeld("party", True))
    away(harness, harness.now)
    back(harness)
    assert paused(harness) == [True]
    harness.report(reports.LegHeld("party", False))
    assert paused(harness) == [True, False]


def test_sound_in_the_background_is_not_missed():
    option = CallOption(away="continue", ambiance=c.AmbianceOption("bed.wav", 0.1, 0.3))
    harness = Harness(option)
    harness.report(reports.SourceFed(1), reports.TrackStarted(1, harness.now))
    away(harness, harness.now)
    harness.now += 5.0
    assert back(harness) == 0
