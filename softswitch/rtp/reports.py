"""RTCP of every slot: when reports are due, what they say, what the other side's say (RFC 3550 §6)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from softswitch.errors import MalformedError
from softswitch.rtp import rtcp
from softswitch.rtp.packet import Bytes, Indices
from softswitch.rtp.sending import Senders
from softswitch.rtp.statistics import Sources

INTERVAL = 5.0
"""Seconds between two reports on average (RFC 3550 §6.2: the minimum at any bandwidth of a call)."""

LARGEST = 256
"""Octets that a report of ours takes at most: the CNAME is cut to fit."""

_CNAME_OCTETS = 120
_NEVER = float("inf")
_NO_ROWS: Bytes = np.zeros((0, LARGEST), np.uint8)
_NO_SLOTS: Indices = np.zeros(0, np.intp)
_EPOCH = 4096.0
"""Added to the monotonic clock, so that no NTP time of ours is zero, which would mean none."""

_TURN = 0.6180339887498949
"""Fractional parts of its multiples are spread evenly: intervals vary as RFC 3550 §6.3.1 wants it."""


@dataclass(slots=True)
class _Report:
    """The reporting state of one slot."""

    description: bytes
    """The SDES packet: what is said of us never changes."""
    turn: float
    heard_ssrc: int = -1
    heard_middle: int = 0
    """Middle 32 bits of the NTP time in the last sender report."""
    heard_at: float = 0.0
    round_trip: float = 0.0
    far_loss: float = 0.0
    goodbye: bool = False


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a far end says of how it hears us."""

    slot: int
    loss: float
    """Share of our packets that were lost lately, 0-1."""
    round_trip: float
    """Seconds; 0 while unknown."""


