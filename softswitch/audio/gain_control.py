"""Automatic gain control of one stream: speech is brought to one level, slowly and within bounds."""

import numpy as np

from softswitch.audio.level import dbov, gain
from softswitch.audio.pcm import FULL_SCALE, Pcm

TARGET_DBOV = -20.0
"""Level that speech is brought to."""
LEAST_DB, MOST_DB = -15.0, 24.0
"""Bounds of the gain."""
_UP_DB, _DOWN_DB = 0.16, 0.6
"""Most change of the gain in 20 ms of speech: 8 dB a second up, 30 down."""
_WEIGHT = 0.06
"""Of a new frame in the mean power of speech: 0.3 s."""
_SOFTEST_DBOV, _ABOVE_NOISE_DB = -56.0, 10.0
"""A frame is speech from here on, and from so far above the noise."""
_FALL, _RISE_DB = 0.25, 0.04
_START_DBOV, _QUIETEST_DBOV = -60.0, -80.0
_CEILING = np.float32(FULL_SCALE * 0.89)
"""No sample is raised above -1 dB of full scale."""


class GainControl:
    """Takes frames of 20 ms and returns as many samples, at once.

    Only speech moves the gain: in silence it stays, so that noise is not raised.
    """

    def __init__(self) -> None:
        """Begin with no gain."""
        self._noise_dbov = _START_DBOV
        self._power: float | None = None
        self.gain_db = 0.0
        """What the end of the last frame was raised by."""

    def process(self, row: Pcm) -> Pcm:
        """Return a frame ``(samples,)`` in PCM16 units at the wanted level."""
        level = float(dbov(row[None])[0])
        before = self.gain_db
        if self._is_speech(level):
            power = 10.0 ** (level / 10.0)
            self._power = power if self._power is None else self._power + _WEIGHT * (power - self._power)
            wanted = TARGET_DBOV - 10.0 * float(np.log10(self._power))
            step = min(max(wanted - self.gain_db, -_DOWN_DB), _UP_DB)
            self.gain_db = min(max(self.gain_db + step, LEAST_DB), MOST_DB)
        peak = float(np.abs(row).max(initial=0.0))
        if peak * gain(self.gain_db) > _CEILING and self.gain_db > 0.0:
            self.gain_db = max(20.0 * float(np.log10(_CEILING / peak)), 0.0)
            before = min(before, self.gain_db)
        ramp = np.linspace(gain(before), gain(self.gain_db), row.size, dtype=np.float32)
        raised: Pcm = row * ramp
        return raised

    def _is_speech(self, level: float) -> bool:
        if level < self._noise_dbov:
            self._noise_dbov = max(self._noise_dbov + _FALL * (level - self._noise_dbov), _QUIETEST_DBOV)
        else:
            self._noise_dbov = min(self._noise_dbov + _RISE_DB, max(level, _START_DBOV))
        return level > max(self._noise_dbov + _ABOVE_NOISE_DB, _SOFTEST_DBOV)
