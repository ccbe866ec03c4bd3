"""Makes late live tracks punctual: cuts silence, compresses speech, and drops audio that is later still.

The counterpart of :mod:`softswitch.media.feeds.catching_up`. A track gives any number of samples, so that no
rest of a frame has to be held between two ticks.
"""

import numpy as np

from softswitch.audio.pcm import BUS_RATE, FRAME, Pcm, fade
from softswitch.audio.stretch import accelerate
from softswitch.media.discards import DiscardCounter, DiscardKind
from softswitch.media.lateness import QUIET, Lateness
from softswitch.media.tracks.pcm_fifo import PcmFifo
from softswitch.media.tracks.queue_fifo import QueueFifo

_STRETCHED_TRACKS = 4
"""Tracks whose speech is compressed in one tick: the search for a pitch period is expensive."""

_MOST_SKIPPED = 2 * BUS_RATE
"""Most samples dropped from a track in one tick (2 s): they are resampled before they are dropped."""

_SEAM = fade(FRAME)


class LiveTracks:
    """The budget of each tick and the counters that all live tracks share."""

    def __init__(self, discards: DiscardCounter) -> None:
        """Begin without late tracks; `discards` counts discarded audio."""
        self._discards = discards
        self._now = -1.0
        self._tick = self._left = 0
        self._crowded = self._was_crowded = False

    def judge(self, prebuffer: int) -> Lateness:
        """Return the judge of a track, which counts samples at the bus rate.

        Args:
            prebuffer: wanted queue, samples at the bus rate.
        """
        return Lateness(BUS_RATE, prebuffer, sure=True)

    def next_frame(self, fifo: PcmFifo | QueueFifo, lateness: Lateness, now: float) -> Pcm:
        """Take the next frame of a track, shortened if the track is late.

        Args:
            fifo: audio of the track.
            lateness: judge of the track.
            now: monotonic seconds.

        Returns:
            ``(480,)``; fewer samples only at the end of the queue.
        """
        lateness.observe(now, fifo.end, fifo.waiting)
        pcm = fifo.take(FRAME)
        if not lateness.late or fifo.waiting < FRAME:
            return pcm
        silent = float(np.abs(pcm).max()) < QUIET
        hopeless = lateness.irrecoverable(now, silent=silent) // FRAME * FRAME
        if silent or hopeless:
            skipped = min(max(hopeless - FRAME, 0), fifo.waiting - FRAME, _MOST_SKIPPED)
            fifo.take(skipped)
            self._lose(lateness, "dropped" if hopeless else "cut", skipped + FRAME)
            later: Pcm = pcm * (1.0 - _SEAM) + fifo.take(FRAME) * _SEAM
            return later
        return self._compress(fifo, lateness, pcm, now)

    def _compress(self, fifo: PcmFifo | QueueFifo, lateness: Lateness, pcm: Pcm, now: float) -> Pcm:
        if not self._may_stretch(lateness, now):
            return pcm
        shorter, lengths = accelerate(pcm[np.newaxis])
        length = int(lengths[0])
        if length == FRAME:
            return pcm
        self._lose(lateness, "compressed", FRAME - length)
        return np.concatenate((shorter[0, :length], fifo.take(FRAME - length)))

    def _may_stretch(self, lateness: Lateness, now: float) -> bool:
        """Take a compression from the budget; after a crowded tick, tracks that had one come last."""
        if now != self._now:
            self._now, self._left = now, _STRETCHED_TRACKS
            self._tick += 1
            self._was_crowded, self._crowded = self._crowded, False
        if not self._left or (self._was_crowded and lateness.turn == self._tick - 1):
            self._crowded = True
            return False
        self._left -= 1
        lateness.turn = self._tick
        return True

    def _lose(self, lateness: Lateness, kind: DiscardKind, samples: int) -> None:
        lateness.cut(samples)
        self._discards.count(kind, samples)
