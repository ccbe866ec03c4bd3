"""RTCP packets from and to bytes (RFC 3550 §6, RFC 4585 §6.1, RFC 3611)."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from softswitch.errors import MalformedError

SENDER_REPORT, RECEIVER_REPORT, SOURCE_DESCRIPTION, GOODBYE = 200, 201, 202, 203
TRANSPORT_FEEDBACK, PAYLOAD_FEEDBACK = 205, 206

CNAME = 1
"""SDES item type of the canonical name (RFC 3550 §6.5.1)."""

MOST = 31
"""Blocks, chunks or sources of one packet: the count has five bits."""

_HEADER = struct.Struct(">BBH")
_WORD = struct.Struct(">I")
_SENDER = struct.Struct(">IQIII")
_BLOCK = struct.Struct(">IB3sIIII")
_LARGEST_LOST = 0x7FFFFF


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """Reception report of one source (RFC 3550 §6.4.1)."""

    ssrc: int
    fraction_lost: int
    """Share of the packets since the last report, in 1/256."""
    lost: int
    """Packets lost since the beginning; negative if duplicates outnumber losses."""
    highest: int
    """Extended highest sequence number."""
    jitter: int
    """Interarrival jitter in RTP timestamp units."""
    last_report: int
    """LSR: middle 32 bits of the NTP time of the last sender report received; 0 for none."""
    delay: int
    """DLSR: time since that report came, in 1/65536 s."""

    def to_bytes(self) -> bytes:
        """Return the 24 octets of the block."""
        lost = max(min(self.lost, _LARGEST_LOST), -_LARGEST_LOST - 1) & 0xFFFFFF
        return _BLOCK.pack(
            self.ssrc,
            self.fraction_lost,
            lost.to_bytes(3),
            self.highest & 0xFFFFFFFF,
            min(self.jitter, 0xFFFFFFFF),
            self.last_report,
            min(self.delay, 0xFFFFFFFF),
        )


@dataclass(frozen=True, slots=True)
class SenderReport:
    """SR: totals of the sender, and its reception of other sources (RFC 3550 §6.4.1)."""

    ssrc: int
    ntp: int
    """NTP time, 64 bits; any clock that advances evenly."""
    timestamp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()
    extension: bytes = b""

    def to_bytes(self) -> bytes:
        """Return the packet."""
        body = _SENDER.pack(
            self.ssrc, self.ntp, self.timestamp, self.packets & 0xFFFFFFFF, self.octets & 0xFFFFFFFF
        )
        return _packet(SENDER_REPORT, len(self.blocks), body + _blocks(self.blocks) + self.extension)


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """RR: reception of other sources by a participant that sent nothing (RFC 3550 §6.4.2)."""

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()
    extension: bytes = b""

    def to_bytes(self) -> bytes:
        """Return the packet."""
        body = _WORD.pack(self.ssrc) + _blocks(self.blocks) + self.extension
        return _packet(RECEIVER_REPORT, len(self.blocks), body)


@dataclass(frozen=True, slots=True)
class Description:
    """One chunk of an SDES: a source and its items."""

    ssrc: int
    items: tuple[tuple[int, bytes], ...]
    """(type, text) pairs, at most 255 octets of text each."""

    def to_bytes(self) -> bytes:
        """Return the chunk with its one to four null octets."""
        chunk = _WORD.pack(self.ssrc)
        chunk += b"".join(bytes((kind, len(text))) + text for kind, text in self.items)
        return chunk + bytes(4 - len(chunk) % 4)


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """SDES: descriptions of sources (RFC 3550 §6.5)."""

    chunks: tuple[Description, ...]

    def to_bytes(self) -> bytes:
        """Return the packet."""
        return _packet(
            SOURCE_DESCRIPTION, len(self.chunks), b"".join(chunk.to_bytes() for chunk in self.chunks)
        )


@dataclass(frozen=True, slots=True)
class Goodbye:
    """BYE: sources that leave (RFC 3550 §6.6)."""

    sources: tuple[int, ...]
    reason: bytes = b""

    def to_bytes(self) -> bytes:
        """Return the packet."""
        body = b"".join(map(_WORD.pack, self.sources))
        if self.reason:
            text = bytes((len(self.reason),)) + self.reason
            body += text + bytes(-len(text) % 4)
        return _packet(GOODBYE, len(self.sources), body)


@dataclass(frozen=True, slots=True)
class Feedback:
    """RTPFB or PSFB: NACK, PLI, REMB, transport-wide congestion control and the like (RFC 4585 §6.1)."""

    packet_type: int
    kind: int
    """FMT, 0-31."""
    sender: int
    media: int
    control: bytes = b""

    def to_bytes(self) -> bytes:
        """Return the packet."""
        return _packet(
            self.packet_type, self.kind, struct.pack(">II", self.sender, self.media) + self.control
        )


@dataclass(frozen=True, slots=True)
class Unknown:
    """A packet of a type that the switch does not use: APP, XR and future types."""

    packet_type: int
    count: int
    body: bytes

    def to_bytes(self) -> bytes:
        """Return the packet."""
        return _packet(self.packet_type, self.count, self.body)


Packet = SenderReport | ReceiverReport | SourceDescription | Goodbye | Feedback | Unknown


def parse(data: bytes) -> list[Packet]:
    """Read a compound packet, or one of reduced size (RFC 5506): all of it or nothing.

    Raises:
        MalformedError: a version, length, count or padding does not fit (RFC 3550 §A.2).
    """
    packets: list[Packet] = []
    at = 0
    while at < len(data):
        if len(data) - at < _HEADER.size:
            raise MalformedError("rtcp: octets are left behind the last packet", field="length")
        first, packet_type, words = _HEADER.unpack_from(data, at)
        if first >> 6 != 2:
            raise MalformedError("rtcp: the version is not 2", field="version")
        end = at + 4 + 4 * words
        if end > len(data):
            raise MalformedError("rtcp: a packet is longer than the datagram", field="length")
        body = data[at + 4 : end]
        if first & 0x20:
            body = _without_padding(body, last=end == len(data))
        packets.append(_packet_from(packet_type, first & 31, body))
        at = end
    if not packets:
        raise MalformedError("rtcp: the datagram is empty", field="length")
    return packets


def compound(packets: Iterable[Packet]) -> bytes:
    """Return the datagram of several packets; the caller puts a report first (RFC 3550 §6.1)."""
    return b"".join(packet.to_bytes() for packet in packets)


def _without_padding(body: bytes, *, last: bool) -> bytes:
    # Only the last packet of a compound may be padded (RFC 3550 §6.4.1). Padding that leaves no body is
    # refused too: no sender uses it, but attacks on parsers do.
    if not last or not body or body[-1] % 4 or not 0 < body[-1] < len(body):
        raise MalformedError("rtcp: the padding does not fit", field="padding")
    return body[: -body[-1]]


def _packet_from(packet_type: int, count: int, body: bytes) -> Packet:
    match packet_type:
        case 200:
            _need(body, _SENDER.size + count * _BLOCK.size)
            ssrc, ntp, timestamp, packets, octets = _SENDER.unpack_from(body)
            blocks, rest = _read_blocks(body[_SENDER.size :], count)
            return SenderReport(ssrc, ntp, timestamp, packets, octets, blocks, rest)
        case 201:
            _need(body, 4 + count * _BLOCK.size)
            blocks, rest = _read_blocks(body[4:], count)
            return ReceiverReport(_WORD.unpack_from(body)[0], blocks, rest)
        case 202:
            return SourceDescription(_read_chunks(body, count))
        case 203:
            return _read_goodbye(body, count)
        case 205 | 206:
            _need(body, 8)
            sender, media = struct.unpack_from(">II", body)
            return Feedback(packet_type, count, sender, media, body[8:])
        case _:
            return Unknown(packet_type, count, body)


def _need(body: bytes, octets: int) -> None:
    if len(body) < octets:
        raise MalformedError("rtcp: a packet is too short for what it counts", field="length")


def _read_blocks(body: bytes, count: int) -> tuple[tuple[ReportBlock, ...], bytes]:
    blocks = []
    for at in range(0, count * _BLOCK.size, _BLOCK.size):
        ssrc, fraction, lost, highest, jitter, last_report, delay = _BLOCK.unpack_from(body, at)
        cumulative = int.from_bytes(lost, signed=True)
        blocks.append(ReportBlock(ssrc, fraction, cumulative, highest, jitter, last_report, delay))
    return tuple(blocks), body[count * _BLOCK.size :]


def _read_chunks(body: bytes, count: int) -> tuple[Description, ...]:
    chunks = []
    at = 0
    for _ in range(count):
        if len(body) < at + 4:
            raise MalformedError("rtcp: a source description ends within a chunk", field="sdes")
        (ssrc,) = _WORD.unpack_from(body, at)
        items, at = _read_items(body, at + 4)
        chunks.append(Description(ssrc, items))
    return tuple(chunks)


def _read_items(body: bytes, at: int) -> tuple[tuple[tuple[int, bytes], ...], int]:
    items: list[tuple[int, bytes]] = []
    while at < len(body) and body[at]:
        if at + 2 > len(body) or at + 2 + body[at + 1] > len(body):
            raise MalformedError("rtcp: a source description ends within an item", field="sdes")
        items.append((body[at], body[at + 2 : at + 2 + body[at + 1]]))
        at += 2 + body[at + 1]
    # A list ends with at least one null octet and goes on at the next word (RFC 3550 §6.5).
    return tuple(items), at // 4 * 4 + 4


def _read_goodbye(body: bytes, count: int) -> Goodbye:
    _need(body, 4 * count)
    sources = struct.unpack_from(f">{count}I", body)
    rest = body[4 * count :]
    if not rest:
        return Goodbye(sources)
    if 1 + rest[0] > len(rest):
        raise MalformedError("rtcp: the reason of a goodbye does not fit", field="reason")
    return Goodbye(sources, rest[1 : 1 + rest[0]])


def _blocks(blocks: tuple[ReportBlock, ...]) -> bytes:
    return b"".join(block.to_bytes() for block in blocks)


def _packet(packet_type: int, count: int, body: bytes) -> bytes:
    if count > MOST:
        raise ValueError(f"count: {count} does not fit into five bits")
    return _HEADER.pack(0x80 | count, packet_type, len(body) // 4) + body
