"""Concealment of lost packets by repetition of the last pitch period, for codecs that have no other.

As in ITU-T G.711 Appendix I, a voice is assumed to continue unchanged for some tens of milliseconds. Unlike
there, no delay is added: the appendix holds back 3.75 ms of audio for a cross-fade into the repetition; here
the step between the last sample and the repetition is measured, and faded out.
"""

import numpy as np

from softswitch.audio.pcm import FULL_SCALE, Indices, Pcm, fade
from softswitch.audio.pitch import best_lags

_SHORTEST_MS, _LONGEST_MS = 2.5, 15.0
"""Range of pitch periods, milliseconds: 400 Hz down to 67 Hz."""

_WINDOW_MS = 10.0
"""Length of the sound compared with the past to find the period, milliseconds; longer sound is less
periodic."""

_STEADY_MS, _GONE_MS = 10.0, 70.0
"""Time for which a repetition keeps its level, and time from which on it is silent, milliseconds; a longer
repetition sounds like a buzz."""

_SEAM_MS = 1.5
"""Time in which the step between the last sample and the repetition fades, milliseconds."""

_RETURN_MS = 5.0
"""Cross-fade from the repetition into the sound after the loss, milliseconds."""


class Concealer:
    """Recent sound of every slot, and concealment made of it."""

    def __init__(self, sample_rate: int, slots: int = 0) -> None:
        """Make a concealer for audio of `sample_rate` Hz with `slots` rows to begin with."""

        def samples(milliseconds: float) -> int:
            return round(sample_rate * milliseconds / 1000)

        self.sample_rate = sample_rate
        self._shortest, self._longest = samples(_SHORTEST_MS), samples(_LONGEST_MS)
        self._window = samples(_WINDOW_MS)
        self._steady, self._gone = samples(_STEADY_MS), samples(_GONE_MS)
        self._seam = fade(samples(_SEAM_MS), rising=False)
        self._return = samples(_RETURN_MS)
        self._kept = self._longest + self._window
        self._history = np.zeros((0, self._kept), np.float32)
        self._source = np.zeros((0, self._kept), np.float32)
        self._period = np.zeros(0, np.intp)
        self._step = np.zeros(0, np.float32)
        self._run = np.zeros(0, np.intp)
        self.grow(slots)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1, the new ones silent."""
        more = slots - len(self._run)
        if more > 0:
            self._history = np.pad(self._history, ((0, more), (0, 0)))
            self._source = np.pad(self._source, ((0, more), (0, 0)))
            self._period = np.pad(self._period, (0, more), constant_values=self._shortest)
            self._step = np.pad(self._step, (0, more))
            self._run = np.pad(self._run, (0, more))

    def reset(self, slots: Indices | int) -> None:
        """Clear the sound of `slots`."""
        self._history[slots] = 0.0
        self._run[slots] = 0

    def tables(self) -> tuple[Pcm, Indices]:
        """Return the recent sound and the samples lost last of all slots; growing replaces the arrays."""
        return self._history, self._run

    def good(self, pcm: Pcm, slots: Indices) -> Pcm:
        """Store received sound and return it, cross-faded with the repetition where it ends a loss.

        Args:
            pcm: ``(n, samples)``; returned as it is when no row comes out of a loss.
            slots: rows of the state, each at most once, ``(n,)``.
        """
        if pcm.shape[1] == 0:
            return pcm
        if np.count_nonzero(self._run[slots]):
            pcm = self._welcome(pcm, slots)
        self._remember(pcm, slots)
        return pcm

    def lost(self, slots: Indices, samples: int) -> Pcm:
        """Return concealment for `samples` lost samples of each slot, ``(n, samples)``."""
        fresh = slots[self._run[slots] == 0]
        if fresh.size:
            self._begin(fresh)
        pcm = self._repetition(slots, samples)
        self._run[slots] += samples
        self._remember(pcm, slots)
        return pcm

    def settle(self, pcm: Pcm, counts: Indices, slots: Indices) -> Pcm:
        """Do :meth:`good` for rows of different durations, padded with zeros behind their `counts`."""
        if not np.count_nonzero(counts != pcm.shape[1]):
            return self.good(pcm, slots)
        for count in np.unique(counts[counts > 0]).tolist():
            rows = np.flatnonzero(counts == count)
            pcm[rows, :count] = self.good(pcm[rows, :count], slots[rows])
        return pcm

    def _begin(self, slots: Indices) -> None:
        """Find the period of rows whose loss begins, and make the cycle to be repeated."""
        history = self._history[slots]
        periods, _ = best_lags(history, self._shortest, self._longest, self._window, self.sample_rate)
        self._period[slots] = periods
        end = history.shape[1]
        rows = np.arange(len(slots))
        self._step[slots] = history[:, -1] - history[rows, end - 1 - periods]
        # The end of the cycle is cross-faded into the sound before its beginning, or every repetition would
        # click.
        blend = periods // 4
        offset = np.arange(end)
        weight = np.clip((offset - (end - blend)[:, None] + 0.5) / np.maximum(blend, 1)[:, None], 0.0, 1.0)
        earlier = np.take_along_axis(history, np.maximum(offset - periods[:, None], 0), axis=1)
        self._source[slots] = history + (earlier - history) * weight

    def _repetition(self, slots: Indices, samples: int) -> Pcm:
        """Return the next `samples` samples of the repeated cycle, fading out in a long loss."""
        run, period = self._run[slots][:, None], self._period[slots][:, None]
        position = run + np.arange(samples)
        source = self._source[slots]
        pcm = np.take_along_axis(source, source.shape[1] - period + position % period, axis=1)
        gain = np.clip((self._gone - position) / (self._gone - self._steady), 0.0, 1.0)
        pcm *= gain.astype(np.float32)
        short = min(samples, len(self._seam))
        pcm[:, :short] += np.where(run == 0, self._step[slots][:, None] * self._seam[:short], 0.0)
        return np.clip(pcm, -FULL_SCALE, FULL_SCALE - 1.0, out=pcm)

    def _welcome(self, pcm: Pcm, slots: Indices) -> Pcm:
        """Cross-fade rows that end a loss with their repetition."""
        rows = np.flatnonzero(self._run[slots])
        returning = slots[rows]
        overlap = min(self._return, pcm.shape[1])
        rising = fade(overlap)
        pcm = pcm.copy()
        tail = self._repetition(returning, overlap)
        pcm[rows, :overlap] = pcm[rows, :overlap] * rising + tail * (1.0 - rising)
        self._run[returning] = 0
        return pcm

    def _remember(self, pcm: Pcm, slots: Indices) -> None:
        samples = pcm.shape[1]
        if samples >= self._kept:
            self._history[slots] = pcm[:, -self._kept :]
            return
        recent = np.empty((len(slots), self._kept), np.float32)
        # The history is shifted by a copy of whole rows: cheaper than a ring, in which each row would begin
        # at another place.
        recent[:, :-samples] = self._history[slots, samples:]
        recent[:, -samples:] = pcm
        self._history[slots] = recent
