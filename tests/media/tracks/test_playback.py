"""Tracks through the engine: what is heard, and what is told of it."""

import numpy as np
import pytest

from softswitch.audio.pcm import FRAME, to_bytes
from softswitch.media import messages as m
from tests.media.rig import Rig, ramp, sine, steady


@pytest.fixture
def rig() -> Rig:
    return Rig()


def kinds(reports) -> list:
    return [type(report) for report in reports]


def test_track_is_heard_to_the_sample_and_ends(rig):
    port = rig.feed_port()
    track = rig.track(pcm=ramp(1000), end=True)
    assert kinds(rig.tick()) == [m.TrackStarted]
    assert rig.tick() == []
    [end] = rig.tick()
    assert end == m.TrackEnded(track, end.at, played_ms=41)
    np.testing.assert_array_equal(rig.heard(port)[:1000], ramp(1000))
    assert not rig.heard(port)[1000:].any()


def test_frames_stop_after_the_tail(rig):
    port = rig.feed_port()
    rig.track(pcm=ramp(FRAME), end=True)
    rig.tick(5)
    assert len(rig.frames[port]) == 2


def test_nothing_is_sent_while_there_is_nothing_to_hear(rig):
    port = rig.feed_port()
    rig.tick(5)
    assert port not in rig.frames


def test_mark_is_reported_at_the_tick_that_sends_its_last_sample(rig):
    rig.feed_port()
    track = rig.track(pcm=ramp(FRAME))
    more = m.FeedTrack(track, 24000, to_bytes(ramp(1)))
    rig.post(m.PlaceMark(track, "one"), more, m.PlaceMark(track, "two"))
    assert kinds(rig.tick()) == [m.TrackStarted, m.MarkReached]
    [reached, drained] = rig.tick()
    assert (reached.name, reached.cleared) == ("two", False)
    assert isinstance(drained, m.TrackDrained)
    assert rig.tick() == []


def test_mark_on_an_empty_track_is_reached_at_once(rig):
    track = rig.track()
    rig.post(m.PlaceMark(track, "now"))
    assert [report.name for report in rig.tick()] == ["now"]


def test_mark_on_a_track_that_is_gone_comes_back(rig):
    rig.post(m.PlaceMark(99, "lost"))
    [report] = rig.tick()
    assert report == m.MarkReached(99, report.at, "lost", cleared=True)
    assert rig.engine.counters["unknown_ids"] == 1


def test_drop_without_fade_is_silent_in_the_same_tick(rig):
    port = rig.feed_port()
    track = rig.track(pcm=steady(1000.0, 24000))
    rig.post(m.PlaceMark(track, "end"))
    rig.tick(3)
    rig.post(m.DropTrack(track, fade_ms=0))
    rig.forget()
    [mark, dropped] = rig.tick()
    assert mark == m.MarkReached(track, mark.at, "end", cleared=True)
    assert dropped == m.TrackDropped(track, dropped.at, played_ms=60, total_ms=1000)
    assert not rig.heard(port).any()


@pytest.mark.parametrize(("fade_ms", "played_ms"), [(10, 70), (20, 80), (25, 85), (2000, 1000)])
def test_drop_fades_and_counts_what_was_heard(rig, fade_ms, played_ms):
    port = rig.feed_port()
    track = rig.track(pcm=steady(10000.0, 24000))
    rig.tick(3)
    rig.post(m.DropTrack(track, fade_ms=fade_ms))
    rig.tick(60)
    [dropped] = rig.reported(m.TrackDropped)
    assert (dropped.played_ms, dropped.total_ms) == (played_ms, 1000)
    heard = rig.heard(port)
    assert (heard[: 3 * FRAME] == 10000.0).all()
    tail = heard[3 * FRAME :]
    assert (np.diff(tail) <= 0).all()
    # A step of a twentieth of the level would be heard as a click.
    assert np.abs(np.diff(heard)).max() < 500


def test_drop_at_boundary_finishes_the_sentence(rig):
    port = rig.feed_port()
    track = rig.new_id()
    rig.post(m.AddTrack(track, 1))
    for first in (1, 1001, 2001):
        rig.post(m.FeedTrack(track, 24000, to_bytes(ramp(1000, first)), boundary=True))
    rig.tick(3)
    rig.post(m.DropTrack(track, at_boundary=True))
    rig.tick(5)
    [dropped] = rig.reported(m.TrackDropped)
    assert (dropped.played_ms, dropped.total_ms) == (83, 125)
    np.testing.assert_array_equal(rig.heard(port)[:2000], ramp(2000))
    assert not rig.heard(port)[2000:].any()


def test_drop_at_boundary_waits_for_the_end_of_a_sentence_still_to_come(rig):
    port = rig.feed_port()
    track = rig.track(pcm=ramp(2000))
    rig.tick()
    rig.post(m.DropTrack(track, at_boundary=True))
    rig.tick()
    for first in (2001, 2101):
        rig.post(m.FeedTrack(track, 24000, to_bytes(ramp(100, first)), boundary=True))
    rig.tick(6)
    [dropped] = rig.reported(m.TrackDropped)
    assert dropped.played_ms == 2100 // 24
    np.testing.assert_array_equal(rig.heard(port)[:2100], ramp(2100))
    assert not rig.heard(port)[2100:].any()


