"""The beeps that announce a recording."""

import numpy as np

from softswitch.audio.pcm import from_bytes
from softswitch.media import messages as m
from softswitch.media.recording.announcement import BEEP_MS, AnnouncementTone
from tests.media.rig import Rig


def beeps(tone: AnnouncementTone, ticks: int) -> list[int]:
    """Return the ticks in which the tone sounds."""
    return [tick for tick in range(ticks) if tone.frame() is not None]


def heard(rig: Rig, port: int) -> np.ndarray:
    frames = rig.frames.get(port, [])
    return from_bytes(b"".join(frames)) if frames else np.zeros(0, np.float32)


def test_beep_lasts_a_fifth_of_a_second_and_comes_again():
    assert beeps(AnnouncementTone(15_000), 1500) == [*range(10), *range(750, 760)]


def test_shortest_interval_leaves_a_pause():
    assert len(beeps(AnnouncementTone(1), 40)) == 20


def test_beep_is_of_1400_hertz():
    tone = AnnouncementTone(2000)
    sound = np.concatenate([tone.frame() for _ in range(BEEP_MS // 20)])
    spectrum = np.abs(np.fft.rfft(sound))
    assert abs(np.fft.rfftfreq(len(sound), 1 / 24000)[spectrum.argmax()] - 1400) < 5
    assert 1000 < np.abs(sound).max() < 4000


def test_all_of_the_mix_hear_it_and_nobody_else(tmp_path):
    rig = Rig()
    one, two, elsewhere = rig.feed_port(1), rig.feed_port(1), rig.feed_port(2)
    rig.post(m.StartRecorder(7, one, str(tmp_path / "a.wav"), tone_ms=2000))
    rig.tick(20)
    for port in (one, two):
        assert np.abs(heard(rig, port)).max() > 1000
    np.testing.assert_array_equal(heard(rig, one)[: 480 * 10], heard(rig, two)[: 480 * 10])
    assert not heard(rig, elsewhere).any()
    rig.engine.stop()


def test_parties_that_are_bridged_hear_it_too(tmp_path):
    rig = Rig()
    one, two = rig.feed_port(1), rig.feed_port(2)
    rig.post(m.StartRecorder(7, two, str(tmp_path / "a.wav"), tone_ms=2000), m.JoinMix(two, 1))
    rig.tick(20)
    assert np.abs(heard(rig, one)).max() > 1000
    rig.engine.stop()


def test_paused_recording_is_silent_and_begins_with_a_beep_again(tmp_path):
    rig = Rig()
    port = rig.feed_port()
    rig.post(m.StartRecorder(7, port, str(tmp_path / "a.wav"), tone_ms=2000))
    rig.tick(15)
    rig.post(m.PauseRecorder(7, paused=True))
    rig.frames.clear()
    rig.tick(200)
    assert not heard(rig, port).any()
    rig.post(m.PauseRecorder(7, paused=False))
    rig.tick(5)
    assert np.abs(heard(rig, port)).max() > 1000
    rig.post(m.StopRecorder(7))
    rig.tick(1)
    rig.frames.clear()
    rig.tick(200)
    assert not heard(rig, port).any()
    rig.engine.stop()


def test_beep_is_added_to_a_playback(tmp_path):
    rig = Rig()
    port = rig.feed_port()
    rig.track(pcm=np.full(480 * 50, 500.0))
    rig.post(m.StartRecorder(7, port, str(tmp_path / "a.wav"), tone_ms=2000))
    rig.tick(15)
    sound = heard(rig, port)
    assert abs(float(sound.mean()) - 500) < 20
    assert sound.max() > 1500
    rig.engine.stop()
