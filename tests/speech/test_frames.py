import numpy as np
import pytest

from softswitch.audio.pcm import to_bytes
from softswitch.speech.endpointer import FRAME, RATE
from softswitch.speech.frames import FrameCutter


def test_pieces_of_any_length_become_whole_frames():
    cutter, sound = FrameCutter(RATE), np.linspace(-0.5, 0.5, FRAME * 3, dtype=np.float32)
    data = to_bytes(sound)
    frames = [frame for at in range(0, len(data), 250) for frame in cutter.push(data[at : at + 250])]
    assert [frame.size for frame in frames] == [FRAME] * 3
    assert b"".join(to_bytes(frame) for frame in frames) == data


@pytest.mark.parametrize("rate", [8000, 24000, 48000])
def test_other_rates_are_resampled(rate):
    cutter = FrameCutter(rate)
    count = sum(1 for _ in range(50) for _ in cutter.push(bytes(rate // 50 * 2)))
    assert 48 <= count <= 50