class Reporter:
    """Sends and reads the reports of all slots."""

    def __init__(self, senders: Senders, sources: Sources) -> None:
        """Report about `senders` and `sources`."""
        self._senders, self._sources = senders, sources
        self._due = np.full(0, _NEVER)
        self._soonest = _NEVER
        self._slots: dict[int, _Report] = {}
        self.malformed = 0
        self._feedback: list[Feedback] = []

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        self._due = np.pad(self._due, (0, max(slots - len(self._due), 0)), constant_values=_NEVER)

    def open(self, slot: int, cname: str, now: float) -> None:
        """Begin to report about `slot`, first after half an interval at most."""
        ssrc = self._senders.ssrc(slot)
        name = rtcp.Description(ssrc, ((rtcp.CNAME, cname.encode()[:_CNAME_OCTETS]),))
        report = _Report(rtcp.SourceDescription((name,)).to_bytes(), ssrc * _TURN % 1.0)
        self._slots[slot] = report
        self._due[slot] = now + INTERVAL / 2 * (0.2 + 0.8 * report.turn)
        self._soonest = min(self._soonest, float(self._due[slot]))

    def close(self, slot: int) -> None:
        """Stop reporting."""
        self._slots.pop(slot, None)
        self._due[slot] = _NEVER

    def goodbye(self, slot: int) -> None:
        """Make the next report a farewell, due at once."""
        report = self._slots.get(slot)
        if report is not None:
            report.goodbye = True
            self._due[slot] = self._soonest = -_NEVER

    def round_trip(self, slot: int) -> float:
        """Return the last round-trip time, seconds; 0 while unknown."""
        report = self._slots.get(slot)
        return report.round_trip if report else 0.0

    def far_loss(self, slot: int) -> float:
        """Return the share of our packets that the far end lacks lately, 0-1."""
        report = self._slots.get(slot)
        return report.far_loss if report else 0.0

    def take_feedback(self) -> list[Feedback]:
        """Return what far ends have said since the last call."""
        feedback, self._feedback = self._feedback, []
        return feedback

    def due(self, now: float, jitter: Callable[[int], int]) -> tuple[Bytes, Indices, Indices]:
        """Return the reports that are due.

        Args:
            now: monotonic seconds.
            jitter: returns a slot's interarrival jitter in timestamp units.

        Returns:
            Datagrams ``(n, octets)``, octets of each, and their slots.
        """
        if now < self._soonest:
            return _NO_ROWS, _NO_SLOTS, _NO_SLOTS
        slots = np.flatnonzero(self._due <= now)
        packets = [self._compose(slot, now, jitter(slot)) for slot in slots.tolist()]
        self._soonest = float(self._due.min(initial=_NEVER))
        lengths = np.array([len(packet) for packet in packets], np.intp)
        data = b"".join([packet.ljust(LARGEST, b"\0") for packet in packets])
        return np.frombuffer(data, np.uint8).reshape(-1, LARGEST), lengths, slots

    def receive(self, slot: int, data: bytes, now: float) -> bool:
        """Read a datagram; return False, and count it, where it is malformed."""
        report = self._slots.get(slot)
        if report is None:
            return False
        try:
            packets = rtcp.parse(data)
        except MalformedError:
            self.malformed += 1
            return False
        for packet in packets:
            match packet:
                case rtcp.SenderReport(ssrc=ssrc, ntp=ntp, blocks=blocks):
                    # Of whoever else sends reports we need none: there is one source to answer.
                    if self._sources.ssrc(slot) in {-1, ssrc}:
                        report.heard_ssrc, report.heard_at = ssrc, now
                        report.heard_middle = ntp >> 16 & 0xFFFFFFFF
                    self._read(slot, report, blocks, now)
                case rtcp.ReceiverReport(blocks=blocks):
                    self._read(slot, report, blocks, now)
                case _:
                    # A goodbye is no command: the audio may go on, and the signalling ends the call.
                    pass
        return True

    def _read(self, slot: int, report: _Report, blocks: tuple[rtcp.ReportBlock, ...], now: float) -> None:
        own = self._senders.ssrc(slot)
        for block in blocks:
            if block.ssrc != own:
                continue
            report.far_loss = block.fraction_lost / 256
            if block.last_report:
                elapsed = (_middle(now) - block.last_report - block.delay) & 0xFFFFFFFF
                # More than a minute, or less than nothing, is an echo of something else.
                if elapsed < 60 << 16:
                    report.round_trip = elapsed / 65536
            self._feedback.append(Feedback(slot, report.far_loss, report.round_trip))

    def _compose(self, slot: int, now: float, jitter: int) -> bytes:
        report = self._slots[slot]
        own = self._senders.ssrc(slot)
        blocks = self._blocks(slot, report, now, jitter)
        first: rtcp.SenderReport | rtcp.ReceiverReport
        if self._senders.active(slot):
            sent = self._senders.sent(slot)
            first = rtcp.SenderReport(own, _ntp(now), sent.timestamp, sent.packets, sent.octets, blocks)
        else:
            first = rtcp.ReceiverReport(own, blocks)
        data = first.to_bytes() + report.description
        if report.goodbye:
            self._due[slot] = _NEVER
            return data + rtcp.Goodbye((own,)).to_bytes()
        report.turn = (report.turn + _TURN) % 1.0
        self._due[slot] = now + INTERVAL * (0.5 + report.turn)
        return data

    def _blocks(self, slot: int, report: _Report, now: float, jitter: int) -> tuple[rtcp.ReportBlock, ...]:
        reception = self._sources.report(slot)
        if reception is None:
            return ()
        last, delay = 0, 0
        if report.heard_ssrc == reception.ssrc:
            last, delay = report.heard_middle, int((now - report.heard_at) * 65536)
        return (
            rtcp.ReportBlock(
                reception.ssrc,
                reception.fraction_lost,
                reception.lost,
                reception.highest,
                jitter,
                last,
                delay,
            ),
        )


def _ntp(now: float) -> int:
    """Return the monotonic clock in NTP format: RFC 3550 §6.4.1 allows a clock without a date."""
    return int((now + _EPOCH) * 2**32) & 0xFFFFFFFFFFFFFFFF


def _middle(now: float) -> int:
    return _ntp(now) >> 16 & 0xFFFFFFFF
