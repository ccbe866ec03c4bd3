"""Tells whether a speaker is done: from the sound of the last seconds, and from what was said.

The model smart-turn v3.2 hears how a sentence ends (its melody, its length, its breath). It lies beside this
code in `data/`, with its licence (BSD-2-Clause). How loudness falls and whether the words make a sentence are
weighed with it by :func:`softswitch.speech.builtin.completeness.likelihood`.
"""

import hashlib
import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softswitch.speech.builtin.moonshine import RATE, Array

SECONDS = 8
"""What the model hears; shorter sound is preceded by silence."""
FILE = Path(__file__).parent / "data" / "smart-turn-v3.2-cpu.onnx"
SHA256 = "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f"
_SOFT = 2e-3
"""Keeps the odds of a sure model bounded."""
_LOUD, _ABOVE = 5.5, 0.7
"""Speech is at most so far below the loudest moment, and so far above what follows: logarithms of power."""
_SHORTEST = 25
"""Frames of 10 ms of which loudness can be told."""
_SIZE, _HOP, _BANDS = 400, 160, 80
"""Samples of a spectrum, samples between two, bands of the ear's scale."""


class TurnModel:
    """The loaded model."""

    def __init__(self, session: Any) -> None:
        """Take a session of ONNX Runtime."""
        self._session = session

    @classmethod
    def load(cls) -> "TurnModel | None":
        """Load the model; return None where ONNX Runtime or the known file is missing."""
        if importlib.util.find_spec("onnxruntime") is None or not FILE.is_file():
            return None
        data = FILE.read_bytes()
        if hashlib.sha256(data).hexdigest() != SHA256:
            return None
        import onnxruntime  # noqa: PLC0415  (only in its own process)

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return cls(onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]))

    def hear(self, sound: Array) -> tuple[float, float, float]:
        """Return what the sound tells of its end: the logarithm of the model's odds, and :func:`falls`.

        Args:
            sound: at 16 kHz; it ends in 200 ms of silence. Later the model knows less, not more.
        """
        probability = self.probability(sound)
        odds = math.log((probability + _SOFT) / (1.0 - probability + _SOFT))
        return (odds, *falls(sound))

    def probability(self, sound: Array) -> float:
        """Return how likely the speaker is done, 0 to 1, after sound at 16 kHz that ends in silence."""
        features = log_mel(sound)[None]
        (probability,) = self._session.run(None, {"input_features": features})
        return round(float(np.asarray(probability).reshape(-1)[0]), 3)


def falls(sound: Array) -> tuple[float, float]:
    """Return how loud the end of speech is, natural logarithms of ratios of power: a sentence dies away.

    Args:
        sound: at 16 kHz; it ends in 100 ms of silence or more.

    Returns:
        The last 100 ms against the 300 ms before, the last 250 ms against all; 0 where there is too little.
    """
    frames = sound[len(sound) % _HOP :].reshape(-1, _HOP)[-SECONDS * RATE // _HOP :]
    power = np.log(np.square(frames).mean(axis=1) + np.float32(1e-8))
    if len(power) < _SHORTEST:
        return 0.0, 0.0
    floor = max(float(power.max()) - _LOUD, float(power[-8:].mean()) + _ABOVE)
    power = power[: int(np.flatnonzero(power >= min(floor, float(power.max())))[-1]) + 1]
    if len(power) < _SHORTEST:
        return 0.0, 0.0
    return (
        float(power[-10:].mean() - power[-40:-10].mean()),
        float(power[-25:].mean() - power.mean()),
    )


def log_mel(sound: Array) -> Array:
    """Return the features ``(80, 800)`` of the last 8 s of a sound."""
    line = np.zeros(SECONDS * RATE, np.float32)
    tail = sound[-len(line) :]
    line[len(line) - len(tail) :] = tail
    line = (line - line.mean()) / np.sqrt(line.var() + np.float32(1e-7))
    padded = np.pad(line, _SIZE // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _SIZE)[::_HOP][:-1]
    power = np.square(np.abs(np.fft.rfft(windows * _WINDOW, axis=1))).astype(np.float32)
    logarithm = np.log10(np.maximum(power @ _BANK, np.float32(1e-10)))
    logarithm = np.maximum(logarithm, logarithm.max() - np.float32(8.0))
    features: Array = np.ascontiguousarray(((logarithm + np.float32(4.0)) / np.float32(4.0)).T)
    return features


def _mel(frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Slaney's scale: linear up to 1 kHz, logarithmic above."""
    above = 15.0 + np.log(np.maximum(frequency, 1000.0) / 1000.0) * 27.0 / np.log(6.4)
    return np.where(frequency < 1000.0, 3.0 * frequency / 200.0, above)


def _frequency(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = 1000.0 * np.exp((np.maximum(mel, 15.0) - 15.0) * np.log(6.4) / 27.0)
    return np.where(mel < 15.0, 200.0 * mel / 3.0, above)


def _filters() -> Array:
    """Return the triangles ``(201, 80)``, each of equal area."""
    edges = _frequency(np.linspace(0.0, float(_mel(np.array([RATE / 2]))[0]), _BANDS + 2))
    bins = np.linspace(0.0, RATE / 2, _SIZE // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * 2.0 / (edges[2:] - edges[:-2])).astype(np.float32)


_WINDOW: Array = np.hanning(_SIZE + 1)[:-1].astype(np.float32)
_BANK = _filters()
