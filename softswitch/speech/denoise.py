"""Noise suppression of one stream by ffmpeg's spectral filter `afftdn`, which PyAV carries."""

from collections import deque
from fractions import Fraction

import av
import numpy as np
from av.filter import Graph

from softswitch.audio.level import dbov
from softswitch.audio.pcm import BUS_RATE, FULL_SCALE, Pcm

_REDUCTION_DB = 15
"""How far noise is lowered: more makes it warble."""
_QUIETEST_DB, _LOUDEST_DB = -80.0, -20.0
"""The range of noise that the filter can be told of."""
_WINDOW = 100
"""Frames in which the quietest moment is taken for the noise: people pause more often than every 2 s."""
_LOOK_EVERY = 25
"""Frames between two looks at the noise."""
_STEP_DB = 2.0
"""Smaller changes of the noise are not passed on."""


class Denoiser:
    """Takes frames of 20 ms and returns as many samples, :attr:`delay_ms` later.

    The filter's own tracking does not follow noise that is louder than its first guess (measured: at -40 dBFS
    it takes away 1 dB of 12), so the level is measured here, as the quietest moment of the last seconds.
    """

    delay_ms = 35
    """25 of the filter's window and 10 to cut its output into frames again."""

    def __init__(self, rate: int = BUS_RATE) -> None:
        """Set the filter up.

        Args:
            rate: Hz, a multiple of 400 (the filter works in steps of 12.5 ms, the frames are of 20).
        """
        self._rate = rate
        self._graph = Graph()
        self._source = self._graph.add_abuffer(
            sample_rate=rate, format="flt", layout="mono", time_base=Fraction(1, rate)
        )
        self._floor_db = -60.0
        self._filter = self._graph.add("afftdn", f"nr={_REDUCTION_DB}:nf={self._floor_db}")
        self._sink = self._graph.add("abuffersink")
        self._source.link_to(self._filter)
        self._filter.link_to(self._sink)
        self._graph.configure()
        self._clock = 0
        self._made = np.zeros(rate // 100, np.float32)
        self._levels: deque[float] = deque(maxlen=_WINDOW)
        self._frames = 0

    def process(self, row: Pcm) -> Pcm:
        """Return a frame ``(samples of 20 ms,)`` at the filter's rate, in PCM16 units, with less noise."""
        self._follow(row)
        frame = av.AudioFrame.from_ndarray((row / np.float32(FULL_SCALE))[None], format="flt", layout="mono")
        frame.sample_rate, frame.pts = self._rate, self._clock
        self._clock += row.size
        self._source.push(frame)
        made = [self._made, *self._pull()]
        out = np.concatenate(made)
        self._made = out[row.size :]
        return out[: row.size]

    def _pull(self) -> list[Pcm]:
        pieces: list[Pcm] = []
        while True:
            try:
                piece = self._sink.pull()
            except (av.BlockingIOError, av.EOFError):
                return pieces
            if not isinstance(piece, av.AudioFrame):
                raise TypeError(f"the filter made a {type(piece).__name__}")
            pieces.append(piece.to_ndarray().reshape(-1).astype(np.float32) * np.float32(FULL_SCALE))

    def _follow(self, row: Pcm) -> None:
        """Measure the noise, and tell the filter when it has changed."""
        self._levels.append(float(dbov(row[None])[0]))
        self._frames += 1
        if self._frames % _LOOK_EVERY:
            return
        levels = sorted(self._levels)
        floor_db = levels[len(levels) // 10]
        floor_db = min(max(floor_db, _QUIETEST_DB), _LOUDEST_DB)
        if abs(floor_db - self._floor_db) >= _STEP_DB:
            self._floor_db = floor_db
            self._filter.process_command("nf", f"{floor_db:.1f}")
