"""RTCP of every slot: composes reports when they are due, and reads those received (RFC 3550 §6)."""

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

_TOGETHER_S = 0.02 * INTERVAL
"""Time by which a report may come early, seconds: several made together cost a third of as many alone."""

LARGEST = 256
"""Most octets of a report sent by the switch; the CNAME is cut to fit."""

MOST = 32
"""Most reports made in one call, BYE packets aside: after a stall those of many slots are due together."""

_CNAME_OCTETS = 120
_NEVER = float("inf")
_NO_ROWS: Bytes = np.zeros((0, LARGEST), np.uint8)
_NO_SLOTS: Indices = np.zeros(0, np.intp)
_EPOCH = 4096.0
"""Seconds added to the monotonic clock, so that no NTP time sent is zero, which stands for none."""

_TURN = 0.6180339887498949
"""Fractional part of the golden ratio.

The fractional parts of its multiples are spread evenly over 0-1. They vary the intervals by a factor of 0.5
to 1.5 as RFC 3550 §6.3.1 demands, without a source of randomness.
"""


@dataclass(slots=True)
class _Report:
    """The reporting state of one slot."""

    description: bytes
    """The SDES packet with the CNAME, which never changes."""
    turn: float
    heard_ssrc: int = -1
    heard_middle: int = 0
    """Middle 32 bits of the NTP time in the last sender report."""
    heard_at: float = 0.0
    round_trip: float = 0.0
    remote_loss: float = 0.0
    goodbye: bool = False


@dataclass(frozen=True, slots=True)
class Feedback:
    """Reception of the switch's packets as a remote party reports it."""

    slot: int
    loss: float
    """Share of the packets lost since the last report, 0-1."""
    round_trip: float
    """Seconds; 0 while unknown."""


class Reporter:
    """Composer and reader of the RTCP of all slots."""

    def __init__(self, senders: Senders, sources: Sources) -> None:
        """Report on the streams of `senders` and the reception of `sources`."""
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
        """Begin to report on `slot`, first after half an interval at most (RFC 3550 §6.2)."""
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
        """Make a last report with a BYE due at once (RFC 3550 §6.6)."""
        report = self._slots.get(slot)
        if report is not None:
            report.goodbye = True
            self._due[slot] = self._soonest = -_NEVER

    def round_trip(self, slot: int) -> float:
        """Return the last round-trip time, seconds; 0 while unknown."""
        report = self._slots.get(slot)
        return report.round_trip if report else 0.0

    def remote_loss(self, slot: int) -> float:
        """Return the share of packets lost on the way to the remote party by its last report, 0-1."""
        report = self._slots.get(slot)
        return report.remote_loss if report else 0.0

    def take_feedback(self) -> list[Feedback]:
        """Return the feedback of remote parties since the last call."""
        feedback, self._feedback = self._feedback, []
        return feedback

    def due(self, now: float, jitter: Callable[[int], int]) -> tuple[Bytes, Indices, Indices]:
        """Return the reports that are due, and those that will be soon.

        Args:
            now: monotonic seconds.
            jitter: returns a slot's interarrival jitter in timestamp units.

        Returns:
            Datagrams ``(n, octets)``, octets of each, and their slots.
        """
        if now < self._soonest:
            return _NO_ROWS, _NO_SLOTS, _NO_SLOTS
        slots = np.flatnonzero(self._due <= now + _TOGETHER_S)
        if len(slots) > MOST:
            # The longest overdue go first; a BYE, due since -infinity, is always among them.
            due = self._due[slots]
            farewells = int(np.count_nonzero(due == -_NEVER))
            slots = slots[np.argsort(due, kind="stable")][: max(MOST, farewells)]
            slots.sort()
        packets = [self._compose(slot, now, jitter(slot)) for slot in slots.tolist()]
        self._soonest = float(self._due.min(initial=_NEVER))
        lengths = np.array([len(packet) for packet in packets], np.intp)
        data = b"".join([packet.ljust(LARGEST, b"\0") for packet in packets])
        return np.frombuffer(data, np.uint8).reshape(-1, LARGEST), lengths, slots

    def receive(self, slot: int, data: bytes, now: float) -> bool:
        """Process a received datagram; return False, and count it, if it is malformed."""
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
                    # Only the sender report of the source that is heard matters for the round trip.
                    if self._sources.ssrc(slot) in {-1, ssrc}:
                        report.heard_ssrc, report.heard_at = ssrc, now
                        report.heard_middle = ntp >> 16 & 0xFFFFFFFF
                    self._read(slot, report, blocks, now)
                case rtcp.ReceiverReport(blocks=blocks):
                    self._read(slot, report, blocks, now)
                case _:
                    # A BYE does not end the call: audio may continue, and the signalling decides.
                    pass
        return True

    def _read(self, slot: int, report: _Report, blocks: tuple[rtcp.ReportBlock, ...], now: float) -> None:
        own = self._senders.ssrc(slot)
        for block in blocks:
            if block.ssrc != own:
                continue
            report.remote_loss = block.fraction_lost / 256
            if block.last_report:
                elapsed = (_middle(now) - block.last_report - block.delay) & 0xFFFFFFFF
                # RFC 3550 §6.4.1: arrival - LSR - DLSR, in 1/65536 s modulo 2**32. More than a minute, or a
                # negative value (which wraps to a large one), answers another report.
                if elapsed < 60 << 16:
                    report.round_trip = elapsed / 65536
            self._feedback.append(Feedback(slot, report.remote_loss, report.round_trip))

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
        # A report that comes early, and one after it, still keep a distance of 0.5 to 1.5 intervals.
        self._due[slot] = now + INTERVAL * (0.52 + 0.96 * report.turn)
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
    """Return the monotonic clock in NTP format, 32.32 bits; RFC 3550 §6.4.1 allows a clock without a date."""
    return int((now + _EPOCH) * 2**32) & 0xFFFFFFFFFFFFFFFF


def _middle(now: float) -> int:
    """Return the middle 32 bits of the NTP time: 16 bits of seconds and 16 bits of fraction."""
    return _ntp(now) >> 16 & 0xFFFFFFFF