def test_drop_at_boundary_of_a_silent_track_is_immediate(rig):
    rig.feed_port()
    track = rig.track(pcm=ramp(5000))
    rig.post(m.SetTrack(track, paused=True), m.DropTrack(track, at_boundary=True))
    [dropped] = rig.tick()
    assert dropped == m.TrackDropped(track, dropped.at, played_ms=0, total_ms=208)


def test_clear_returns_marks_and_keeps_the_track(rig):
    port = rig.feed_port()
    track = rig.track(pcm=steady(1000.0, 24000))
    rig.post(m.PlaceMark(track, "a"))
    rig.tick(2)
    rig.post(m.ClearTrack(track))
    reports = rig.tick()
    # Two ticks were heard, and 10 ms in which the sound died away.
    assert reports[0] == m.TrackCleared(track, reports[0].at, 50)
    assert reports[1] == m.MarkReached(track, reports[0].at, "a", cleared=True)
    rig.post(m.FeedTrack(track, 24000, to_bytes(steady(500.0, FRAME))), m.PlaceMark(track, "b"))
    rig.forget()
    reports = rig.tick()
    assert m.MarkReached(track, reports[0].at, "b", cleared=False) in reports
    assert (rig.heard(port)[:FRAME] == 500.0).all()
    assert np.abs(np.diff(rig.heard(port))).max() <= 500


def test_pause_and_resume_lose_nothing_and_do_not_click(rig):
    port = rig.feed_port()
    track = rig.track(pcm=steady(9000.0, 9600), end=True)
    rig.tick(3)
    rig.post(m.SetTrack(track, paused=True))
    rig.tick(5)
    held = len(rig.frames[port])
    rig.tick(5)
    assert len(rig.frames[port]) == held
    rig.post(m.SetTrack(track, paused=False))
    rig.tick(40)
    [end] = rig.reported(m.TrackEnded)
    assert end.played_ms == 400
    assert np.abs(np.diff(rig.heard(port)[: 9600 + FRAME - 10])).max() < 500


def test_gain_walks_to_its_new_value(rig):
    port = rig.feed_port()
    track = rig.track(pcm=steady(10000.0, 9600), gain=0.5)
    rig.tick()
    rig.post(m.SetTrack(track, gain=1.0, ramp_ms=40))
    rig.tick(4)
    heard = rig.heard(port)
    assert (heard[:FRAME] == 5000.0).all()
    assert (np.diff(heard[FRAME : 3 * FRAME]) >= 0).all()
    assert heard[2 * FRAME - 1] == pytest.approx(7500.0, abs=2)
    assert (heard[3 * FRAME :] == 10000.0).all()


def test_several_tracks_sound_at_once(rig):
    port = rig.feed_port()
    rig.track(pcm=steady(1000.0, 4800))
    rig.track(pcm=steady(200.0, 4800))
    rig.track(mix=2, pcm=steady(5000.0, 4800))
    rig.tick(2)
    assert (rig.heard(port) == 1200.0).all()


def test_bed_is_ducked_under_speech_and_comes_back(rig):
    port = rig.feed_port()
    rig.track(pcm=steady(10000.0, 48000), duck_to=0.2)
    rig.tick(2)
    speech = rig.track(pcm=steady(1.0, 24 * 400), end=True)
    rig.tick(60)
    heard = rig.heard(port)
    assert (heard[: 2 * FRAME] == 10000.0).all()
    ducked = heard[24 * 250 : 24 * 430]
    np.testing.assert_allclose(ducked, 2001.0, atol=1)
    assert (heard[24 * 700 : 24 * 1200] == 10000.0).all()
    assert np.abs(np.diff(heard)).max() < 5
    assert rig.reported(m.TrackEnded)[0].track == speech


def test_low_is_reported_once_until_fed_again(rig):
    rig.feed_port()
    track = rig.track(pcm=steady(1.0, 4800), low_ms=100)
    rig.tick(10)
    [low] = rig.reported(m.TrackLow)
    assert low.buffered_ms == 80
    rig.post(m.FeedTrack(track, 24000, to_bytes(steady(1.0, 100))))
    rig.tick()
    assert len(rig.reported(m.TrackLow)) == 2


def test_low_is_not_reported_of_an_ended_track(rig):
    rig.feed_port()
    rig.track(pcm=steady(1.0, 4800), low_ms=1000, end=True)
    rig.tick(20)
    assert kinds(rig.reports) == [m.TrackStarted, m.TrackEnded]


def test_drained_is_reported_once_until_fed_again_and_started_never_twice(rig):
    rig.feed_port()
    track = rig.track(pcm=steady(1.0, FRAME))
    rig.tick(5)
    rig.post(m.FeedTrack(track, 24000, to_bytes(steady(1.0, FRAME))))
    rig.tick(5)
    assert kinds(rig.reports) == [m.TrackStarted, m.TrackDrained, m.TrackDrained]


