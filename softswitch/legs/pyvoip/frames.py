"""Conversion between the audio of pyVoIP, 8-bit unsigned linear at 8 kHz, and PCM16 of the engine."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

RATE = 8000
FRAME = 160
"""Bytes of 20 ms."""
SILENCE = 0x80


class Widener:
    """Converter from 8-bit audio to PCM16; for one call and one thread."""

    def __init__(self) -> None:
        # Only here: PyAV takes 16 MB, and few switches have legs of pyVoIP.
        from av.audio.frame import AudioFrame  # noqa: PLC0415
        from av.audio.resampler import AudioResampler  # noqa: PLC0415

        self._frame = AudioFrame
        self._resampler = AudioResampler(format="s16", layout="mono", rate=RATE)

    def frame(self, data: bytes) -> "AudioFrame":
        """Return 8-bit audio of any length as a PyAV frame (u8, mono, 8 kHz)."""
        frame = self._frame.from_ndarray(
            np.frombuffer(data, np.uint8).reshape(1, -1), format="u8", layout="mono"
        )
        frame.sample_rate = RATE
        return frame

    def widen(self, data: bytes) -> bytes:
        """Return 8-bit audio as PCM16 little endian of the same rate."""
        wide = self._resampler.resample(self.frame(data))
        return b"".join(bytes(frame.planes[0])[: frame.samples * 2] for frame in wide)


def narrow(pcm: bytes) -> bytes:
    """Return PCM16 little endian as 8-bit unsigned linear.

    Samples are rounded: truncation would turn -1 into a whole step of 256, and silence into crackle.
    """
    wide = np.frombuffer(pcm, "<i2").astype(np.int32)
    octets: NDArray[np.uint8] = np.clip(((wide + 128) >> 8) + SILENCE, 0, 255).astype(np.uint8)
    return octets.tobytes()
