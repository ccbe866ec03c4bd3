"""The bus's constants, and the way between PCM16 bytes and float32 rows in PCM16 units."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.rows import compiled
from softswitch.compiled import address

BUS_RATE = 24000
"""Sample rate of the bus, Hz."""

TICK_MS = 20
"""Duration of a frame, milliseconds."""

FRAME = BUS_RATE * TICK_MS // 1000
"""Samples in a frame of the bus."""

FULL_SCALE = 32768.0
"""Magnitude of the loudest sample (PCM16 units)."""

Pcm: TypeAlias = NDArray[np.float32]
"""Linear audio, float32 in PCM16 units, ``(rows, samples)`` or ``(samples,)``."""

Pcm16: TypeAlias = NDArray[np.int16]
"""Linear audio, int16, the machine's byte order."""

Bytes: TypeAlias = NDArray[np.uint8]
"""Payload rows, uint8, ``(rows, octets)``."""

Indices: TypeAlias = NDArray[np.intp]
"""Slots, lengths or counts, ``(rows,)``."""

_WIRE = np.dtype("<i2")
_LOWEST, _HIGHEST = -32768.0, 32767.0


def to_float(pcm: Pcm16, out: Pcm | None = None) -> Pcm:
    """Return int16 audio as float32 of the same shape, written into `out` where it is given."""
    if out is None:
        return pcm.astype(np.float32)
    np.copyto(out, pcm, casting="unsafe")
    return out


def to_int16(pcm: Pcm, out: Pcm16 | None = None) -> Pcm16:
    """Return float32 audio rounded to the nearest int16 and clipped at full scale.

    Args:
        pcm: audio in PCM16 units, any shape; it is left as it is.
        out: where to write, of the same shape.
    """
    fast = compiled("round")
    if fast is None or pcm.dtype != np.float32 or not pcm.flags.c_contiguous:
        return to_int16_by_numpy(pcm, out)
    made: Pcm16 = np.empty(pcm.shape, np.int16) if out is None or not out.flags.c_contiguous else out
    if made.shape != pcm.shape or made.dtype != np.int16:
        return to_int16_by_numpy(pcm, out)
    fast(address(pcm), pcm.size, address(made))
    if out is None or made is out:
        return made
    np.copyto(out, made)
    return out


def to_int16_by_numpy(pcm: Pcm, out: Pcm16 | None = None) -> Pcm16:
    """Do what :func:`to_int16` does, without compiled code."""
    rounded = np.rint(pcm)
    # fmax and fmin take the number where the other is NaN, whose cast to int16 would raise a warning.
    np.fmax(rounded, _LOWEST, out=rounded)
    np.fmin(rounded, _HIGHEST, out=rounded)
    if out is None:
        return rounded.astype(np.int16)
    np.copyto(out, rounded, casting="unsafe")
    return out


def from_bytes(data: bytes | bytearray | memoryview, out: Pcm | None = None) -> Pcm:
    """Return PCM16 little-endian bytes as one float32 row.

    Args:
        data: whole samples; an odd last byte is left out, its carry is the caller's business.
        out: ``(samples,)`` to write into; it must have exactly as many samples as `data`.

    Raises:
        ValueError: `out` has another length.
    """
    samples = np.frombuffer(data, _WIRE, count=len(data) // 2)
    if out is None:
        return samples.astype(np.float32)
    if out.shape != samples.shape:
        raise ValueError(f"out: has shape {out.shape}, the data holds {samples.shape[0]} samples")
    np.copyto(out, samples, casting="unsafe")
    return out


def to_bytes(pcm: Pcm) -> bytes:
    """Return float32 audio as PCM16 little-endian bytes, rows one after another."""
    return to_int16(pcm).astype(_WIRE, copy=False).tobytes()


def to_octets(pcm: Pcm, out: Pcm16 | None = None) -> Bytes:
    """Return float32 rows ``(n, samples)`` as PCM16 little-endian octet rows ``(n, 2 * samples)``.

    Args:
        pcm: the rows.
        out: ``(n, samples)``, memory that may be used for what is returned.
    """
    return to_int16(pcm, out).astype(_WIRE, copy=False).view(np.uint8)


def fade(samples: int, rising: bool = True) -> Pcm:
    """Return a raised-cosine ramp ``(samples,)`` from 0 to 1, or from 1 to 0.

    Two of them, one rising and one falling, add to exactly 1 everywhere.
    """
    phase = (np.arange(samples, dtype=np.float32) + 0.5) / max(samples, 1)
    ramp: Pcm = (0.5 - 0.5 * np.cos(np.pi * phase)).astype(np.float32)
    return ramp if rising else 1.0 - ramp
