"""RTP headers of many datagrams at once (RFC 3550 §5.1, RFC 8285)."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
"""Datagrams or payloads, uint8, ``(rows, octets)``."""

Ints: TypeAlias = NDArray[np.int64]
"""Numbers of rows or slots, ``(n,)``."""

Indices: TypeAlias = NDArray[np.intp]
"""Slots or lengths, ``(n,)``."""

Mask: TypeAlias = NDArray[np.bool_]
"""Choice of rows, ``(n,)``."""

Packets: TypeAlias = tuple[Bytes, Indices, Indices]
"""Datagrams ``(n, octets)``, the octets of each that count, and the slot of each."""

UNITS = 48000
"""Units of media time in a second."""

UNITS_PER_MS = UNITS // 1000

HEADER = 12
"""Octets of the fixed header."""

_VERSION = 0x80
_PADDING, _EXTENSION, _SOURCES = 0x20, 0x10, 0x0F
_MARKER = 0x80
_ONE_BYTE, _TWO_BYTE = 0xBEDE, 0x1000


@dataclass(slots=True)
class Headers:
    """Header fields of some datagrams, row by row."""

    payload_type: Ints
    sequence: Ints
    """0-65535."""
    timestamp: Ints
    """0 to 2**32 - 1, in the stream's own clock."""
    ssrc: Ints
    offset: Ints | int
    """Octet at which the payload begins; one number if it is the same for all rows."""
    length: Ints
    """Octets of the payload without padding; -1: the datagram is not RTP."""

    def chosen(self, rows: Indices) -> "Headers":
        """Return the headers of some of the datagrams."""
        return Headers(
            self.payload_type[rows],
            self.sequence[rows],
            self.timestamp[rows],
            self.ssrc[rows],
            self.offset if isinstance(self.offset, int) else self.offset[rows],
            self.length[rows],
        )


def is_rtcp(rows: Bytes) -> Mask:
    """Return which datagrams of a shared port are RTCP, by the second octet, ``(n,)`` (RFC 5761 §4).

    Args:
        rows: datagrams, ``(n, octets)``, at least two octets wide.
    """
    # RTCP types are 192 to 223: the octets whose upper three bits are 110, 6.
    rtcp: Mask = rows[:, 1] >> 5 == 6
    return rtcp


def parse(rows: Bytes, lengths: Indices) -> Headers:
    """Parse the headers of all datagrams at once; malformed ones are marked, never raised.

    Args:
        rows: ``(n, octets)``, at least 12 octets wide; octets behind a row's length are undefined.
        lengths: octets of each that count, ``(n,)``.
    """
    words = np.ascontiguousarray(rows[:, :HEADER]).view(">u4").astype(np.int64)
    first = words[:, 0]
    headers = Headers(
        payload_type=first >> 16 & 127,
        sequence=first & 0xFFFF,
        timestamp=words[:, 1],
        ssrc=words[:, 2],
        offset=HEADER,
        length=lengths - HEADER,
    )
    # np.count_nonzero takes a third of the time of all() and any(), which matters for few rows.
    odd = (first >> 24 != _VERSION) | (lengths < HEADER)
    if np.count_nonzero(odd):
        _parse_rest(rows, lengths, headers, np.flatnonzero(odd))
    return headers


