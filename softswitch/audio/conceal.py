"""Concealment of lost packets by repetition of pitch periods, for codecs that have no other.

As in ITU-T G.711 Appendix I, a voice is assumed to continue unchanged for some tens of milliseconds. Unlike
there, no delay is added: the appendix holds back 3.75 ms of audio for a cross-fade into the repetition; here
the step between the last sample and the repetition is measured, and faded out.

Where the packet after the gap has come already, the first period of its sound is repeated backwards through
the gap as well, and the repetition of the past is cross-faded into that of the future.
"""

from collections.abc import Iterator

import numpy as np

from softswitch.audio.pcm import FULL_SCALE, Indices, Pcm, fade
from softswitch.audio.pitch import best_lags, continued

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

_COMPARED_MS = 5.0
"""Length of the sound after a gap that is compared with later sound to find its period, milliseconds: with
the longest period it fits into a packet of 20 ms."""

LEAST_FUTURE_MS = 17
"""Shortest sound after a gap that is repeated backwards, milliseconds: periods of up to 12 ms are found in
it. In 10 ms only high voices have a period, and a wrong one is heard more than no bridge."""


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
        self._compared = samples(_COMPARED_MS)
        self._kept = self._longest + self._window
        self._history = np.zeros((0, self._kept), np.float32)
        self._source = np.zeros((0, self._longest), np.float32)
        self._period = np.zeros(0, np.intp)
        self._step = np.zeros(0, np.float32)
        self._run = np.zeros(0, np.intp)
        self._ends: dict[int, tuple[Pcm, Pcm]] = {}
        """Of slots with a bridged gap: how the bridge continues into the sound after the gap, and the weights
        of that sound, 0 where the bridge replaces it."""
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
        for slot in np.atleast_1d(slots).tolist() if self._ends else ():
            self._ends.pop(slot, None)

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
        pcm = self.ahead(slots, samples)
        self._run[slots] += samples
        self._remember(pcm, slots)
        return pcm

    def ahead(self, slots: Indices, samples: int) -> Pcm:
        """Return the repetition of the past of slots whose loss begins or goes on; it is not remembered."""
        if self._ends:
            # A gap that was bridged is followed by another one.
            for slot in slots.tolist():
                if self._ends.pop(slot, None) is not None:
                    self._run[slot] = 0
        fresh = slots[self._run[slots] == 0]
        if fresh.size:
            self._source[fresh], self._period[fresh], self._step[fresh] = self._cycles(
                self._history[fresh], self._longest, self._window
            )
        return self._repetition(slots, samples)

    def between(self, ahead: Pcm, future: Pcm) -> Pcm:
        """Return a gap that leads from the past to the sound that follows, as long as `ahead`.

        Args:
            ahead: repetition of the past throughout the gap, ``(n, samples)``.
            future: the sound that follows, ``(n, count)``, :data:`LEAST_FUTURE_MS` at least.
        """
        samples = ahead.shape[1]
        # Backwards in time the sound after the gap is a past whose last period is repeated.
        back = self._continued(np.ascontiguousarray(future[:, ::-1]), samples)
        rising = ((np.arange(samples) + 0.5) / max(samples, 1)).astype(np.float32)
        pcm: Pcm = ahead + (back[:, ::-1] - ahead) * rising
        return np.clip(pcm, -FULL_SCALE, FULL_SCALE - 1.0, out=pcm)

    def bridge(self, future: Pcm, slots: Indices, samples: int) -> Pcm:
        """Conceal `samples` lost samples between the past and the sound that follows, ``(n, samples)``.

        That sound continues the gap as it is.

        Args:
            future: as for :meth:`between`.
            slots: rows of the state, each at most once, ``(n,)``.
            samples: how long the gap is.
        """
        pcm = self.between(self.ahead(slots, samples), future)
        self._run[slots] = 0
        self._remember(pcm, slots)
        return pcm

    def bridged(self, pcm: Pcm, slots: Indices, samples: int, certain: int) -> None:
        """Note a gap made with :meth:`between`, of which a part replaces the sound that follows.

        Args:
            pcm: the sound of the gap and of what follows, ``(n, count)``. The next sound of these slots is
                cross-faded with what follows.
            slots: rows of the state, each at most once, ``(n,)``.
            samples: how long the gap is.
            certain: from which sample after the gap on the next sound is heard.
        """
        ends = pcm[:, samples : samples + certain + self._return].copy()
        rising = np.zeros(certain + self._return, np.float32)
        rising[certain:] = fade(self._return)
        for slot, end in zip(slots.tolist(), ends, strict=True):
            self._ends[slot] = end, rising[: len(end)]
        self._run[slots] = max(samples, 1)
        self._remember(pcm[:, :samples], slots)

    def settle(self, pcm: Pcm, counts: Indices, slots: Indices) -> Pcm:
        """Do :meth:`good` for rows of different durations, padded with zeros behind their `counts`."""
        if not np.count_nonzero(counts != pcm.shape[1]):
            return self.good(pcm, slots)
        for count, rows in by_length(counts):
            if count:
                pcm[rows, :count] = self.good(pcm[rows, :count], slots[rows])
        return pcm

    def _cycles(self, past: Pcm, longest: int, window: int) -> tuple[Pcm, Indices, Pcm]:
        """Return sounds whose last periods can be repeated, the periods, and the steps before the repetition.

        The sounds are the last `longest` samples.

        Args:
            past: ``(n, count)``, `longest` + `window` samples at least.
            longest: longest period, samples.
            window: how many of the last samples are compared with earlier ones.
        """
        periods, _ = best_lags(past, self._shortest, longest, window, self.sample_rate)
        end = past.shape[1]
        rows = np.arange(len(past))
        steps = past[:, -1] - past[rows, end - 1 - periods]
        # The end of the cycle is cross-faded into the sound before its beginning, or every repetition would
        # click.
        blend = (periods // 4)[:, None].astype(np.float32)
        offset = np.arange(longest)
        weight = (offset.astype(np.float32) - (longest - 0.5) + blend) / np.maximum(blend, 1.0)
        np.clip(weight, 0.0, 1.0, out=weight)
        earlier = np.take_along_axis(past, np.maximum(offset - periods[:, None] + (end - longest), 0), axis=1)
        last = past[:, end - longest :]
        earlier -= last
        earlier *= weight
        earlier += last
        return earlier, periods, steps

    def _continued(self, past: Pcm, samples: int) -> Pcm:
        """Return `samples` samples that repeat the last period of each row, ``(n, samples)``."""
        longest = min(self._longest, past.shape[1] - self._compared)
        pcm = continued(
            past, self._shortest, longest, self._compared, self.sample_rate, seam=self._seam, samples=samples
        )
        if pcm is not None:
            return pcm
        return self.continue_slowly(past, samples)

    def continue_slowly(self, past: Pcm, samples: int) -> Pcm:
        """Do what ``softswitch_continue`` of ``pitch.c`` does in Python."""
        longest, short = min(self._longest, past.shape[1] - self._compared), min(samples, len(self._seam))
        source, periods, steps = self._cycles(past, longest, self._compared)
        pcm = _repeated(source, periods[:, None], np.arange(samples))
        pcm[:, :short] += steps[:, None] * self._seam[:short]
        return pcm

    def _repetition(self, slots: Indices, samples: int) -> Pcm:
        """Return the next `samples` samples of the repeated cycle, fading out in a long loss."""
        run, period = self._run[slots][:, None], self._period[slots][:, None]
        position = run + np.arange(samples)
        pcm = _repeated(self._source[slots], period, position)
        gain = np.clip((self._gone - position) / (self._gone - self._steady), 0.0, 1.0)
        pcm *= gain.astype(np.float32)
        short = min(samples, len(self._seam))
        pcm[:, :short] += np.where(run == 0, self._step[slots][:, None] * self._seam[:short], 0.0)
        return np.clip(pcm, -FULL_SCALE, FULL_SCALE - 1.0, out=pcm)

    def _welcome(self, pcm: Pcm, slots: Indices) -> Pcm:
        """Cross-fade rows that end a loss with their repetition, or with the end of a bridge."""
        rows = np.flatnonzero(self._run[slots])
        pcm = pcm.copy()
        if self._ends:
            ends = [self._ends.pop(slot, None) for slot in slots[rows].tolist()]
            for row, bridge in zip(rows.tolist(), ends, strict=True):
                if bridge is not None:
                    self._join(pcm[row], *bridge)
            self._run[slots[rows[[bridge is not None for bridge in ends]]]] = 0
            rows = rows[[bridge is None for bridge in ends]]
            if not len(rows):
                return pcm
        returning = slots[rows]
        overlap = min(self._return, pcm.shape[1])
        rising = fade(overlap)
        tail = self._repetition(returning, overlap)
        pcm[rows, :overlap] = pcm[rows, :overlap] * rising + tail * (1.0 - rising)
        self._run[returning] = 0
        return pcm

    @staticmethod
    def _join(pcm: Pcm, end: Pcm, rising: Pcm) -> None:
        """Cross-fade from the end of a bridge into a row that begins with the same sound."""
        count = min(len(end), len(pcm))
        pcm[:count] = end[:count] + (pcm[:count] - end[:count]) * rising[:count]

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


def _repeated(source: Pcm, period: Indices, position: Indices) -> Pcm:
    """Return the last `period` samples of each row over and over, from `position` of the repetition on."""
    return np.take_along_axis(source, source.shape[1] - period + position % period, axis=1)


def by_length(lengths: Indices) -> Iterator[tuple[int, Indices]]:
    """Yield each distinct length, and the rows that have it."""
    for length in sorted(set(lengths.tolist())):
        yield length, np.flatnonzero(lengths == length)
