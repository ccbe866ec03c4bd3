"""Length of a recording whose writer ended without completing it."""

import os
import struct
from pathlib import Path

from softswitch.audio import ogg, wav

_FORMAT_AT = 28
"""Offset of the bytes per second in the 44 bytes of the WAV headers that the switch writes."""
_PRE_SKIP_AT = 28 + 10
"""Offset of the pre-skip in an Opus file: a page header of 27 bytes, one segment, then OpusHead."""


def repair(path: Path) -> tuple[int, int]:
    """Bring the header of a cut-off file up to date; return its size in bytes and duration in milliseconds.

    Raises:
        OSError: The file cannot be read or written, or is a symbolic link.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        head = os.pread(descriptor, wav.HEADER_OCTETS, 0)
        if head.startswith(b"RIFF"):
            return size, _wav_ms(descriptor, head, size)
        if head.startswith(b"OggS"):
            return size, _opus_ms(descriptor, head, size)
        return size, 0
    finally:
        os.close(descriptor)


def _wav_ms(descriptor: int, head: bytes, size: int) -> int:
    if len(head) < wav.HEADER_OCTETS:
        return 0
    per_second: int
    (per_second,) = struct.unpack_from("<I", head, _FORMAT_AT)
    audio = size - wav.HEADER_OCTETS
    for offset, octets in wav.patches(audio):
        os.pwrite(descriptor, octets, offset)
    return audio * 1000 // per_second if per_second else 0


def _opus_ms(descriptor: int, head: bytes, size: int) -> int:
    # The last complete page is within two of the largest pages of the end.
    start = max(0, size - 2 * ogg.LARGEST_PAGE)
    last = ogg.last_page(os.pread(descriptor, size - start, start))
    if last is None or len(head) < _PRE_SKIP_AT + 2:
        return 0
    pre_skip: int
    (pre_skip,) = struct.unpack_from("<H", head, _PRE_SKIP_AT)
    return max(0, last.granule - pre_skip) // 48
