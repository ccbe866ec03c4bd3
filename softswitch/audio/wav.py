"""WAV files: headers of files being written, and reading of small files.

The writing functions do no I/O: they return the header, and the octets of the size fields to be patched after
each flush. A file is thus readable up to its last flush even if it was never completed.
"""

from dataclasses import dataclass
from struct import Struct

import numpy as np

from softswitch.audio.g711 import ALAW_DECODE, ULAW_DECODE, decode
from softswitch.audio.pcm import Pcm
from softswitch.errors import MalformedError

HEADER_OCTETS = 44
"""Length of the header :func:`header` makes; audio begins behind it."""

_HEADER = Struct("<4sI4s4sIHHIIHH4sI")
_SIZE = Struct("<I")
_FORMAT = Struct("<HHIIHH")
_CHUNK = Struct("<4sI")
_MOST = 0xFFFFFFFF

_PCM, _EXTENSIBLE = 1, 0xFFFE


@dataclass(frozen=True, slots=True)
class Wav:
    """A file that was read."""

    sample_rate: int
    """Hz."""

    pcm: Pcm
    """``(channels, samples)`` float32 in PCM16 units."""


class WavError(MalformedError):
    """The data is not a WAV file of a supported format; the message gives the reason."""


def header(sample_rate: int, channels: int, data_octets: int = 0) -> bytes:
    """Return the 44 octets in front of PCM16 audio.

    Args:
        sample_rate: Hz.
        channels: interleaved channels.
        data_octets: octets of audio that follow; patched later with :func:`patches`.
    """
    block = 2 * channels
    return _HEADER.pack(
        b"RIFF", _riff_size(data_octets), b"WAVE", b"fmt ", 16, _PCM, channels, sample_rate,
        sample_rate * block, block, 16, b"data", min(data_octets, _MOST),
    )  # fmt: skip


def patches(data_octets: int) -> tuple[tuple[int, bytes], tuple[int, bytes]]:
    """Return what to write where, ``(offset, octets)``, once `data_octets` of audio are in the file.

    Sizes stay at their highest in files above 4 GiB, which readers take for "until the end".
    """
    return (4, _SIZE.pack(_riff_size(data_octets))), (40, _SIZE.pack(min(data_octets, _MOST)))


def interleave(channels: Pcm) -> Pcm:
    """Return ``(channels, samples)`` as one row in the order of the file, ``(samples * channels,)``."""
    return np.ascontiguousarray(channels.T).reshape(-1)


def read(data: bytes) -> Wav:
    """Return the audio of a WAV file: PCM of 8 or 16 bits, A-law or µ-law.

    A data chunk that is cut short, or whose size was never patched, is read as far as it goes.

    Raises:
        WavError: the format is not one of these.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise WavError("wav: the data does not begin with RIFF and WAVE")
    layout: tuple[int, int, int, int] | None = None
    offset = 12
    while offset + _CHUNK.size <= len(data):
        name, size = _CHUNK.unpack_from(data, offset)
        offset += _CHUNK.size
        if name == b"fmt ":
            layout = _layout(data[offset : offset + size])
        elif name == b"data":
            if layout is None:
                raise WavError("wav: the data chunk comes before its format")
            return _samples(data[offset : offset + size] if size else data[offset:], *layout)
        # Chunks begin at even offsets.
        offset += size + (size & 1)
    raise WavError("wav: there is no data chunk")


def _riff_size(data_octets: int) -> int:
    return min(data_octets + HEADER_OCTETS - 8, _MOST)


def _layout(chunk: bytes) -> tuple[int, int, int, int]:
    """Return coding, channels, sample rate and bits of a format chunk."""
    if len(chunk) < _FORMAT.size:
        raise WavError(f"wav: the format chunk has {len(chunk)} octets, at least {_FORMAT.size} are needed")
    coding, channels, sample_rate, _, _, bits = _FORMAT.unpack_from(chunk)
    if coding == _EXTENSIBLE and len(chunk) >= 26:
        # WAVEFORMATEXTENSIBLE: the coding stands in the first two octets of the sub-format.
        coding = int.from_bytes(chunk[24:26], "little")
    if not 1 <= channels <= 64 or sample_rate == 0:
        raise WavError(f"wav: {channels} channels at {sample_rate} Hz are not supported")
    return coding, channels, sample_rate, bits


def _samples(data: bytes, coding: int, channels: int, sample_rate: int, bits: int) -> Wav:
    octets = np.frombuffer(data, np.uint8)
    match coding, bits:
        case (1, 16):
            samples = octets[: len(octets) // 2 * 2].view("<i2").astype(np.float32)
        case (1, 8):
            samples = (octets.astype(np.float32) - 128.0) * 256.0
        case (6, _):
            samples = decode(ALAW_DECODE, octets)
        case (7, _):
            samples = decode(ULAW_DECODE, octets)
        case _:
            raise WavError(f"wav: coding {coding} with {bits} bits is not supported")
    whole = len(samples) // channels * channels
    return Wav(sample_rate, np.ascontiguousarray(samples[:whole].reshape(-1, channels).T))
