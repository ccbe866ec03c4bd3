"""G.711 (µ-law and A-law) by tables computed from the recommendation (ITU-T G.711, 1988).

PCM16 carries µ-law's 14-bit and A-law's 13-bit magnitudes in its upper bits. Negative numbers are folded by
one's complement, as the ITU's reference software (G.191) does, which settles what the recommendation leaves
open at the decision values.
"""

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import Bytes, Pcm, to_int16

_BIAS = 33
"""µ-law's segments begin at powers of two once 33 (in 14-bit units) is added to the magnitude."""

_LARGEST = 0x1FFF
"""Largest biased 14-bit magnitude."""

_EVEN_BITS = 0x55
"""A-law inverts its even bits on the line (G.711 table 1a, note 1)."""

_SIGN = 0x80


def _segment(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the position of the highest bit set (0 for none), exact for numbers below 2**53."""
    return np.frexp(numbers.astype(np.float64))[1].astype(np.int64)


def _all_pcm16() -> NDArray[np.int64]:
    """Return every PCM16 value in the order of its bits read as uint16."""
    return np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int64)


def _folded(pcm: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(pcm < 0, ~pcm, pcm)


def _ulaw_encoding() -> Bytes:
    pcm = _all_pcm16()
    magnitude = np.minimum((_folded(pcm) >> 2) + _BIAS, _LARGEST)
    segment = _segment(magnitude) - 6
    mantissa = (magnitude >> (segment + 1)) & 15
    sign = np.where(pcm < 0, _SIGN, 0)
    # All bits are inverted on the line (G.711 table 2a), so that silence has many ones.
    codes: Bytes = (~(sign | segment << 4 | mantissa)).astype(np.uint8)
    return codes


def _alaw_encoding() -> Bytes:
    pcm = _all_pcm16()
    magnitude = _folded(pcm) >> 4
    # Segment 0 is linear and segment 1 continues it with the same step.
    segment = np.maximum(_segment(magnitude) - 4, 0)
    mantissa = (magnitude >> np.maximum(segment - 1, 0)) & 15
    sign = np.where(pcm < 0, 0, _SIGN)
    codes: Bytes = ((sign | segment << 4 | mantissa) ^ _EVEN_BITS).astype(np.uint8)
    return codes


def _ulaw_decoding() -> NDArray[np.int64]:
    code = 255 - np.arange(256)
    segment, mantissa = code >> 4 & 7, code & 15
    magnitude = (((2 * mantissa + _BIAS) << segment) - _BIAS) << 2
    return np.where(code & _SIGN, -magnitude, magnitude)


def _alaw_decoding() -> NDArray[np.int64]:
    code = np.arange(256) ^ _EVEN_BITS
    segment, mantissa = code >> 4 & 7, code & 15
    step = np.where(segment == 0, 2 * mantissa + 1, (2 * mantissa + 33) << np.maximum(segment - 1, 0))
    return np.where(code & _SIGN, step << 3, -(step << 3))


ULAW_DECODE: Pcm = _ulaw_decoding().astype(np.float32)
"""PCM16 value of each µ-law code, ``(256,)``."""

ALAW_DECODE: Pcm = _alaw_decoding().astype(np.float32)
"""PCM16 value of each A-law code, ``(256,)``."""

ULAW_ENCODE: Bytes = _ulaw_encoding()
"""µ-law code of each PCM16 value, indexed by its bits as uint16, ``(65536,)``."""

ALAW_ENCODE: Bytes = _alaw_encoding()
"""A-law code of each PCM16 value, indexed by its bits as uint16, ``(65536,)``."""

ULAW_SILENCE, ALAW_SILENCE = 0xFF, 0xD5
"""Codes of the sample nearest to zero from above."""

DECODING = {"PCMU": ULAW_DECODE, "PCMA": ALAW_DECODE}
ENCODING = {"PCMU": ULAW_ENCODE, "PCMA": ALAW_ENCODE}
SILENCE = {"PCMU": ULAW_SILENCE, "PCMA": ALAW_SILENCE}


def decode(table: Pcm, codes: Bytes, out: Pcm | None = None) -> Pcm:
    """Return the linear audio of G.711 codes, float32 in PCM16 units at 8 kHz, of the shape of `codes`.

    Args:
        table: :data:`ULAW_DECODE` or :data:`ALAW_DECODE`.
        codes: uint8, any shape.
        out: where to write, of the same shape.
    """
    if out is None:
        out = np.empty(codes.shape, np.float32)
    # mode="clip" spares numpy a second buffer; no uint8 can lie outside the table.
    return np.take(table, codes, out=out, mode="clip")


def encode(table: Bytes, pcm: Pcm, out: Bytes | None = None) -> Bytes:
    """Return the G.711 codes of linear audio at 8 kHz, of the shape of `pcm`.

    Args:
        table: :data:`ULAW_ENCODE` or :data:`ALAW_ENCODE`.
        pcm: float32 in PCM16 units, any shape; rounded and clipped first.
        out: where to write, of the same shape.
    """
    if out is None:
        out = np.empty(pcm.shape, np.uint8)
    return np.take(table, to_int16(pcm).view(np.uint16), out=out, mode="clip")
