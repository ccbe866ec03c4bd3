"""Tracks brought to the bus's rate piece by piece, all of one rate through the same filter."""

from math import gcd
from typing import Protocol

import numpy as np

from softswitch.audio.pcm import BUS_RATE, TICK_MS, Pcm
from softswitch.audio.resample import Resampler, StreamResampler

_WIDEST = 1000
"""A ratio with a larger denominator would make a matrix of hundreds of megabytes."""

_ONLY_ROW = np.zeros(1, np.intp)


class Converter:
    """One rate's filter. It remembers nothing: each piece comes with the samples before it."""

    def __init__(self, rate: int) -> None:
        """Make the filter for `rate` Hz."""
        self.rate = rate
        down = rate // gcd(rate, BUS_RATE)
        self.unit = -(-rate * TICK_MS // 1000 // down) * down
        """Pieces, and what comes before them, are whole multiples of this many samples (about 20 ms)."""
        self._made = self.unit * BUS_RATE // rate
        self._resampler = Resampler(rate, BUS_RATE, 1) if rate != BUS_RATE else None
        self.lag = round(self._resampler.delay * BUS_RATE) if self._resampler else 0
        """Samples of the bus by which the output lags."""

    def convert(self, before: Pcm, pcm: Pcm) -> Pcm:
        """Return `pcm`, ``(k * unit,)``, on the bus, given the ``(unit,)`` samples before it."""
        if self._resampler is None:
            return pcm
        self._resampler.reset(0)
        line = np.concatenate((before, pcm))[None]
        return self._resampler.process(line, _ONLY_ROW)[0, self._made :]


class Stretch(Protocol):
    """A stretch of audio without a break on its way to the bus: pieces in, samples out, aligned."""

    unit: int
    """All pieces but the last must be whole multiples of this many samples."""
    number: int
    """How many were begun before it."""

    def process(self, pcm: Pcm) -> Pcm:
        """Return what can be said of the next piece, ``(k * unit,)``."""

    def finish(self, pcm: Pcm) -> Pcm:
        """Return the last piece, of any length, what the filter still held, and some silence behind it."""


class Converters:
    """The filters in use, made when first asked for. They belong to one thread."""

    _KEPT = 16
    """Rates kept; a client that tries every rate there is must not fill the memory."""

    def __init__(self) -> None:
        """Begin with none."""
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
    """A stretch through a filter that others use too: it keeps the samples before the next piece itself."""

    def __init__(self, converter: Converter, number: int) -> None:
        self.number = number
        self.unit = converter.unit
        self._converter = converter
        self._before = np.zeros(self.unit, np.float32)
        self._skip = converter.lag

    def process(self, pcm: Pcm) -> Pcm:
        out = self._converter.convert(self._before, pcm)
        self._before = pcm[-self.unit :]
        if self._skip:
            out, self._skip = out[self._skip :], max(self._skip - len(out), 0)
        return out

    def finish(self, pcm: Pcm) -> Pcm:
        units = -(-len(pcm) // self.unit) + 1
        return self.process(np.pad(pcm, (0, units * self.unit - len(pcm))))


class _Straight:
    """Audio that is at the bus's rate already; it remembers nothing, so that all stretches share it."""

    unit = BUS_RATE * TICK_MS // 1000
    number = 0

    def process(self, pcm: Pcm) -> Pcm:
        return pcm

    def finish(self, pcm: Pcm) -> Pcm:
        return pcm


_STRAIGHT = _Straight()


class _LooseStretch:
    """A stretch at an odd rate, through a slower filter of its own."""

    def __init__(self, rate: int, number: int) -> None:
        self.number = number
        self.unit = rate * TICK_MS // 1000
        self._resampler = StreamResampler(rate, BUS_RATE)

    def process(self, pcm: Pcm) -> Pcm:
        return self._resampler.process(pcm)

    def finish(self, pcm: Pcm) -> Pcm:
        return np.concatenate((self._resampler.process(pcm), self._resampler.flush()))