def _parse_rest(rows: Bytes, lengths: Indices, headers: Headers, odd: Indices) -> None:
    """Compute offset and length of rows with CSRCs, extension or padding, and of malformed rows.

    The payload begins behind 12 octets, 4 for each CSRC, and an extension of 4 + 4 * words octets; the last
    octet of padding counts the padding (RFC 3550 §5.1, §5.3.1).
    """
    width = rows.shape[1]
    first = rows[odd, 0]
    end = np.minimum(lengths[odd], width).astype(np.int64)
    valid = (first >> 6 == 2) & (end >= HEADER)
    offset = HEADER + 4 * (first & _SOURCES).astype(np.int64)
    extended = valid & (first & _EXTENSION != 0)
    valid &= ~extended | (offset + 4 <= end)
    at = np.where(extended & valid, offset, 0)
    words = (
        rows[odd, np.minimum(at + 2, width - 1)].astype(np.int64) << 8
        | rows[odd, np.minimum(at + 3, width - 1)]
    )
    offset += np.where(extended & valid, 4 + 4 * words, 0)
    padded = valid & (first & _PADDING != 0)
    padding = np.where(padded, rows[odd, np.clip(end - 1, 0, width - 1)].astype(np.int64), 0)
    valid &= ~padded | (padding > 0)
    length = end - padding - offset
    valid &= length >= 0
    offsets = np.full(len(rows), HEADER, np.int64)
    offsets[odd] = np.where(valid, offset, HEADER)
    headers.offset = offsets
    headers.length[odd] = np.where(valid, length, -1)


def extensions(datagram: bytes) -> dict[int, bytes]:
    """Return the header extension elements of one valid RTP datagram by id (RFC 8285 §4.2, §4.3).

    Reading stops at a one-byte id 15 (§4.2) and at the first element that does not fit.
    """
    if len(datagram) < HEADER or not datagram[0] & _EXTENSION:
        return {}
    start = HEADER + 4 * (datagram[0] & _SOURCES)
    profile = int.from_bytes(datagram[start : start + 2])
    words = int.from_bytes(datagram[start + 2 : start + 4])
    block = datagram[start + 4 : start + 4 + 4 * words]
    if profile == _ONE_BYTE:
        return _one_byte(block)
    if profile & 0xFFF0 == _TWO_BYTE:
        return _two_byte(block)
    return {}


def _one_byte(block: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(block):
        if block[at] == 0:
            at += 1
            continue
        number, size = block[at] >> 4, (block[at] & 15) + 1
        if number == 15 or at + 1 + size > len(block):
            break
        found[number] = block[at + 1 : at + 1 + size]
        at += 1 + size
    return found


def _two_byte(block: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + 1 < len(block):
        if block[at] == 0:
            at += 1
            continue
        size = block[at + 1]
        if at + 2 + size > len(block):
            break
        found[block[at]] = block[at + 2 : at + 2 + size]
        at += 2 + size
    return found


def write_headers(
    rows: Bytes,
    *,
    second: Ints | int,
    sequence: Ints,
    timestamp: Ints,
    ssrc: Ints,
    extended: Mask | None = None,
) -> None:
    """Write the fixed header into the first 12 octets of each row.

    Args:
        rows: ``(n, octets)``, written in place.
        second: payload type, plus 128 where the marker is set.
        sequence: any integers; their low 16 bits are sent.
        timestamp: any integers; their low 32 bits are sent.
        ssrc: 32-bit numbers.
        extended: rows that carry a header extension behind it; None for no row.
    """
    words = np.empty((len(rows), 3), ">u4")
    first: Ints | int = _VERSION << 24
    if extended is not None:
        first = np.where(extended, (_VERSION | _EXTENSION) << 24, first)
    words[:, 0] = first | second << 16 | sequence & 0xFFFF
    words[:, 1] = timestamp & 0xFFFFFFFF
    words[:, 2] = ssrc
    rows[:, :HEADER] = words.view(np.uint8)


LEVEL_EXTENSION = 8
"""Octets of the header extension that :func:`write_levels` writes."""


def write_levels(rows: Bytes, ids: Ints, levels: Ints, voiced: Mask) -> None:
    """Write the client-to-mixer audio level behind the fixed header (RFC 6464 §3, one-byte form).

    Args:
        rows: ``(n, octets)``, octets 12 to 19 are written.
        ids: negotiated id of each, 1-14.
        levels: -dBov, 0 (loudest) to 127.
        voiced: whether each is thought to be speech.
    """
    rows[:, 12:16] = (0xBE, 0xDE, 0, 1)
    rows[:, 16] = ids << 4
    rows[:, 17] = levels | np.where(voiced, 0x80, 0)
    rows[:, 18:20] = 0
