"""Silero VAD v6.2 in numpy, for many slots at once.

The network looks at 512 samples at 16 kHz and the 64 before them: a short-time spectrum, four convolutions,
one LSTM cell, one output. Here every layer is one matrix product for all rows. The weights are those of
https://github.com/snakers4/silero-vad (MIT) in the form in which whisper.cpp stores them.
"""

import struct
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.level import power
from softswitch.audio.pcm import FULL_SCALE, Indices, Pcm

Weights: TypeAlias = Mapping[str, NDArray[np.float32]]
Array: TypeAlias = NDArray[np.float32]

RATE = 16000
WINDOW = 512
"""Samples of a window, which the network judges at once."""
CONTEXT = 64
"""Samples before the window that the network sees as well."""
_FRAME, _HOP = 256, 128
"""Of the short-time spectrum."""
_BINS = _FRAME // 2 + 1
_STRIDES = (1, 2, 2, 1)
_HIDDEN = 128

_MAGIC = 0x67676D6C
_HEADER = 16 + 8
"""Magic and version name's length, then three version numbers, window and context."""


def read_weights(data: bytes) -> dict[str, Array]:
    """Return the tensors of a ggml file by name, as float32 in numpy's order of axes.

    Raises:
        ValueError: this is not such a file.
    """
    reader = _Reader(data)
    if reader.integer() != _MAGIC:
        raise ValueError("data: not a ggml file")
    reader.skip(reader.integer())  # The name of the model.
    reader.skip(3 * 4 + 2 * 4)  # Its version; window and context.
    layers = reader.integer()
    reader.skip(layers * 3 * 4 + 4 * 4)  # Shapes of the layers, which the tensors repeat.
    tensors: dict[str, Array] = {}
    while reader.more:
        dimensions, name_size, kind = reader.integer(), reader.integer(), reader.integer()
        shape = [reader.integer() for _ in range(dimensions)]
        name = reader.take(name_size).decode("ascii")
        dtype = np.dtype("<f4") if kind == 0 else np.dtype("<f2")
        raw = reader.take(dtype.itemsize * int(np.prod(shape)))
        tensors[name] = np.frombuffer(raw, dtype).reshape(shape[::-1]).astype(np.float32)
    return tensors


class _Reader:
    """Takes bytes one after another."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def more(self) -> bool:
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        if size < 0 or self._at + size > len(self._data):
            raise ValueError("data: the file is cut short")
        self._at += size
        return self._data[self._at - size : self._at]

    def skip(self, size: int) -> None:
        self.take(size)

    def integer(self) -> int:
        return int(struct.unpack("<i", self.take(4))[0])


class SileroNetwork:
    """The layers, without any state."""

    def __init__(self, weights: Weights) -> None:
        """Lay the weights out for products of rows.

        Args:
            weights: as :func:`read_weights` returns them.

        Raises:
            KeyError: a tensor is missing.
        """
        self._spectrum = np.ascontiguousarray(_of(weights, "stft.forward_basis_buffer")[:, 0].T)
        self._convolutions: list[tuple[Array, Array, int]] = []
        for layer, stride in enumerate(_STRIDES):
            kernel = _of(weights, f"encoder.{layer}.reparam_conv.weight")
            bias = _of(weights, f"encoder.{layer}.reparam_conv.bias").reshape(-1)
            # (outputs, inputs, 3) to (3 * inputs, outputs): three frames lie side by side.
            matrix = np.ascontiguousarray(kernel.transpose(2, 1, 0).reshape(-1, bias.size))
            self._convolutions.append((matrix, bias, stride))
        both = [_of(weights, "decoder.rnn.weight_ih"), _of(weights, "decoder.rnn.weight_hh")]
        cell = np.concatenate(both, axis=1)
        bias = (_of(weights, "decoder.rnn.bias_ih") + _of(weights, "decoder.rnn.bias_hh")).reshape(-1)
        # Gates in the order input, forget, output, candidate: the three that are sigmoids lie together.
        order = np.r_[0 : 2 * _HIDDEN, 3 * _HIDDEN : 4 * _HIDDEN, 2 * _HIDDEN : 3 * _HIDDEN]
        self._cell = np.ascontiguousarray(cell[order].T)
        self._cell_bias = np.ascontiguousarray(bias[order])
        self._out = _of(weights, "decoder.decoder.2.weight").reshape(-1)
        self._out_bias = np.float32(_of(weights, "decoder.decoder.2.bias").reshape(-1)[0])

    def run(self, pcm: Array, hidden: Array, memory: Array) -> tuple[Array, Array, Array]:
        """Judge one window of each row.

        Args:
            pcm: ``(n, 576)``: context and window, full scale 1.
            hidden: ``(n, 128)`` what the cell put out last.
            memory: ``(n, 128)`` what it remembers.

        Returns:
            The probabilities ``(n,)`` and the new hidden and memory.
        """
        features = self._encode(self._magnitudes(pcm))
        gates = np.concatenate([features, hidden], axis=1) @ self._cell
        gates += self._cell_bias
        opened = _sigmoid(gates[:, : 3 * _HIDDEN])
        memory = opened[:, _HIDDEN : 2 * _HIDDEN] * memory
        memory += opened[:, :_HIDDEN] * np.tanh(gates[:, 3 * _HIDDEN :])
        hidden = opened[:, 2 * _HIDDEN :] * np.tanh(memory)
        return _sigmoid(np.maximum(hidden, 0.0) @ self._out + self._out_bias), hidden, memory

    def _magnitudes(self, pcm: Array) -> Array:
        """Return the short-time spectrum ``(n, frames, bins)``; the end is mirrored, as it was taught."""
        line = np.concatenate([pcm, pcm[:, -2 : -2 - CONTEXT : -1]], axis=1)
        frames = (line.shape[1] - _FRAME) // _HOP + 1
        row, sample = line.strides
        windows = np.lib.stride_tricks.as_strided(
            line, (len(line), frames, _FRAME), (row, sample * _HOP, sample), writeable=False
        )
        parts = windows.reshape(-1, _FRAME) @ self._spectrum
        np.square(parts, out=parts)
        magnitudes = parts[:, :_BINS]
        magnitudes += parts[:, _BINS:]
        return np.sqrt(magnitudes).reshape(len(line), frames, _BINS)

    def _encode(self, frames: Array) -> Array:
        """Return the features ``(n, 128)``: the convolutions leave one frame of the spectrum's four."""
        for matrix, bias, stride in self._convolutions:
            rows, length, channels = frames.shape
            outputs = (length - 1) // stride + 1
            padded = np.zeros((rows, length + 2, channels), np.float32)
            padded[:, 1:-1] = frames
            # Three neighbouring frames lie side by side in memory already, so a longer row shows them all.
            by_row, by_frame, by_channel = padded.strides
            triples = np.lib.stride_tricks.as_strided(
                padded,
                (rows, outputs, 3 * channels),
                (by_row, by_frame * stride, by_channel),
                writeable=False,
            )
            result = triples.reshape(rows * outputs, 3 * channels) @ matrix
            result += bias
            np.maximum(result, 0.0, out=result)
            frames = result.reshape(rows, outputs, -1)
        return frames[:, 0]


