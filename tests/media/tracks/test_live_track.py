"""A track whose source has no lead: it collects a little before it sounds, and again after running out."""

import numpy as np
import pytest

from softswitch.audio.pcm import FRAME, to_bytes
from softswitch.media import messages as m
from tests.media.rig import Rig, ramp


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def track(rig: Rig) -> int:
    return rig.track(prebuffer_ms=60)


def feed(rig: Rig, track: int, samples: int) -> None:
    rig.post(m.FeedTrack(track, 24000, to_bytes(ramp(samples))))


def test_live_track_sounds_once_the_prebuffer_is_full(rig, track):
    rig.feed_port()
    for _ in range(2):
        feed(rig, track, FRAME)
        assert rig.tick() == []
    feed(rig, track, FRAME)
    assert [type(report) for report in rig.tick()] == [m.TrackStarted]


def test_live_track_is_gapless_at_real_time_without_lead(rig, track):
    port = rig.feed_port()
    for _ in range(50):
        feed(rig, track, FRAME)
        rig.tick()
    heard = rig.heard(port)
    np.testing.assert_array_equal(heard[: 40 * FRAME], np.tile(ramp(FRAME), 40))


def test_live_track_primes_again_when_it_has_run_out(rig, track):
    port = rig.feed_port()
    feed(rig, track, 3 * FRAME)
    rig.tick(6)
    before = len(rig.frames[port])
    feed(rig, track, FRAME)
    rig.tick(2)
    assert len(rig.frames[port]) == before
    feed(rig, track, 2 * FRAME)
    rig.tick(3)
    assert len(rig.frames[port]) > before


def test_live_track_plays_less_than_the_prebuffer_when_no_more_comes(rig, track):
    port = rig.feed_port()
    feed(rig, track, FRAME)
    rig.post(m.PlaceMark(track, "short"))
    names = [report.name for report in rig.tick(8) if isinstance(report, m.MarkReached)]
    assert names == ["short"]
    np.testing.assert_array_equal(rig.heard(port)[:FRAME], ramp(FRAME))


def test_live_track_plays_its_end_at_once(rig, track):
    rig.feed_port()
    feed(rig, track, 100)
    rig.post(m.EndTrack(track))
    assert [type(report) for report in rig.tick(2)] == [m.TrackStarted, m.TrackEnded]


def test_clear_before_the_prebuffer_is_full_leaves_nothing_and_returns_the_marks(rig, track):
    port = rig.feed_port()
    feed(rig, track, FRAME)
    rig.post(m.PlaceMark(track, "a"), m.PlaceMark(track, "b"), m.ClearTrack(track))
    reports = [report for report in rig.tick(10) if isinstance(report, m.MarkReached)]
    assert [(report.name, report.cleared) for report in reports] == [("a", True), ("b", True)]
    assert port not in rig.frames


def test_drop_before_the_prebuffer_is_full_ends_the_track(rig, track):
    rig.feed_port()
    feed(rig, track, FRAME)
    rig.post(m.DropTrack(track))
    assert [type(report) for report in rig.tick(2)] == [m.TrackDropped]


def test_lone_message_sounds_in_the_second_tick(rig, track):
    """40 ms at most after it was fed: the first tick cannot know that nothing follows."""
    rig.feed_port()
    feed(rig, track, FRAME)
    assert rig.tick() == []
    assert isinstance(rig.tick()[0], m.TrackStarted)


def test_lone_message_after_a_pause_is_a_new_talk_spurt(rig, track):
    port = rig.feed_port()
    feed(rig, track, 3 * FRAME)
    rig.tick(20)
    before = len(rig.frames[port])
    feed(rig, track, FRAME)
    rig.tick()
    assert len(rig.frames[port]) == before
    rig.tick()
    assert len(rig.frames[port]) > before


def test_crumbs_are_gathered_before_they_sound(rig, track):
    rig.feed_port()
    feed(rig, track, 20)
    assert rig.tick(3) == []
    feed(rig, track, 3 * FRAME)
    assert [type(report) for report in rig.tick()] == [m.TrackStarted]
