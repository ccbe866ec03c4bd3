import numpy as np
import pytest

from softswitch.audio.level import dbov
from softswitch.audio.tone import BUSY, MILLIWATT, RINGBACK, RINGBACK_US, Tone
from tests.audio.sounds import frames, spectrum_db


def test_tone_is_the_same_wherever_rendering_begins():
    whole = RINGBACK.render(0, 24000)
    pieces = [RINGBACK.render(at, 480) for at in range(0, 24000, 480)]
    assert np.array_equal(np.concatenate(pieces), whole)


def test_tone_has_its_frequencies_and_its_level():
    pcm = RINGBACK_US.render(4800, 24000)
    frequencies, level = spectrum_db(pcm, 24000)
    assert sorted(frequencies[np.argsort(level)[-2:]].tolist()) == [440.0, 480.0]
    assert dbov(Tone((1000.0,), (), -16.0).render(240, 480)[None])[0] == pytest.approx(-16.0, abs=0.05)


def test_cadence_sounds_and_pauses_in_turn():
    loud = [bool(frame.any()) for frame in frames(BUSY.render(0, 48000), 2400)]
    assert loud == [True] * 5 + [False] * 5 + [True] * 5 + [False] * 5
    assert BUSY.sounding(100)
    assert not BUSY.sounding(18000)


@pytest.mark.parametrize("tone", [BUSY, MILLIWATT])
def test_edges_do_not_click(tone):
    pcm = tone.render(0, 24000)
    steepest = 2 * np.pi * max(tone.frequencies) / 24000 * np.abs(pcm).max()
    assert np.abs(np.diff(pcm, prepend=0.0)).max() < 1.1 * steepest


def test_phase_stays_exact_after_a_day():
    day = 24000 * 86400
    assert np.allclose(MILLIWATT.render(day, 480), MILLIWATT.render(day % 24000 + 24000, 480), atol=0.01)