def _of(weights: Weights, name: str) -> Array:
    return weights[f"_model.{name}"]


def _sigmoid(values: Array) -> Array:
    """Return the logistic function by tanh, which cannot overflow."""
    result: Array = np.tanh(values * np.float32(0.5))
    result += np.float32(1.0)
    result *= np.float32(0.5)
    return result


_QUIET = np.float32(FULL_SCALE**2 * 10 ** (-66.0 / 10))
"""Power of a window (-66 dBov) below which the model is not run: no speech is so quiet."""
_PATIENCE = 8
"""Quiet windows (256 ms) for which the network still runs, so that it sees speech end."""


class SileroBank:
    """Windows gathered per slot, judged together as they become whole.

    A window is 32 ms and a frame 20, so the slots are ready in different ticks. Slots that have long been
    quiet are not shown to the network: their state stays as it was after a quarter second of silence,
    which is what more silence would make of it.
    """

    rate = RATE

    def __init__(self, network: SileroNetwork) -> None:
        """Begin without slots."""
        self._network = network
        self._line = np.zeros((0, CONTEXT + WINDOW + RATE // 50), np.float32)
        self._fill = np.zeros(0, np.intp)
        self._quiet = np.zeros(0, np.intp)
        self._hidden = np.zeros((0, _HIDDEN), np.float32)
        self._memory = np.zeros((0, _HIDDEN), np.float32)
        self._probability = np.zeros(0, np.float32)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        more = (0, max(slots - len(self._fill), 0))
        self._line = np.pad(self._line, (more, (0, 0)))
        self._hidden = np.pad(self._hidden, (more, (0, 0)))
        self._memory = np.pad(self._memory, (more, (0, 0)))
        self._fill, self._quiet = np.pad(self._fill, more), np.pad(self._quiet, more)
        self._probability = np.pad(self._probability, more)

    def reset(self, slots: Indices) -> None:
        """Clear the state of `slots`."""
        self._line[slots] = 0.0
        self._fill[slots] = self._quiet[slots] = 0
        self._hidden[slots] = self._memory[slots] = 0.0
        self._probability[slots] = 0.0

    def push(self, pcm: Pcm, slots: Indices) -> Array:
        """Return the probability that each row is speech, ``(n,)``: of the last whole window.

        Args:
            pcm: ``(n, 320)`` float32 in PCM16 units.
            slots: rows of the state, each at most once.
        """
        samples = pcm.shape[1]
        fill = self._fill[slots]
        for begin in np.unique(fill).tolist():
            at = slots[fill == begin]
            self._line[at, CONTEXT + begin : CONTEXT + begin + samples] = pcm[fill == begin]
        self._fill[slots] = fill + samples
        ready = slots[fill + samples >= WINDOW]
        if ready.size:
            self._judge(ready)
        return self._probability[slots]

    def _judge(self, slots: Indices) -> None:
        """Judge the window of each of `slots`, and keep what follows it."""
        line = self._line[slots]
        quiet = np.where(power(line[:, CONTEXT : CONTEXT + WINDOW]) < _QUIET, self._quiet[slots] + 1, 0)
        self._quiet[slots] = quiet
        self._line[slots, :-WINDOW] = line[:, WINDOW:]
        self._fill[slots] -= WINDOW
        heard = quiet <= _PATIENCE
        asked = slots[heard]
        self._probability[slots[~heard]] = 0.0
        if asked.size:
            windows = line[heard, : CONTEXT + WINDOW] * np.float32(1.0 / FULL_SCALE)
            self._probability[asked], self._hidden[asked], self._memory[asked] = self._network.run(
                windows, self._hidden[asked], self._memory[asked]
            )
