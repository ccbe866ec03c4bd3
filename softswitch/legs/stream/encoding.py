"""Decoding of what a service says to PCM16; what it hears is encoded by the taps of the engine."""

from collections.abc import Callable
from typing import Final

import numpy as np

from softswitch.audio import g711
from softswitch.audio.pcm import to_int16
from softswitch.legs.stream.dialect import Encoding

Convert = Callable[[bytes], bytes]

_LAWS: Final[dict[Encoding, str]] = {"pcmu": "PCMU", "pcma": "PCMA"}
"""Names of the G.711 laws in :mod:`softswitch.audio.g711`."""
_OCTETS: Final = np.dtype(np.uint8)


def decoder(encoding: Encoding) -> Convert:
    """Return the function from bytes of an encoding to PCM16 bytes."""
    if encoding == "pcm16":
        return _same
    table = to_int16(g711.DECODING[_LAWS[encoding]]).astype("<i2")
    return lambda codes: table.take(np.frombuffer(codes, _OCTETS)).tobytes()


def _same(audio: bytes) -> bytes:
    return audio
