"""The tone that announces a recording: a short beep now and then, which all parties of the call hear.

The form is the custom of the United States (tariffs under 47 CFR 64.501): 1400 Hz for 0.2 s about every 15 s.
"""

from softswitch.audio.pcm import BUS_RATE, Pcm
from softswitch.audio.tone import Tone

BEEP_MS = 200
LEVEL_DBOV = -23.0
"""Level while it sounds, decibels below overload: that of quiet speech."""
_FRAME = BUS_RATE // 50
"""Samples of a tick."""
_FRAME_MS = 20
_BEEP = Tone((1400.0,), (BEEP_MS, BEEP_MS), LEVEL_DBOV).render(0, BUS_RATE * BEEP_MS // 1000)


class AnnouncementTone:
    """Beeps of one recording, the first one as it begins."""

    def __init__(self, interval_ms: int) -> None:
        """Begin with a beep.

        Args:
            interval_ms: From the beginning of a beep to that of the next, milliseconds.
        """
        self._ticks = max(interval_ms, 2 * BEEP_MS) // _FRAME_MS
        self._tick = 0

    def restart(self) -> None:
        """Begin with a beep again: the recording was paused and goes on."""
        self._tick = 0

    def frame(self) -> Pcm | None:
        """Return the next 20 ms, ``(480,)``; None where it is silent. Callers must not write to it."""
        at = self._tick * _FRAME
        self._tick = (self._tick + 1) % self._ticks
        return _BEEP[at : at + _FRAME] if at < len(_BEEP) else None
