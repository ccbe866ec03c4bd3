"""Sequence numbers, timestamps and headers of the packets that every slot sends."""

from dataclasses import dataclass

import numpy as np

from softswitch.rtp.packet import (
    HEADER,
    LEVEL_EXTENSION,
    Bytes,
    Indices,
    Ints,
    write_headers,
    write_levels,
)

_SSRC, _SEQUENCE, _STAMP, _PACKETS, _OCTETS, _TYPE, _LEVEL, _MARK, _REPORTED = range(9)
_FIELDS = 9
_MARKER = 128
_VOICED = 50
"""Frames louder than -50 dBov are marked as voice in the audio level extension (RFC 6464 §3)."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Totals for a sender report (RFC 3550 §6.4.1)."""

    packets: int
    octets: int
    timestamp: int
    """Timestamp of a packet that would be sent now."""


class Senders:
    """One outgoing stream per slot.

    Sequence numbers and timestamps are kept without wrapping; :func:`write_headers` sends their low 16 and 32
    bits.
    """

    def __init__(self, slots: int = 0) -> None:
        """Make a table with `slots` rows to begin with."""
        self._state = np.zeros((0, _FIELDS), np.int64)
        self._levelled: set[int] = set()
        """Slots that send a header extension."""
        self.grow(slots)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        self._state = np.pad(self._state, ((0, max(slots - len(self._state), 0)), (0, 0)))

    def open(self, slot: int, ssrc: int, sequence: int, timestamp: int) -> None:
        """Begin a stream; its first packet carries the marker.

        Args:
            slot: row.
            ssrc: 32 bit, random.
            sequence: of the first packet, 16 bit, random.
            timestamp: of the first packet, 32 bit, random.
        """
        state = self._state[slot]
        state[:] = 0
        self._levelled.discard(slot)
        state[_SSRC], state[_SEQUENCE], state[_STAMP], state[_MARK] = ssrc, sequence, timestamp, _MARKER

    def set_format(self, slot: int, payload_type: int, level_id: int = 0) -> None:
        """Set the payload type and header extension from now on.

        Args:
            slot: row.
            payload_type: 0-127.
            level_id: id of the audio level extension (RFC 6464), 1-14; 0 sends none.
        """
        state = self._state[slot]
        state[_TYPE], state[_LEVEL] = payload_type, level_id
        (self._levelled.add if level_id else self._levelled.discard)(slot)

    @property
    def table(self) -> Ints:
        """Return the numbers of all slots, for compiled code; growing replaces the array."""
        return self._state

    def ssrc(self, slot: int) -> int:
        """Return the slot's own SSRC."""
        return int(self._state[slot, _SSRC])

    def sent(self, slot: int) -> Sent:
        """Return the totals of the slot."""
        state = self._state[slot]
        return Sent(int(state[_PACKETS]), int(state[_OCTETS]), int(state[_STAMP]) & 0xFFFFFFFF)

    def active(self, slot: int) -> bool:
        """Return True if a packet was sent since the last call: an SR is due, else an RR (RFC 3550 §6.4)."""
        state = self._state[slot]
        active = state[_PACKETS] != state[_REPORTED]
        state[_REPORTED] = state[_PACKETS]
        return bool(active)

    def extended(self, slots: Indices) -> bool:
        """Return True if any of `slots` sends a header extension."""
        return bool(self._levelled) and bool(self._state[slots, _LEVEL].any())

    def build(
        self,
        out: Bytes,
        payloads: Bytes,
        lengths: Indices,
        slots: Indices,
        steps: Ints | int,
        *,
        levels: Ints | None = None,
    ) -> Indices:
        """Write one packet per slot and move on.

        Args:
            out: ``(n, octets)``, wide enough for 20 octets more than the payloads.
            payloads: ``(n, octets)``.
            lengths: octets of each that count.
            slots: each at most once, ``(n,)``.
            steps: timestamp steps that each payload lasts.
            levels: -dBov of each frame, ``(n,)``, for slots with the extension; None where there are none.

        Returns:
            Octets of each datagram, ``(n,)``.
        """
        state = self._state.take(slots, axis=0)
        with_level = None if levels is None else state[:, _LEVEL] > 0
        write_headers(
            out,
            second=state[:, _TYPE] | state[:, _MARK],
            sequence=state[:, _SEQUENCE],
            timestamp=state[:, _STAMP],
            ssrc=state[:, _SSRC],
            extended=with_level,
        )
        state[:, _SEQUENCE] += 1
        state[:, _STAMP] += steps
        state[:, _PACKETS] += 1
        state[:, _OCTETS] += lengths
        state[:, _MARK] = 0
        self._state[slots] = state
        width = payloads.shape[1]
        if levels is None or with_level is None or not with_level.any():
            out[:, HEADER : HEADER + width] = payloads
            return lengths + HEADER
        write_levels(out, state[:, _LEVEL], levels, levels < _VOICED)
        offset = HEADER + LEVEL_EXTENSION
        out[:, offset : offset + width] = payloads
        bare = np.flatnonzero(~with_level)
        out[bare, HEADER : HEADER + width] = payloads[bare]
        return lengths + np.where(with_level, offset, HEADER)

    def build_event(
        self, slot: int, payload_type: int, payload: bytes, *, marker: bool, behind: int
    ) -> bytes:
        """Return a telephone event packet; its timestamp is that of the press (RFC 4733 §2.5.1).

        Args:
            slot: row.
            payload_type: payload type of the telephone events.
            payload: payload of the packet.
            marker: marker bit, set on the first packet of a press.
            behind: timestamp steps since the beginning of the press.
        """
        state = self._state[slot]
        row = np.zeros((1, HEADER), np.uint8)
        write_headers(
            row,
            second=payload_type | (_MARKER if marker else 0),
            sequence=state[_SEQUENCE : _SEQUENCE + 1],
            timestamp=state[_STAMP : _STAMP + 1] - behind,
            ssrc=state[_SSRC : _SSRC + 1],
        )
        state[_SEQUENCE] += 1
        state[_PACKETS] += 1
        state[_OCTETS] += len(payload)
        return row.tobytes() + payload

    def position(self, slot: int) -> tuple[int, int]:
        """Return the number and the timestamp of the next packet; neither wraps."""
        state = self._state[slot]
        return int(state[_SEQUENCE]), int(state[_STAMP])

    def forward(
        self,
        out: Bytes,
        slots: Indices,
        *,
        numbers: Ints,
        stamps: Ints,
        ends: Ints,
        octets: Ints,
        marks: Ints | Bytes,
    ) -> None:
        """Write the headers of relayed packets; the slot's own numbers continue behind the highest of them.

        Args:
            out: ``(n, octets)``, the payloads behind the fixed header.
            slots: each at most once, ``(n,)``.
            numbers: sequence numbers, not wrapped.
            stamps: timestamps, not wrapped.
            ends: timestamps behind the packets.
            octets: of each payload.
            marks: 128 where the marker is set, else 0.
        """
        state = self._state.take(slots, axis=0)
        write_headers(
            out,
            second=state[:, _TYPE] | state[:, _MARK] | marks,
            sequence=numbers,
            timestamp=stamps,
            ssrc=state[:, _SSRC],
        )
        np.maximum(state[:, _SEQUENCE], numbers + 1, out=state[:, _SEQUENCE])
        np.maximum(state[:, _STAMP], ends, out=state[:, _STAMP])
        state[:, _PACKETS] += 1
        state[:, _OCTETS] += octets
        state[:, _MARK] = 0
        self._state[slots] = state

    def forward_event(
        self, slot: int, payload_type: int, payload: bytes, number: int, stamp: int, *, marker: bool
    ) -> bytes:
        """Return a relayed telephone event packet; the slot's own numbers continue behind it."""
        state = self._state[slot]
        row = np.zeros((1, HEADER), np.uint8)
        write_headers(
            row,
            second=payload_type | (_MARKER if marker else 0),
            sequence=np.array([number]),
            timestamp=np.array([stamp]),
            ssrc=state[_SSRC : _SSRC + 1],
        )
        state[_SEQUENCE] = max(int(state[_SEQUENCE]), number + 1)
        state[_PACKETS] += 1
        state[_OCTETS] += len(payload)
        return row.tobytes() + payload

    def skip(self, slots: Indices, steps: Ints | int) -> None:
        """Advance the timestamp without a packet; the next packet has the marker (RFC 3551 §4.1)."""
        self._state[slots, _STAMP] += steps
        self._state[slots, _MARK] = _MARKER
