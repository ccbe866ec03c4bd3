"""Levels of rows: power, dBov, and the audio level of the RTP header extension (RFC 6464)."""

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import FULL_SCALE, Pcm
from softswitch.audio.rows import compiled
from softswitch.compiled import address

SILENT_DBOV = -127.0
"""Lowest level that RFC 6464 can express, dBov; also the level of digital silence."""

FLOOR = FULL_SCALE**2 * 10 ** (SILENT_DBOV / 10)
"""Power of :data:`SILENT_DBOV`."""
FULL_DB = np.float32(20 * np.log10(FULL_SCALE))
"""Decibels of overload above a power of 1."""


def power(pcm: Pcm) -> Pcm:
    """Return the mean square of each row, ``(n,)``; 0 for empty rows."""
    fast = compiled("power")
    if fast is None or pcm.dtype != np.float32 or not pcm.flags.c_contiguous:
        return power_by_numpy(pcm)
    squares: Pcm = np.empty(len(pcm), np.float32)
    fast(address(pcm), len(pcm), pcm.shape[1], address(squares))
    return squares


def power_by_numpy(pcm: Pcm) -> Pcm:
    """Do what :func:`power` does, without compiled code."""
    mean: Pcm = np.einsum("ns,ns->n", pcm, pcm) / np.float32(max(pcm.shape[1], 1))
    return mean


def dbov(pcm: Pcm) -> Pcm:
    """Return the level of each row in decibels below overload, ``(n,)``, 0 down to -127.

    Overload is a square wave at full scale (RFC 6465 section 2), so that a full sine is at -3.01.
    """
    level = power(pcm)
    np.maximum(level, FLOOR, out=level)
    np.log10(level, out=level)
    level *= 10.0
    level -= FULL_DB
    return np.minimum(level, 0.0, out=level)


def header_level(pcm: Pcm) -> NDArray[np.uint8]:
    """Return the level of each row as RFC 6464 writes it: 0 for overload to 127 for silence, ``(n,)``."""
    fast = compiled("header_level")
    if fast is None or pcm.dtype != np.float32 or not pcm.flags.c_contiguous:
        return header_level_by_numpy(pcm)
    levels: NDArray[np.uint8] = np.empty(len(pcm), np.uint8)
    fast(address(pcm), *pcm.shape, FLOOR, FULL_DB, address(levels))
    return levels


def header_level_by_numpy(pcm: Pcm) -> NDArray[np.uint8]:
    """Do what :func:`header_level` does, without compiled code of its own."""
    return np.rint(-dbov(pcm)).astype(np.uint8)


def gain(decibels: float) -> float:
    """Return the factor by which samples are multiplied to change their level by `decibels`."""
    return float(10.0 ** (decibels / 20.0))
