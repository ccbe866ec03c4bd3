import numpy as np
import pytest

from softswitch.speech.builtin.voice_frames import BLOCK, BLOCKS, HOP, SIZE, Spectra, hiss, sound


def spectra(frames, level):
    shape = (SIZE // 2 + 1, frames)
    silent = np.full(shape, -30.0, np.float32)
    return Spectra(np.full(shape, level, np.float32), np.zeros(shape, np.float32), silent, silent, silent)


@pytest.mark.parametrize("frames", [1, 3, BLOCKS[0], BLOCKS[0] + 1, 200, 500])
def test_a_spectrum_of_ones_gives_back_what_excites_it(frames):
    """With a magnitude of 1 everywhere the filter does nothing, across all borders of blocks."""
    pulses = np.sin(np.arange(frames * HOP) * 0.05).astype(np.float32) * 0.5
    blocks = list(sound(spectra(frames, 0.0), pulses, hiss(BLOCK + 1, 1)))
    whole = np.concatenate(blocks)
    assert len(whole) == frames * HOP
    # The source's window has a sum of SIZE / 2 and is divided by SIZE / 4; windowed twice, Hann sums to 1.5.
    inside = slice(SIZE, max(len(whole) - SIZE, SIZE))
    expected = pulses * 0
    for part in range(4):
        window = (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(len(pulses)) + part * HOP) / SIZE)) ** 2
        expected += window * pulses / (SIZE / 4) / 1.5
    assert np.allclose(whole[inside], expected[inside], atol=1e-5)


def test_blocks_grow():
    blocks = list(sound(spectra(400, 0.0), np.zeros(400 * HOP, np.float32), hiss(BLOCK + 1, 1)))
    # The first one lacks the half window that lies before the first sample.
    assert len(blocks[0]) == BLOCKS[0] * HOP - SIZE // 2
    assert [len(block) // HOP for block in blocks[1:4]] == [*BLOCKS[1:], BLOCK]


def test_noise_is_there_and_differs_from_frame_to_frame():
    shape = (SIZE // 2 + 1, 60)
    silent, loud = np.full(shape, -30.0, np.float32), np.full(shape, 0.0, np.float32)
    noise = Spectra(silent, silent, loud, silent, silent)
    heard = np.concatenate(list(sound(noise, np.zeros(60 * HOP, np.float32), hiss(BLOCK + 10, 1))))
    assert heard.std() > 0.01
    assert not np.allclose(heard[3000:3300], heard[3300:3600])
