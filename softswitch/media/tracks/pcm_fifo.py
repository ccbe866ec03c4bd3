"""Queue of a track's audio: in at the track's sample rate, out at the bus rate, in pieces of any size."""

from collections import deque

import numpy as np

from softswitch.audio.pcm import BUS_RATE, FRAME, Pcm, Pcm16, fade, from_bytes
from softswitch.media.tracks.convert import Converters, Stretch

_FIRST_UNITS, _LEAST_UNITS, _UNITS_APART = 5, 25, 25
"""Audio is resampled only when it is needed: 5 frames at first, then 25 to 49 at a time, so that long audio
does not make a long tick. The number differs from track to track, so that tracks which began in the same tick
do not resample in the same ticks for ever."""

_EMPTY = np.zeros(0, np.float32)


class _Run:
    """Consecutive audio of one sample rate; its length on the bus follows from the number of samples fed."""

    __slots__ = ("_left", "_stretch", "_waiting", "base", "fed", "made", "rate")

    def __init__(self, rate: int, base: int, stretch: Stretch) -> None:
        self.rate, self.base = rate, base
        self.fed = self.made = 0
        """Samples fed, at `rate`, and samples made of them, at the bus rate."""
        self._left = 0
        self._stretch = stretch
        self._waiting: deque[memoryview] = deque()

    @property
    def end(self) -> int:
        """Position on the bus behind the last sample fed."""
        # fed * BUS_RATE / rate, rounded up: -(-a // b).
        return self.base - (-self.fed * BUS_RATE // self.rate)

    @property
    def is_spent(self) -> bool:
        return self.base + self.made == self.end

    def feed(self, pcm: bytes) -> None:
        self._waiting.append(memoryview(pcm))
        self._left += len(pcm) // 2
        self.fed += len(pcm) // 2

    def convert(self) -> Pcm | Pcm16:
        """Resample and return the next piece; the last piece is made as if silence followed."""
        if self.rate == BUS_RATE:
            return self._pass()
        unit = self._stretch.unit
        if self._left < 2 * unit:
            rest = self._stretch.finish(self._pop(self._left))[: self.end - self.base - self.made]
            self.made += len(rest)
            return rest
        wanted = _LEAST_UNITS + self._stretch.number % _UNITS_APART if self.made else _FIRST_UNITS
        units = min(self._left // unit, wanted)
        pcm = self._stretch.process(self._pop(units * unit))
        self.made += len(pcm)
        return pcm

    def _pass(self) -> Pcm16:
        """Return the next piece as it was fed; small ones are joined."""
        samples = max(len(self._waiting[0]) // 2, min(self._left, _LEAST_UNITS * FRAME))
        self.made += samples
        # A copy is made on big-endian machines alone.
        return np.frombuffer(self._pop_bytes(samples), "<i2").astype(np.int16, copy=False)

    def _pop(self, samples: int) -> Pcm:
        return from_bytes(self._pop_bytes(samples))

    def _pop_bytes(self, samples: int) -> bytes | memoryview:
        pieces, need = [], 2 * samples
        while need:
            piece = self._waiting.popleft()
            if len(piece) > need:
                self._waiting.appendleft(piece[need:])
                piece = piece[:need]
            pieces.append(piece)
            need -= len(piece)
        self._left -= samples
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class PcmFifo:
    """FIFO from PCM16 bytes to samples at the bus rate.

    Positions count samples at the bus rate from the first sample ever fed. Audio is resampled when it is
    taken; the filter begins anew where the queue had run empty.
    """

    def __init__(self, converters: Converters) -> None:
        """Make an empty FIFO; all FIFOs of a thread share `converters`."""
        self._converters = converters
        self.taken = 0
        """Position behind the last sample taken."""
        self._ready: deque[Pcm | Pcm16] = deque()
        """At the bus rate: resampled, or as it was fed where it had that rate."""
        self._ready_end = 0
        self._runs: deque[_Run] = deque()
        self._end = 0
        self._odd = b""

    @property
    def end(self) -> int:
        """Position behind the last queued sample."""
        return self._end

    @property
    def waiting(self) -> int:
        """Queued samples at the bus rate."""
        return self._end - self.taken

    def feed(self, data: bytes, rate: int, room: int) -> int:
        """Append PCM16 and return the number of samples at the bus rate that were refused.

        Args:
            data: little endian; an odd last byte is carried to the next call.
            rate: Hz.
            room: samples at the bus rate that may be appended.
        """
        if self._odd:
            data, self._odd = self._odd + data, b""
        if len(data) % 2:
            self._odd, data = data[-1:], data[:-1]
        samples = len(data) // 2
        fitting = min(samples, max(room, 0) * rate // BUS_RATE)
        if fitting:
            self._append(data if fitting == samples else data[: 2 * fitting], rate)
        return (samples - fitting) * BUS_RATE // rate

    def take(self, samples: int) -> Pcm:
        """Return up to `samples` at the bus rate; fewer only at the end of the queue."""
        samples = min(samples, self._end - self.taken)
        if samples <= 0:
            return _EMPTY
        while self._ready_end - self.taken < samples:
            self._convert()
        self.taken += samples
        first = self._ready[0]
        if len(first) > samples:
            self._ready[0] = first[samples:]
            return _float(first[:samples])
        pieces: list[Pcm] = []
        while samples:
            piece = self._ready.popleft()
            if len(piece) > samples:
                self._ready.appendleft(piece[samples:])
                piece = piece[:samples]
            pieces.append(_float(piece))
            samples -= len(piece)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    @property
    def ahead(self) -> Pcm | Pcm16:
        """Samples that come next and have the bus rate, perhaps none; callers must not write to them."""
        return self._ready[0] if self._ready else _EMPTY

    def skip(self, samples: int) -> None:
        """Do as if `samples`, at most those of :attr:`ahead`, had been taken."""
        if samples:
            self.taken += samples
            first = self._ready.popleft()
            if len(first) > samples:
                self._ready.appendleft(first[samples:])

    def fade_out(self, samples: int) -> None:
        """Fade the next `samples` out and discard everything behind them."""
        start = self.taken
        tail = self.take(samples).copy()
        self.taken = start
        tail *= fade(len(tail), rising=False)
        self._ready.clear()
        self._runs.clear()
        self._odd = b""
        if len(tail):
            self._ready.append(tail)
        self._end = self._ready_end = start + len(tail)

    def end_at(self, position: int) -> None:
        """Discard the audio behind `position`."""
        self._end = min(self._end, max(position, self.taken))

    def _append(self, data: bytes, rate: int) -> None:
        run = self._runs[-1] if self._runs else None
        if run is None or run.rate != rate:
            run = _Run(rate, self._end, self._converters.begin(rate))
            self._runs.append(run)
        run.feed(data)
        self._end = run.end

    def _convert(self) -> None:
        run = self._runs[0]
        pcm = run.convert()
        if run.is_spent:
            self._runs.popleft()
        if len(pcm):
            self._ready.append(pcm)
            self._ready_end += len(pcm)


def _float(pcm: Pcm | Pcm16) -> Pcm:
    return pcm.astype(np.float32, copy=False)
