"""Resampling of tracks to the bus rate piece by piece; all tracks of one rate share one filter."""

from math import gcd
from typing import Protocol

import numpy as np

from softswitch.audio.pcm import BUS_RATE, TICK_MS, Pcm
from softswitch.audio.resample import Resampler, StreamResampler

_WIDEST = 1000
"""Largest denominator of the ratio of rates for a matrix filter; beyond it the matrix has hundreds of MB."""


class Converter:
    """Stateless filter of one sample rate: each piece comes with the samples before it."""

    def __init__(self, rate: int) -> None:
        """Make the filter for `rate` Hz."""
        self.rate = rate
        down = rate // gcd(rate, BUS_RATE)
        self.unit = -(-rate * TICK_MS // 1000 // down) * down
        """Pieces are whole multiples of this many samples (about 20 ms)."""
        self._resampler = Resampler(rate, BUS_RATE)
        self.past = self._resampler.past
        """Samples before a piece that its output depends on."""
        self.lag = round(self._resampler.delay * BUS_RATE)
        """Delay of the filter, samples at the bus rate."""

    def convert(self, before: Pcm, pcm: Pcm) -> Pcm:
        """Return `pcm`, ``(k * unit,)``, at the bus rate, given the ``(past,)`` samples before it."""
        return self._resampler.process_row(before, pcm)


class Stretch(Protocol):
    """Resampler of consecutive audio: pieces in, samples at the bus rate out, without the filter's delay."""

    unit: int
    """All pieces but the last must be whole multiples of this many samples."""
    number: int
    """Number of stretches begun before this one."""

    def process(self, pcm: Pcm) -> Pcm:
        """Return the output for the next piece, ``(k * unit,)``, as far as the filter has it."""

    def finish(self, pcm: Pcm) -> Pcm:
        """Return the output for the last piece, of any length, the rest in the filter, and some silence."""


class Converters:
    """Filters by sample rate, made when first used; for one thread."""

    _KEPT = 16
    """Most rates whose filters are kept: clients that try many rates must not fill the memory."""

    def __init__(self) -> None:
        """Begin without filters."""
        self._known: dict[int, Converter] = {}
        self._begun = 0

    def begin(self, rate: int) -> Stretch:
        """Return a new stretch at `rate` Hz."""
        if rate == BUS_RATE:
            return _STRAIGHT
        self._begun += 1
        if rate // gcd(rate, BUS_RATE) > _WIDEST:
            return _LooseStretch(rate, self._begun)
        converter = self._known.get(rate)
        if converter is None:
            if len(self._known) >= self._KEPT:
                self._known.pop(next(iter(self._known)))
            converter = self._known[rate] = Converter(rate)
        return _SharedStretch(converter, self._begun)


class _SharedStretch:
    """A stretch through a shared filter; it keeps the samples before its next piece."""

    def __init__(self, converter: Converter, number: int) -> None:
        self.number = number
        self.unit = converter.unit
        self._converter = converter
        self._before = np.zeros(converter.past, np.float32)
        self._skip = converter.lag

    def process(self, pcm: Pcm) -> Pcm:
        out = self._converter.convert(self._before, pcm)
        self._before = pcm[-len(self._before) :]
        if self._skip:
            out, self._skip = out[self._skip :], max(self._skip - len(out), 0)
        return out

    def finish(self, pcm: Pcm) -> Pcm:
        units = -(-len(pcm) // self.unit) + 1
        return self.process(np.pad(pcm, (0, units * self.unit - len(pcm))))


class _Straight:
    """Audio that has the bus rate already; stateless, so that all stretches share one instance."""

    unit = BUS_RATE * TICK_MS // 1000
    number = 0

    def process(self, pcm: Pcm) -> Pcm:
        return pcm

    def finish(self, pcm: Pcm) -> Pcm:
        return pcm


_STRAIGHT = _Straight()


class _LooseStretch:
    """A stretch at an unusual rate, through a slower filter of its own."""

    def __init__(self, rate: int, number: int) -> None:
        self.number = number
        self.unit = rate * TICK_MS // 1000
        self._resampler = StreamResampler(rate, BUS_RATE)

    def process(self, pcm: Pcm) -> Pcm:
        return self._resampler.process(pcm)

    def finish(self, pcm: Pcm) -> Pcm:
        return np.concatenate((self._resampler.process(pcm), self._resampler.flush()))
