"""Ogg pages with Opus (RFC 3533, RFC 7845): writing pages, and finding the last page of a file."""

import struct
import zlib
from dataclasses import dataclass

_PAGE = struct.Struct("<4sBBqIIIB")
_CAPTURE = b"OggS"
_BEGIN, _END = 2, 4
_MOST_SEGMENTS = 255
_REVERSED = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))

LARGEST_PAGE = _PAGE.size + _MOST_SEGMENTS + _MOST_SEGMENTS * 255
"""Octets of the largest page."""


@dataclass(frozen=True, slots=True)
class LastPage:
    """The last complete page of a file."""

    end: int
    """Octets from the beginning of the search to the end of the page."""
    granule: int
    """Samples at 48 kHz up to the end of the page, including the pre-skip (RFC 7845 section 4)."""
    serial: int
    number: int
    """Sequence number of the page."""
    is_end: bool
    """The page ends the stream."""


def segments(packet: bytes) -> int:
    """Return how many of the 255 segments of a page a packet takes."""
    return len(packet) // 255 + 1


def fits(used: int, packet: bytes) -> bool:
    """Return True if a page with `used` segments has room for a packet."""
    return used + segments(packet) <= _MOST_SEGMENTS


def page(
    packets: list[bytes], granule: int, serial: int, number: int, *, begin: bool = False, end: bool = False
) -> bytes:
    """Return a page of complete packets.

    Args:
        packets: At most 255 segments of them.
        granule: Samples at 48 kHz up to the end of the last one (RFC 7845 section 4).
        serial: Of the logical stream.
        number: Of the page, from 0.
        begin: It is the first page.
        end: It is the last page.
    """
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    flags = _BEGIN * begin | _END * end
    head = _PAGE.pack(_CAPTURE, 0, flags, granule, serial, number, 0, len(lacing)) + lacing
    body = b"".join(packets)
    return head[:22] + struct.pack("<I", _checksum(head + body)) + head[26:] + body


def opus_head(channels: int, pre_skip: int, sample_rate: int) -> bytes:
    """Return the identification header (RFC 7845 section 5.1); `pre_skip` in samples at 48 kHz."""
    return struct.pack("<8sBBHIhB", b"OpusHead", 1, channels, pre_skip, sample_rate, 0, 0)


def opus_tags(vendor: str) -> bytes:
    """Return the comment header (RFC 7845 section 5.2) without comments."""
    name = vendor.encode()
    return b"OpusTags" + struct.pack("<I", len(name)) + name + struct.pack("<I", 0)


def last_page(data: bytes) -> LastPage | None:
    """Return the last complete, undamaged page within the end of a file; None if there is no such page."""
    at = len(data)
    while (at := data.rfind(_CAPTURE, 0, at)) >= 0:
        if len(data) - at < _PAGE.size:
            continue
        _, version, flags, granule, serial, number, checksum, count = _PAGE.unpack_from(data, at)
        lacing = data[at + _PAGE.size : at + _PAGE.size + count]
        end = at + _PAGE.size + count + sum(lacing)
        if version or len(lacing) < count or end > len(data):
            continue
        if _checksum(data[at : at + 22] + bytes(4) + data[at + 26 : end]) == checksum:
            return LastPage(end, granule, serial, number, bool(flags & _END))
    return None


def _checksum(data: bytes) -> int:
    """Return the CRC of an Ogg page: that of zlib with bits reversed, from 0 and not inverted."""
    mirrored = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
