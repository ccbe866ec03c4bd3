"""The default music on hold."""

import numpy as np
import pytest

from softswitch.audio import hold_music

NOTES = sorted({261.6256 * 2 ** (note / 12) for chord in hold_music._CHORDS for note in chord}
               | {261.6256 * 2 ** (note / 12) for note in hold_music._SCALE})  # fmt: skip


@pytest.fixture(scope="module")
def music() -> np.ndarray:
    return hold_music.render(24000)


def test_it_is_the_same_each_time_and_of_a_whole_number_of_seconds(music):
    assert np.array_equal(music, hold_music.render(24000))
    assert len(music) == hold_music.SECONDS * 24000 == 24 * 24000
    assert len(hold_music.render(8000)) == 24 * 8000


def test_it_is_quiet_never_silent_and_never_clipped(music):
    level = 20 * np.log10(np.sqrt(np.mean(music.astype(float) ** 2)) / 32768)
    assert level == pytest.approx(hold_music.LEVEL_DBOV, abs=0.1)
    assert np.abs(music).max() < 16384
    seconds = music.reshape(-1, 12000).astype(float)
    levels = 20 * np.log10(np.sqrt(np.mean(seconds**2, axis=1)) / 32768)
    assert levels.min() > hold_music.LEVEL_DBOV - 9
    assert levels.max() < hold_music.LEVEL_DBOV + 6


def test_it_is_repeated_without_a_click(music):
    steps = np.abs(np.diff(music.astype(int)))
    assert abs(int(music[0]) - int(music[-1])) <= steps.max()
    across = np.abs(np.diff(np.concatenate((music[-240:], music[:240])).astype(int)))
    assert across.max() <= steps.max()


def test_its_power_lies_at_its_notes_and_within_the_band_of_telephones(music):
    power = np.abs(np.fft.rfft(music)) ** 2
    hz = np.fft.rfftfreq(len(music), 1 / 24000)
    tuned = np.zeros(len(hz), bool)
    for note in NOTES:
        for overtone in range(1, 5):
            tuned |= np.abs(hz - note * overtone) < 6
    assert power[tuned].sum() > 0.97 * power.sum()
    assert power[(hz > 120) & (hz < 3400)].sum() > 0.97 * power.sum()
