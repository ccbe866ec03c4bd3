"""Silero VAD v6.2 in numpy, for many slots at once.

The network looks at 512 samples at 16 kHz and the 64 before them: a short-time spectrum, four convolutions,
one LSTM cell, one output. Here every layer is a few matrix products for all rows. The weights are those of
https://github.com/snakers4/silero-vad (MIT) in the form in which whisper.cpp stores them. Where there is
compiled code, ``silero.c`` does the same in one call. See docs/adr/0049.
"""

import ctypes
import struct
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.level import power
from softswitch.audio.pcm import FULL_SCALE, Indices, Pcm
from softswitch.compiled import Address, address, library

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
_PIECE = RATE // 50
"""Samples of 20 ms."""
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
        # A sigmoid is a tanh of half its argument: all gates take one tanh.
        self._cell[:, : 3 * _HIDDEN] *= np.float32(0.5)
        self._cell_bias[: 3 * _HIDDEN] *= np.float32(0.5)
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
        return self.judge(self._magnitudes(pcm), hidden, memory)

    def judge(self, magnitudes: Array, hidden: Array, memory: Array) -> tuple[Array, Array, Array]:
        """Judge one window of each row by its short-time spectrum.

        Args:
            magnitudes: ``(n, 4, 129)``, C-contiguous.
            hidden: ``(n, 128)`` what the cell put out last.
            memory: ``(n, 128)`` what it remembers.

        Returns:
            The probabilities ``(n,)`` and the new hidden and memory.
        """
        gates = np.concatenate([self._encode(magnitudes), hidden], axis=1) @ self._cell
        gates += self._cell_bias
        np.tanh(gates, out=gates)
        opened = gates[:, : 3 * _HIDDEN]
        opened += np.float32(1.0)
        opened *= np.float32(0.5)
        memory = opened[:, _HIDDEN : 2 * _HIDDEN] * memory
        memory += opened[:, :_HIDDEN] * gates[:, 3 * _HIDDEN :]
        hidden = opened[:, 2 * _HIDDEN : 3 * _HIDDEN] * np.tanh(memory)
        return _sigmoid(np.maximum(hidden, 0.0) @ self._out + self._out_bias), hidden, memory

    def folded(self) -> Array | None:
        """Return the waves of the spectrum for the parts of a folded frame, ``(4, 64, 65)``.

        None unless they are exactly symmetric in time and in frequency, as waves under a window are.
        """
        half, sign = _FRAME // 2, np.where(np.arange(_FRAME) % 2, np.float32(-1.0), np.float32(1.0))[:, None]
        real, imaginary = self._spectrum[:, :_BINS], self._spectrum[:, _BINS:]
        in_time = (real[1:half] == real[:half:-1]).all() and (imaginary[1:half] == -imaginary[:half:-1]).all()
        ends = not real[0].any() and not imaginary[0].any() and not imaginary[half].any()
        even = (real * sign == real[:, ::-1]).all() and (imaginary * sign == -imaginary[:, ::-1]).all()
        if not (in_time and ends and even):
            return None
        bins = half // 2 + 1
        parts = [real[2 : half + 1 : 2], real[1:half:2], imaginary[1:half:2], imaginary[2 : half + 1 : 2]]
        return np.ascontiguousarray(np.stack([part[:, :bins] for part in parts]))

    def weights(self) -> tuple[tuple[tuple[Array, Array], ...], Array, Array, Array, np.float32]:
        """Return matrix and bias of each convolution, those of the cell, and of the output.

        Each convolution is ``(3 * inputs, outputs)``, the cell ``(256, 512)``, the output ``(128,)``.
        """
        convolutions = tuple((matrix, bias) for matrix, bias, _ in self._convolutions)
        return convolutions, self._cell, self._cell_bias, self._out, self._out_bias

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
            line = frames.reshape(rows, length * channels)
            result = np.empty((rows, (length - 1) // stride + 1, bias.size), np.float32)
            for place in range(result.shape[1]):
                # Neighbouring frames lie side by side in memory. Beyond the ends is silence: no product.
                at = place * stride - 1
                first, last = max(at, 0), min(at + 3, length)
                weights = matrix[(first - at) * channels : (last - at) * channels]
                np.matmul(line[:, first * channels : last * channels], weights, out=result[:, place])
            result += bias
            frames = np.maximum(result, 0.0, out=result)
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

_PANEL, _VECTOR = 16, 8
"""Columns of weights, and numbers, that silero.c multiplies at once."""


class _Layers(ctypes.Structure):
    """``struct silero`` of silero.c."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("lines", "fill", "quiet", "probability", "hidden", "memory")),
        ("places", ctypes.c_int64),
        ("waves", ctypes.c_void_p),
        ("convolutions", ctypes.c_void_p * 4),
        ("biases", ctypes.c_void_p * 4),
        *((name, ctypes.c_void_p) for name in ("cell", "cell_bias", "out")),
        ("out_bias", ctypes.c_float),
        ("limit", ctypes.c_float),
        ("work", ctypes.c_void_p),
    ]  # fmt: skip


class _CompiledNetwork:
    """The call of ``silero.c`` for the arrays of a bank."""

    def __init__(self, code: ctypes.CDLL, network: SileroNetwork, waves: Array) -> None:
        pointer, long = ctypes.c_void_p, ctypes.c_int64
        # The interpreter's lock is given away: a window takes some 10 µs.
        self._push = code.softswitch_silero_push
        self._push.argtypes = [pointer, pointer, long, pointer, pointer]
        room = code.softswitch_silero_room
        room.restype = long
        self._layers = layers = _Layers()
        self._at = ctypes.addressof(layers)
        convolutions, cell, cell_bias, out, out_bias = network.weights()
        self._kept: list[NDArray[np.generic]] = [np.empty(room(), np.uint8), cell_bias, out]
        """Keeps the arrays alive whose addresses are in the layers."""
        layers.work, layers.cell_bias, layers.out = map(address, self._kept)
        layers.out_bias, layers.limit = float(out_bias), float(_QUIET)
        padded = np.pad(waves, ((0, 0), (0, 0), (0, _VECTOR - 1)))
        layers.waves, layers.cell = self._keep(*padded), self._keep(cell)
        for layer, (matrix, bias) in enumerate(convolutions):
            layers.convolutions[layer] = self._keep(matrix)
            layers.biases[layer] = address(bias)
            self._kept.append(bias)
        self._slots, self._pcm = Address(), Address()

    def _keep(self, *matrices: Array) -> int:
        """Lay matrices out in panels, each behind the other, and return the address."""
        panels = np.concatenate([_in_panels(matrix) for matrix in matrices])
        self._kept.append(panels)
        return address(panels)

    def follow(self, states: tuple[NDArray[np.generic], ...]) -> None:
        """Note the arrays of the bank: lines, fill, quiet windows, probabilities, hidden and memory."""
        layers = self._layers
        layers.lines, layers.fill, layers.quiet, layers.probability, layers.hidden, layers.memory = map(
            address, states
        )
        layers.places = len(states[0])

    def push(self, pcm: Pcm, slots: Indices) -> Array:
        """Do what :meth:`SileroBank.push` does.

        Raises:
            IndexError: a slot has no place in the bank.
        """
        out = np.empty(len(slots), np.float32)
        if self._push(
            self._at, self._slots.of(slots), len(slots), self._pcm.of(pcm), address(out)
        ):  # fmt: skip
            raise IndexError("slots: not all of them are in the bank")
        return out


def _in_panels(matrix: Array) -> Array:
    """Return a matrix by panels of 16 columns, each row by row; the last panel may have 8."""
    panels = [matrix[:, at : at + _PANEL].reshape(-1) for at in range(0, matrix.shape[1], _PANEL)]
    return np.concatenate(panels)


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
        self._line = np.zeros((0, CONTEXT + WINDOW + _PIECE), np.float32)
        self._fill = np.zeros(0, np.intp)
        self._quiet = np.zeros(0, np.intp)
        self._hidden = np.zeros((0, _HIDDEN), np.float32)
        self._memory = np.zeros((0, _HIDDEN), np.float32)
        self._probability = np.zeros(0, np.float32)
        code, waves = library(), network.folded()
        self._compiled = None if code is None or waves is None else _CompiledNetwork(code, network, waves)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        more = (0, max(slots - len(self._fill), 0))
        self._line = np.pad(self._line, (more, (0, 0)))
        self._hidden = np.pad(self._hidden, (more, (0, 0)))
        self._memory = np.pad(self._memory, (more, (0, 0)))
        self._fill, self._quiet = np.pad(self._fill, more), np.pad(self._quiet, more)
        self._probability = np.pad(self._probability, more)
        if self._compiled is not None:
            self._compiled.follow(
                (self._line, self._fill, self._quiet, self._probability, self._hidden, self._memory)
            )

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
        if self._compiled is not None and samples == _PIECE:
            return self._compiled.push(
                np.ascontiguousarray(pcm, np.float32), np.ascontiguousarray(slots, np.intp)
            )
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
            self._keep(asked, *self._network.run(windows, self._hidden[asked], self._memory[asked]))

    def _keep(self, slots: Indices, probability: Array, hidden: Array, memory: Array) -> None:
        self._probability[slots], self._hidden[slots], self._memory[slots] = probability, hidden, memory
