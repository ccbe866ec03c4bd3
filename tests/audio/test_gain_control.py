"""Automatic gain control."""

import numpy as np
import pytest

from softswitch.audio.gain_control import LEAST_DB, MOST_DB, TARGET_DBOV, GainControl
from softswitch.audio.level import dbov
from softswitch.audio.pcm import FULL_SCALE, Pcm

TICK = 480


def speech(level_dbov: float, seconds: float) -> Pcm:
    """Return noise in syllables: 160 ms on, 80 ms off."""
    size = int(seconds * 24000)
    sound = np.random.default_rng(1).standard_normal(size) * FULL_SCALE * 10 ** (level_dbov / 20)
    sound *= np.arange(size) % 5760 < 3840
    return sound.astype(np.float32)


def through(control: GainControl, sound: Pcm) -> Pcm:
    frames = [control.process(sound[at : at + TICK]) for at in range(0, len(sound) - TICK + 1, TICK)]
    return np.concatenate(frames)


@pytest.mark.parametrize("level", [-38.0, -30.0, -20.0, -12.0])
def test_speech_of_any_level_comes_to_the_target(level: float) -> None:
    raised = through(GainControl(), speech(level, 6.0))[-4 * 5760 :]
    loud = raised[np.arange(raised.size) % 5760 < 3840]
    assert float(dbov(loud[None])[0]) == pytest.approx(TARGET_DBOV, abs=1.5)


def test_gain_is_bounded_both_ways() -> None:
    quiet, loud = GainControl(), GainControl()
    through(quiet, speech(-52.0, 6.0))
    through(loud, speech(-1.0, 3.0))
    assert quiet.gain_db == MOST_DB
    assert LEAST_DB <= loud.gain_db < 0.0


def test_silence_and_steady_noise_do_not_move_the_gain() -> None:
    control = GainControl()
    through(control, speech(-30.0, 3.0))
    settled = control.gain_db
    rng = np.random.default_rng(2)
    through(control, np.zeros(24000, np.float32))
    through(control, (rng.standard_normal(120000) * FULL_SCALE * 10 ** (-62 / 20)).astype(np.float32))
    assert control.gain_db == settled
    assert settled > 5.0


def test_a_sudden_shout_is_not_clipped_by_the_gain() -> None:
    control = GainControl()
    through(control, speech(-45.0, 5.0))
    assert control.gain_db > 15.0
    shout = np.full(TICK, 20000.0, np.float32)
    assert np.abs(control.process(shout)).max() < FULL_SCALE
