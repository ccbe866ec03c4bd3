"""Queue of the audio of a stream's track in compiled code, at the bus rate, as :class:`.pcm_fifo.PcmFifo`.

The tick reads audio of the stream's socket into it, past the messages of the engine. See docs/adr/0054.
"""

from typing import Final

import numpy as np

from softswitch.audio.pcm import BUS_RATE, Pcm, fade
from softswitch.media.feeds.stream_queue import StreamQueue

_EMPTY: Final = np.zeros(0, np.float32)


class QueueFifo:
    """FIFO from PCM16 bytes at the bus rate to samples; for what its methods do see :class:`PcmFifo`."""

    def __init__(self, queue: StreamQueue) -> None:
        """Play from a queue that is empty."""
        self._queue = queue
        self._front: Pcm = _EMPTY
        """Comes before the queue: the end of audio that is faded out."""
        self._faded = 0
        """Samples taken that were such."""
        self._odd = b""

    @property
    def taken(self) -> int:
        """Position behind the last sample taken."""
        return self._queue.played + self._faded

    @property
    def end(self) -> int:
        """Position behind the last queued sample."""
        return self.taken + self.waiting

    @property
    def waiting(self) -> int:
        """Queued samples."""
        return len(self._front) + self._queue.waiting

    @property
    def is_plain(self) -> bool:
        """Whether all that waits is in the queue."""
        return not len(self._front)

    @property
    def ahead(self) -> Pcm:
        """Nothing: compiled code takes frames from the queue itself."""
        return _EMPTY

    def feed(self, data: bytes, rate: int, room: int) -> int:
        """Append PCM16 and return the number of samples that were refused.

        Raises:
            ValueError: the rate is not that of the bus.
        """
        if rate != BUS_RATE:
            raise ValueError(f"sample_rate: a stream's track takes {BUS_RATE} Hz only, not {rate}")
        if self._odd:
            data, self._odd = self._odd + data, b""
        if len(data) % 2:
            self._odd, data = data[-1:], data[:-1]
        samples = len(data) // 2
        fitting = min(samples, max(room, 0))
        if fitting and not self._queue.append(data if fitting == samples else data[: 2 * fitting]):
            fitting = 0
        return samples - fitting

    @property
    def is_odd(self) -> bool:
        """Whether half a sample waits for the other half, which the tick must not read past it."""
        return bool(self._odd)

    def take(self, samples: int) -> Pcm:
        """Return up to `samples`; fewer only at the end of the queue."""
        samples = min(samples, self.waiting)
        if samples <= 0:
            return _EMPTY
        front, self._front = self._front[:samples], self._front[samples:]
        self._faded += len(front)
        rest = samples - len(front)
        if not rest:
            return front
        octets = self._queue.take_samples(rest)
        pcm = octets.view("<i2").astype(np.float32)
        return np.concatenate((front, pcm)) if len(front) else pcm

    def skip(self, samples: int) -> None:
        """Do nothing: what compiled code played it took from the queue."""

    def fade_out(self, samples: int) -> None:
        """Fade the next `samples` out and discard everything behind them."""
        samples = min(samples, self.waiting)
        position = self.taken
        tail = self.take(samples)
        self._faded += position - self.taken
        self._front = tail * fade(len(tail), rising=False)
        self._queue.keep(0)
        self._odd = b""

    def end_at(self, position: int) -> None:
        """Discard the audio behind `position`."""
        left = max(position, self.taken) - self.taken
        if left < len(self._front):
            self._front = self._front[:left]
        self._queue.keep(max(left - len(self._front), 0))
