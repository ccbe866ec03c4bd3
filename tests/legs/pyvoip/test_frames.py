"""Conversion between 8-bit and 16-bit audio."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.legs.pyvoip.frames import Widener, narrow


def test_frame_is_one_of_pyav_in_the_format_of_pyvoip() -> None:
    frame = Widener().frame(bytes(160))
    assert (frame.format.name, frame.layout.name, frame.sample_rate, frame.samples) == (
        "u8",
        "mono",
        8000,
        160,
    )


@settings(deadline=None, max_examples=50)
@given(st.binary(min_size=1, max_size=480))
def test_what_is_widened_and_narrowed_is_what_it_was(data: bytes) -> None:
    wide = Widener().widen(data)
    assert len(wide) == 2 * len(data)
    assert narrow(wide) == data


def test_narrow_rounds_so_that_faint_noise_becomes_silence() -> None:
    pcm = np.array([0, 1, -1, 127, -128, 128, -129, 32767, -32768], "<i2")
    assert list(narrow(pcm.tobytes())) == [128, 128, 128, 128, 128, 129, 127, 255, 0]