def test_track_without_audio_ends_when_asked(rig):
    track = rig.track(end=True)
    [end] = rig.tick()
    assert end == m.TrackEnded(track, end.at, played_ms=0)
    assert rig.engine.is_idle()


def test_audio_beyond_the_capacity_is_refused_and_counted(rig):
    rig.feed_port()
    rig.track(pcm=steady(1.0, 24000), capacity_ms=400, end=True)
    rig.tick(30)
    assert rig.engine.counters["refused_track_ms"] == 600
    assert rig.reported(m.TrackEnded)[0].played_ms == 400


def test_mark_behind_refused_audio_comes_back_as_cleared_in_its_turn(rig):
    rig.feed_port()
    track = rig.track(capacity_ms=100)
    for name, ms in (("heard", 60), ("cut", 60), ("lost", 60), ("nothing lost", 0)):
        rig.post(m.FeedTrack(track, 24000, bytes(ms * 48)), m.PlaceMark(track, name))
    rig.tick(20)
    marks = [(mark.name, mark.cleared) for mark in rig.reported(m.MarkReached)]
    assert marks == [("heard", False), ("cut", True), ("lost", True), ("nothing lost", False)]
    rig.post(m.FeedTrack(track, 24000, bytes(200 * 48)))
    rig.tick(20)
    assert len(rig.reported(m.TrackFull)) == 1, "reported once"
    assert rig.engine.counters["refused_track_ms"] == 80 + 100
    rig.post(m.PlaceMark(track, "behind it"))
    rig.post(m.FeedTrack(track, 24000, bytes(60 * 48)), m.PlaceMark(track, "room again"))
    rig.tick(5)
    marks = [(mark.name, mark.cleared) for mark in rig.reported(m.MarkReached)]
    assert marks[4:] == [("behind it", True), ("room again", False)]


def test_clear_makes_room_and_marks_behind_it_are_played(rig):
    rig.feed_port()
    track = rig.track(capacity_ms=100)
    rig.post(m.FeedTrack(track, 24000, bytes(200 * 48)), m.ClearTrack(track))
    rig.post(m.FeedTrack(track, 24000, bytes(60 * 48)), m.PlaceMark(track, "after"))
    rig.tick(6)
    assert [(mark.name, mark.cleared) for mark in rig.reported(m.MarkReached)] == [("after", False)]


def test_audio_after_the_end_is_refused_and_counted(rig):
    rig.feed_port()
    track = rig.track(pcm=steady(1.0, 480), end=True)
    rig.post(m.FeedTrack(track, 8000, bytes(16000)))
    rig.tick(3)
    assert rig.engine.counters["refused_track_ms"] == 1000
    assert rig.reported(m.TrackEnded)[0].played_ms == 20


def test_odd_byte_is_carried_to_the_next_piece(rig):
    port = rig.feed_port()
    data = to_bytes(ramp(960))
    track = rig.track()
    rig.post(m.FeedTrack(track, 24000, data[:301]), m.FeedTrack(track, 24000, data[301:]))
    rig.tick(2)
    np.testing.assert_array_equal(rig.heard(port), ramp(960))


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 47999, 48000])
def test_any_rate_is_resampled_without_a_seam(rig, rate):
    port = rig.feed_port()
    track = rig.track()
    pcm = to_bytes(sine(rate, 300.0, rate=rate))
    for start in range(0, len(pcm), 9999):
        rig.post(m.FeedTrack(track, rate, pcm[start : start + 9999]))
    rig.post(m.EndTrack(track))
    rig.tick(60)
    heard, wanted = rig.heard(port)[:24000], sine(24000, 300.0)
    # Half a sample of shift is allowed, a click is not.
    assert np.abs(heard - wanted)[300:-300].max() < 400
    assert np.abs(np.diff(heard))[100:-100].max() < 700
    assert rig.reported(m.TrackEnded)[0].played_ms == 1000


def test_unhearable_track_waits_for_the_listener(rig):
    port = rig.rtp_port(connected=False)
    track = rig.track(pcm=ramp(960), end=True)
    assert rig.tick(10) == []
    rig.post(m.ConnectPlain(port, -1, "127.0.0.1", 9))
    rig.tick(3)
    np.testing.assert_array_equal(rig.heard(port)[:960], ramp(960))
    assert rig.reported(m.TrackEnded)[0].track == track


def test_impossible_sample_rate_is_refused_and_changes_nothing(rig):
    track = rig.track()
    rig.post(m.FeedTrack(track, 0, b"12"))
    assert rig.tick() == []
    assert rig.engine.counters["refused_messages"] == 1


def test_marks_are_bounded(rig, monkeypatch):
    monkeypatch.setattr("softswitch.media.tracks.track._MOST_MARKS", 2)
    track = rig.track(pcm=ramp(4800))
    rig.post(*(m.PlaceMark(track, name) for name in "abc"))
    rig.tick()
    [back] = rig.reported(m.MarkReached)
    assert (back.name, back.cleared) == ("c", True)
