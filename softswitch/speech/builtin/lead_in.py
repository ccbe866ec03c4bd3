"""The silence that a voice draws breath with, which a caller would only wait through."""

from collections.abc import Callable

import numpy as np

OnAudio = Callable[[bytes, int], bool]
"""Take PCM16 and its rate in Hz; return whether to go on."""

_QUIET = 160
"""Amplitude, PCM16 units, up to which a voice's first samples count as silence."""
_KEEP_MS = 10


class LeadIn:
    """Passes a sentence's audio on without its leading silence."""

    def __init__(self, on_audio: OnAudio) -> None:
        """Begin at the beginning of a sentence."""
        self._on_audio = on_audio
        self._begun = False
        self.trimmed_ms = 0
        """What was left out; words begin so much earlier."""

    def take(self, pcm: bytes, sample_rate: int) -> bool:
        """Take a piece; return whether to go on (an :data:`OnAudio`)."""
        if self._begun:
            return self._on_audio(pcm, sample_rate)
        loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)) > _QUIET)
        if not loud.size:
            self.trimmed_ms += len(pcm) // 2 * 1000 // sample_rate
            return self._on_audio(b"", sample_rate)
        self._begun = True
        start = max(0, int(loud[0]) - sample_rate * _KEEP_MS // 1000)
        self.trimmed_ms += start * 1000 // sample_rate
        return self._on_audio(pcm[2 * start :], sample_rate)
