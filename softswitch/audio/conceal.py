"""Concealment of lost packets by repeating the last pitch period, for codecs that have none of their own.

The idea is that of ITU-T G.711 Appendix I: a voice goes on as it was for some tens of milliseconds. What
differs is that nothing is delayed for it: where the appendix holds back 3.75 ms to blend into the repetition,
the step at the seam is measured here and let fade away.
"""

import numpy as np

from softswitch.audio.pcm import FULL_SCALE, Indices, Pcm, fade
from softswitch.audio.pitch import best_lags

_SHORTEST_MS, _LONGEST_MS = 2.5, 15.0
"""Pitch periods looked for: 400 Hz down to 67 Hz."""

_WINDOW_MS = 10.0
"""Stretch of sound compared with the past to find the period; 20 ms would look too far back."""

_STEADY_MS, _GONE_MS = 10.0, 70.0
"""A repetition keeps its level this long, and is silence after that: longer it would be a buzz."""

_SEAM_MS = 1.5
"""How long the step between the last sample and the repetition takes to fade."""

_RETURN_MS = 5.0
"""Blend from the repetition into the sound that comes back."""


class Concealer:
    """Remembers the recent sound of every slot and makes up for what is lost of it."""

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
        """Forget what `slots` sounded like."""
        self._history[slots] = 0.0
        self._run[slots] = 0

    def good(self, pcm: Pcm, slots: Indices) -> Pcm:
        """Take sound that arrived and return it, blended with the repetition where it ends a loss.

        Args:
            pcm: ``(n, samples)``; returned as it is when no row comes out of a loss.
            slots: rows of the state, each at most once, ``(n,)``.
        """
        if pcm.shape[1] == 0:
            return pcm
        if self._run[slots].any():
            pcm = self._welcome(pcm, slots)
        self._remember(pcm, slots)
        return pcm

    def lost(self, slots: Indices, samples: int) -> Pcm:
        """Return what `slots` might have said in `samples` lost samples, ``(n, samples)``."""
        fresh = slots[self._run[slots] == 0]
        if fresh.size:
            self._begin(fresh)
        pcm = self._repetition(slots, samples)
        self._run[slots] += samples
        self._remember(pcm, slots)
        return pcm

    def settle(self, pcm: Pcm, counts: Indices, slots: Indices) -> Pcm:
        """Do :meth:`good` for rows of different durations, padded with zeros behind their `counts`."""
        if len(counts) == 0 or (counts == pcm.shape[1]).all():
            return self.good(pcm, slots)
        for count in np.unique(counts[counts > 0]).tolist():
            rows = np.flatnonzero(counts == count)
            pcm[rows, :count] = self.good(pcm[rows, :count], slots[rows])
        return pcm

    def _begin(self, slots: Indices) -> None:
        """Find the period of rows whose loss begins, and make the cycle that will be repeated."""
        history = self._history[slots]
        periods, _ = best_lags(history, self._shortest, self._longest, self._window, self.sample_rate)
        self._period[slots] = periods
        end = history.shape[1]
        rows = np.arange(len(slots))
        self._step[slots] = history[:, -1] - history[rows, end - 1 - periods]
        # The end of the cycle is blended into what came before its beginning, or every turn would click.
        blend = periods // 4
        offset = np.arange(end)
        weight = np.clip((offset - (end - blend)[:, None] + 0.5) / np.maximum(blend, 1)[:, None], 0.0, 1.0)
        earlier = np.take_along_axis(history, np.maximum(offset - periods[:, None], 0), axis=1)
        self._source[slots] = history + (earlier - history) * weight

    def _repetition(self, slots: Indices, samples: int) -> Pcm:
        """Return the next `samples` samples of the repeated cycle, fading as the loss grows long."""
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
        """Blend rows that come out of a loss with the repetition they end."""
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
        # Rows are taken whole and shifted in one copy: cheaper than a ring, whose rows would each
        # begin somewhere else.
        recent[:, :-samples] = self._history[slots, samples:]
        recent[:, -samples:] = pcm
        self._history[slots] = recent
