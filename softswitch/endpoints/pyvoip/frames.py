"""The audio of pyVoIP, 8-bit unsigned linear at 8 kHz, and that of the engine, PCM16."""

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

RATE = 8000
FRAME = 160
"""Bytes of 20 ms, as pyVoIP reads and writes them."""
SILENCE = 0x80


class Widener:
    """Turns what pyVoIP reads into PyAV frames, and those into PCM16; for one call and one thread."""

    def __init__(self) -> None:
        """Prepare the conversion."""
        self._resampler = AudioResampler(format="s16", layout="mono", rate=RATE)

    def frame(self, data: bytes) -> AudioFrame:
        """Return 8-bit audio of any length as a PyAV frame (u8, mono, 8 kHz)."""
        frame = AudioFrame.from_ndarray(
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

    Rounded, not cut: a cut sample of -1 would become a whole step of the 8 bits, and silence would crackle.
    """
    wide = np.frombuffer(pcm, "<i2").astype(np.int32)
    octets: NDArray[np.uint8] = np.clip(((wide + 128) >> 8) + SILENCE, 0, 255).astype(np.uint8)
    return octets.tobytes()
