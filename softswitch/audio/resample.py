"""Resampling: of many legs at once in whole frames, or of one stream in pieces of any size.

``resample.c`` does it for :class:`Resampler` where there is compiled code; else each call is one matrix
product for all rows. The results are the same within the rounding of float32. See docs/adr/0049.
"""

import ctypes
from math import gcd

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from softswitch.audio.fir import phases
from softswitch.audio.pcm import Indices, Pcm
from softswitch.compiled import Address, address, library, locked

_WIDEST = 32
"""Samples of the lower rate one row of the matrix product spans at most.

A wider tile wastes products with zeros, a narrower one repeats more of the history; between 8 and 32 it
hardly matters.
"""

_LANES = 16
"""Preferred divisor of a tile's outputs: float32 lanes of the widest SIMD registers."""


_MOST_FILTERS = 64
"""Most row lengths whose tile is cached; received packets may have any length."""


_FACTOR, _PAST, _GO = 6, 256, 160
"""Largest factor up and down and longest history in ``resample.c``, and outputs of a phase in one go."""

_NO_WEIGHT = 1e-9
"""Taps below this are zeros of the filter that rounding made: they are left out."""


class _Filter(ctypes.Structure):
    """``struct filter`` of resample.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("up", "down", "past", "width")),
        *((name, ctypes.c_void_p) for name in ("first", "place", "weight")),
    ]  # fmt: skip


class _Compiled:
    """The filter as ``resample.c`` wants it, and the call.

    The interpreter's lock is kept: a row of 20 ms takes less than 1 µs, and a thread that gives the lock away
    may wait for it longer than the work takes.
    """

    def __init__(self, code: ctypes.CDLL, up: int, down: int, weights: Pcm) -> None:
        pointer, long = ctypes.c_void_p, ctypes.c_int64
        arguments = [pointer, pointer, long, pointer, long, pointer, long, pointer]
        self._call = locked(code.softswitch_resample, ctypes.c_int, arguments)
        past = weights.shape[1] - 1
        width = past // down + 2 + _GO
        first, places, taps = [0], [], []
        for output in range(up):
            begin, phase = divmod(output * down, up)
            for tap in np.flatnonzero(np.abs(weights[phase]) > _NO_WEIGHT).tolist():
                # Sample n of a line stands in line n % down, at place n // down.
                places.append((begin + tap) % down * width + (begin + tap) // down)
                taps.append(weights[phase, tap])
            first.append(len(taps))
        self._kept = np.array(first, np.int64), np.array(places, np.int64), np.array(taps, np.float32)
        self._filter = _Filter(up, down, past, width, *(address(part) for part in self._kept))
        self.at = ctypes.addressof(self._filter)
        self._history, self._slots, self._pcm, self._out = (Address() for _ in range(4))

    def process(self, history: Pcm, slots: Indices, pcm: Pcm, out: Pcm) -> None:
        """Write ``(n, outputs)`` of ``(n, samples)`` behind the histories of `slots`.

        Raises:
            IndexError: a slot has no history.
        """
        done = self._call(
            self.at, self._history.of(history), len(history), self._slots.of(slots), len(slots),
            self._pcm.of(pcm), pcm.shape[1], self._out.of(out),
        )  # fmt: skip
        if not done:
            raise IndexError(f"slots: not all of them are below {len(history)}")


def _compiled(up: int, down: int, weights: Pcm) -> _Compiled | None:
    """Return the compiled filter, or None for ratios of large numbers and without compiled code."""
    if max(up, down) > _FACTOR or weights.shape[1] > _PAST:
        return None
    code = library()
    return None if code is None else _Compiled(code, up, down, weights)


class Resampler:
    """Streaming polyphase filter for many slots, in compiled code or as one matrix product per call.

    The output lags the input by half the filter (:attr:`delay`). For a product, frames are cut into tiles;
    every tile with the history before it is a row of one matrix, the filter written out for a tile's outputs
    is the other.
    """

    def __init__(self, rate_in: int, rate_out: int, slots: int = 0) -> None:
        """Make a resampler with `slots` rows to begin with.

        Args:
            rate_in: Hz.
            rate_out: Hz; the ratio in lowest terms must not be a monster (44100 to 24000 is 80 / 147).
            slots: rows to begin with.
        """
        self.rate_in, self.rate_out = rate_in, rate_out
        common = gcd(rate_in, rate_out)
        self._up, self._down = rate_out // common, rate_in // common
        self.phases, before, after = phases(self._up, self._down)
        """Filter by output phase, as :func:`phases` returns it."""
        self.past = self._past = before + after
        """Samples before a piece that its output depends on."""
        self.delay = after / rate_in
        """Delay of the filter, seconds."""
        self._tiles: dict[int, Pcm] = {}
        self._filters: dict[int, tuple[int, Pcm]] = {}
        """Tile and matrix by the samples of a call."""
        self.history = np.zeros((0, self._past), np.float32)
        """Samples before the next ones, by slot; growing replaces the array."""
        # Scratch memory, kept: page faults of fresh memory of this size cost as much as the product itself.
        self._line = np.empty((0, 0), np.float32)
        self._windows = np.empty(0, np.float32)
        self._compiled = _compiled(self._up, self._down, self.phases)
        self._alone: Indices = np.zeros(1, np.intp)
        self.grow(slots)

    @property
    def filter_at(self) -> int:
        """Address of the filter for compiled code; 0 where it is not used."""
        return 0 if self._compiled is None else self._compiled.at

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1, the new ones silent."""
        more = slots - len(self.history)
        if more > 0:
            self.history = np.pad(self.history, ((0, more), (0, 0)))

    def reset(self, slots: Indices | int) -> None:
        """Clear the history of `slots`."""
        self.history[slots] = 0.0

    def copy(self, source: int, slot: int) -> None:
        """Copy the history of `source` to `slot`."""
        self.history[slot] = self.history[source]

    def process(self, pcm: Pcm, slots: Indices, out: Pcm | None = None) -> Pcm:
        """Return the frames at the other rate, ``(n, samples * rate_out / rate_in)``.

        Args:
            pcm: ``(n, samples)``, a multiple of ``rate_in / gcd(rate_in, rate_out)`` samples.
            slots: rows of the state, each at most once, ``(n,)``.
            out: where to write, C-contiguous.

        Raises:
            ValueError: so many samples do not make a whole number at the other rate.
        """
        rows, samples = pcm.shape
        if out is None:
            out = np.empty((rows, samples // self._down * self._up), np.float32)
        if self._compiled is not None and out.dtype == np.float32:
            if samples % self._down:
                raise ValueError(f"pcm: {samples} samples are not a multiple of {self._down}")
            if len(slots) != rows or out.shape != (rows, samples // self._down * self._up):
                raise ValueError(f"pcm: {rows} rows for {len(slots)} slots and {out.shape} outputs")
            pcm = np.ascontiguousarray(pcm, np.float32)
            self._compiled.process(self.history, np.ascontiguousarray(slots, np.intp), pcm, out)
            return out
        tile, matrix = self._filters.get(samples) or self._filter(samples)
        if self._is_long(tile):
            self._process_long(pcm, slots, out.reshape(rows, samples // tile, -1), matrix)
            return out
        windows = self._scratch(rows * (samples // tile), self._past + tile)
        self._lay_out(pcm, slots, windows.reshape(rows, -1, self._past + tile))
        np.matmul(windows, matrix, out=out.reshape(-1, matrix.shape[1]))
        return out

    def process_row(self, before: Pcm, pcm: Pcm) -> Pcm:
        """Return one row at the other rate that follows the given samples, ``(samples * ratio,)``.

        The state of the slots is not read. The caller keeps the samples, so that many rows of which a few are
        due at a time share one resampler. It costs less than half of :meth:`process` with one row.

        Args:
            before: the :attr:`past` samples before `pcm`.
            pcm: ``(samples,)``, as for :meth:`process`.

        Raises:
            ValueError: so many samples do not make a whole number at the other rate.
        """
        if self._compiled is not None:
            if len(pcm) % self._down:
                raise ValueError(f"pcm: {len(pcm)} samples are not a multiple of {self._down}")
            made: Pcm = np.empty((1, len(pcm) // self._down * self._up), np.float32)
            rows = np.ascontiguousarray(pcm, np.float32).reshape(1, -1)
            self._compiled.process(before.reshape(1, -1).copy(), self._alone, rows, made)
            row: Pcm = made[0]
            return row
        tile, matrix = self._filters.get(len(pcm)) or self._filter(len(pcm))
        past = self._past
        if self._is_long(tile):
            return self._long_row(before, pcm.reshape(-1, tile), matrix)
        windows = np.empty((len(pcm) // tile, past + tile), np.float32)
        if tile < past:
            line = np.concatenate((before, pcm))
            np.copyto(windows, sliding_window_view(line, past + tile)[::tile])
        else:
            tiles = pcm.reshape(-1, tile)
            windows[0, :past] = before
            windows[1:, :past] = tiles[:-1, tile - past :]
            windows[:, past:] = tiles
        made = np.matmul(windows, matrix)
        return made.reshape(-1)

    def _long_row(self, before: Pcm, tiles: Pcm, matrix: Pcm) -> Pcm:
        outputs = matrix.shape[1] // 2
        products = tiles @ matrix
        row = products[:, outputs:].copy()
        row[1:] += products[:-1, :outputs]
        row[0] += before @ matrix[-self._past :, :outputs]
        return row.reshape(-1)

    def _filter(self, samples: int) -> tuple[int, Pcm]:
        """Return tile and matrix for rows of this length; both are cached."""
        if samples % self._down:
            raise ValueError(f"pcm: {samples} samples are not a multiple of {self._down}")
        tile = self._tile(samples)
        if tile not in self._tiles:
            self._tiles[tile] = self._matrix(tile)
        if len(self._filters) < _MOST_FILTERS:
            self._filters[samples] = tile, self._tiles[tile]
        return tile, self._tiles[tile]

    def _is_long(self, tile: int) -> bool:
        """Tell whether tiles are multiplied by themselves: on the way up the products would be most of it."""
        return tile >= self._past and self._up < self._down

    def _process_long(self, pcm: Pcm, slots: Indices, out: Pcm, matrix: Pcm) -> None:
        """Write ``(n, tiles, outputs)`` without putting windows together.

        Each tile is multiplied once for its own outputs and once for the next one's; then the two are added.
        """
        rows, tiles, outputs = out.shape
        products = self._scratch(rows * tiles, 2 * outputs)
        np.matmul(pcm.reshape(rows * tiles, -1), matrix, out=products)
        parts = products.reshape(rows, tiles, 2 * outputs)
        np.add(parts[:, 1:, outputs:], parts[:, :-1, :outputs], out=out[:, 1:])
        # The history is the end of the tile before the first.
        before = self.history[slots] @ matrix[-self._past :, :outputs]
        np.add(parts[:, 0, outputs:], before, out=out[:, 0])
        self.history[slots] = pcm[:, pcm.shape[1] - self._past :]

    def _lay_out(self, pcm: Pcm, slots: Indices, windows: Pcm) -> None:
        """Write every tile behind the samples before it into ``(n, tiles, past + tile)``."""
        rows, samples = pcm.shape
        past, tile = self._past, windows.shape[2] - self._past
        if tile < past:
            line = self._lines(rows, past + samples)
            np.take(self.history, slots, axis=0, out=line[:, :past])
            line[:, past:] = pcm
            self.history[slots] = line[:, samples:]
            np.copyto(windows, sliding_window_view(line, past + tile, axis=1)[:, ::tile])
            return
        # What lies before a tile is the end of the one before: no line needs to be put together first.
        tiles = pcm.reshape(rows, -1, tile)
        windows[:, 0, :past] = self.history[slots]
        windows[:, 1:, :past] = tiles[:, :-1, tile - past :]
        windows[:, :, past:] = tiles
        self.history[slots] = pcm[:, samples - past :]

    def _lines(self, rows: int, width: int) -> Pcm:
        if self._line.shape[0] < rows or self._line.shape[1] != width:
            self._line = np.empty((rows, width), np.float32)
        return self._line[:rows]

    def _scratch(self, rows: int, width: int) -> Pcm:
        if self._windows.size < rows * width:
            self._windows = np.empty(rows * width, np.float32)
        return self._windows[: rows * width].reshape(rows, width)

    def _tile(self, samples: int) -> int:
        """Return the best tile that divides `samples`: one that fills the lanes, else the widest."""
        units = samples // self._down
        widest = max(_WIDEST // min(self._up, self._down), 1)
        fitting = [count for count in range(1, min(widest, units) + 1) if units % count == 0] or [1]
        filling = [count for count in fitting if count * self._up % _LANES == 0]
        return (filling or fitting)[-1] * self._down

    def _matrix(self, tile: int) -> Pcm:
        """Return the filter written out for all outputs of one tile, ``(past + tile, outputs)``.

        Where tiles are multiplied by themselves, it is ``(tile, 2 * outputs)``: what a tile adds to the
        outputs of the next one, then what it adds to its own.
        """
        outputs = tile // self._down * self._up
        matrix = np.zeros((self._past + tile, outputs), np.float32)
        for output in range(outputs):
            whole, phase = divmod(output * self._down, self._up)
            matrix[whole : whole + self._past + 1, output] = self.phases[phase]
        if not self._is_long(tile):
            return matrix
        both = np.zeros((tile, 2 * outputs), np.float32)
        both[tile - self._past :, :outputs] = matrix[: self._past]
        both[:, outputs:] = matrix[self._past :]
        return both


class StreamResampler:
    """Streaming polyphase filter for one stream of pieces of any size and rates of any ratio."""

    _FINEST = 2048
    """Most phases of the filter; beyond, positions are rounded, with an error below the stopband's."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        """Make a resampler.

        Args:
            rate_in: Hz, 1 or more.
            rate_out: Hz, 1 or more.

        Raises:
            ValueError: a rate is not positive.
        """
        if rate_in < 1 or rate_out < 1:
            raise ValueError(f"rates: {rate_in} and {rate_out} Hz must be positive")
        common = gcd(rate_in, rate_out)
        self.rate_in, self.rate_out = rate_in, rate_out
        self._up, self._down = rate_out // common, rate_in // common
        ratio = self._up / self._down
        grid = min(self._up, self._FINEST)
        self._grid = grid
        # On the coarser grid only the proportion matters: the filter must pass the lower of the two rates.
        self._phases, self._before, self._after = phases(grid, max(round(grid / ratio), 1))
        self._past = self._before + self._after
        self.reset()

    def reset(self) -> None:
        """Clear the history; the next piece begins another stream."""
        # The first output needs `before` samples of silence in front of the first sample.
        self._line = np.zeros(self._before, np.float32)
        self._position = 0

    def process(self, pcm: Pcm) -> Pcm:
        """Return the output for the next piece; it may be empty while the filter fills.

        Args:
            pcm: ``(samples,)`` float32, any number of samples.
        """
        if self._up == self._down:
            return pcm
        line = np.concatenate((self._line, pcm))
        ready = len(line) - self._past
        # Output k lies at input position k * down / up; `_position` counts in 1 / up of an input sample.
        count = max(-(-(ready * self._up - self._position) // self._down), 0) if ready > 0 else 0
        places = self._position + np.arange(count, dtype=np.int64) * self._down
        out = self._weigh(line, places)
        self._position += count * self._down
        used = min(self._position // self._up, len(line))
        self._position -= used * self._up
        self._line = line[used:]
        return out

    def flush(self) -> Pcm:
        """Return the rest of the output that the filter holds, and clear the history."""
        out = self.process(np.zeros(self._after, np.float32))
        self.reset()
        return out

    def _weigh(self, line: Pcm, places: NDArray[np.int64]) -> Pcm:
        if len(places) == 0:
            return np.zeros(0, np.float32)
        whole, part = np.divmod(places, self._up)
        phase = part if self._grid == self._up else part * self._grid // self._up
        windows = sliding_window_view(line, self._past + 1)[whole]
        out: Pcm = np.einsum("nt,nt->n", windows, self._phases[phase])
        return out
