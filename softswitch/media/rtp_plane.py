"""All RTP ports of an engine as rows: datagrams in, bus frames out, and back."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

import numpy as np

from softswitch.audio.pcm import Bytes, Indices, Pcm
from softswitch.media.messages import (
    DigitReceived,
    DigitsSent,
    MediaResumed,
    MediaSilent,
    Report,
    RtpParameters,
)
from softswitch.media.rtp_formats import CODECS, Formats, codings, event_clocks, kinds_by_type
from softswitch.media.rtp_receive import RtpReceiver
from softswitch.media.rtp_relay import RtpRelay
from softswitch.media.rtp_send import Packets, RtpEncoder
from softswitch.rtp.packet import UNITS, UNITS_PER_MS
from softswitch.rtp.session import Sessions
from softswitch.rtp.telephone_event import DIGITS

_WATCH_TICKS = 5
"""Ticks from one look for silent ports to the next."""

SILENT_S = 3.0
"""Seconds without RTP and RTCP after which a port that is not held counts as silent."""

_LEAST_LOSS_PERCENT, _MOST_LOSS_PERCENT = 10, 20
"""What an encoder is told to arm itself against.

Some always, since the first losses come unannounced and below ten libopus makes its redundancy too coarse to
be of use; beyond twenty the redundancy takes more from the sound than it gives (measured by PESQ).
"""


class RtpPlane:
    """The RTP side of the engine; one object for all ports, called by the tick alone."""

    def __init__(self, slots: int = 0) -> None:
        """Make a plane with `slots` rows to begin with."""
        self._formats = Formats()
        self._sessions = Sessions(codings())
        self._receiver = RtpReceiver(self._formats, self._sessions)
        self._encoder = RtpEncoder(self._formats, self._sessions.senders)
        self._relay = RtpRelay(self._sessions, self._receiver, self._encoder)
        self._ports: dict[int, int] = {}
        self._open: Indices = np.zeros(0, np.intp)
        self._held = np.zeros(0, np.bool_)
        self._started = np.zeros(0, np.bool_)
        self._silent_since = np.zeros(0)
        self._awaited: set[int] = set()
        """Slots that have not been heard yet, or not since they fell silent."""
        self._ticks = 0
        self._now = 0.0
        """Of the last tick."""
        self._lost_earlier = 0
        self._reports: list[Report] = []
        self.grow(slots)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        more = slots - len(self._held)
        if more <= 0:
            return
        for part in (self._formats, self._sessions, self._receiver, self._encoder):
            part.grow(slots)
        self._held = np.pad(self._held, (0, more))
        self._started = np.pad(self._started, (0, more))
        self._silent_since = np.pad(self._silent_since, (0, more))

    def open(self, slot: int, port: int, parameters: RtpParameters, now: float) -> None:
        """Give a port its row.

        Args:
            slot: a free row.
            port: the id that reports name.
            parameters: what was negotiated.
            now: monotonic seconds.

        Raises:
            ValueError: the format that is to be sent is no audio we know; nothing was opened.
        """
        self._formats.open(slot)
        self._encoder.set_format(slot, parameters)
        self._receiver.open(slot)
        self._sessions.open(
            slot,
            ssrc=parameters.ssrc,
            sequence=parameters.sequence,
            timestamp=parameters.timestamp,
            cname=parameters.cname,
            now=now,
        )
        self._set_formats(slot, parameters)
        self._held[slot] = self._started[slot] = False
        self._silent_since[slot] = np.inf
        self._awaited.add(slot)
        self._ports[slot] = port
        self._open = np.array(sorted(self._ports), np.intp)

    def update(self, slot: int, parameters: RtpParameters, now: float) -> None:
        """Go over to what was negotiated anew; numbers, buffers and counts go on.

        Raises:
            ValueError: the format that is to be sent is no audio we know; nothing was changed.
        """
        self._encoder.check(parameters)
        self._relay.forget(slot, now)
        self._set_formats(slot, parameters)

    def close(self, slot: int) -> dict[str, float]:
        """Free a row and return its statistics."""
        self._relay.forget(slot, self._now)
        final = self.statistics(slot)
        self._lost_earlier += int(final["packets_lost"])
        del self._ports[slot]
        self._awaited.discard(slot)
        self._open = np.array(sorted(self._ports), np.intp)
        self._sessions.close(slot)
        self._encoder.close(slot)
        self._formats.close(slot)
        return final

    def receive(self, rows: Bytes, lengths: Indices, slots: Indices, now: float) -> None:
        """Take plain RTP and RTCP, mixed; several rows of one slot in order of arrival.

        Args:
            rows: ``(n, octets)``, at least 12 octets wide.
            lengths: octets of each that count, ``(n,)``.
            slots: of open ports, ``(n,)``.
            now: monotonic seconds.
        """
        if len(slots):
            self._sessions.receive(rows, lengths, slots, now)
            self._take_feedback()

    def pull(self, slots: Indices, out: Pcm, now: float) -> None:
        """Write one frame of the bus per slot: decoded, made up for, stretched, resampled.

        Args:
            slots: of open ports, each at most once, ``(n,)``.
            out: ``(n, 480)`` float32 in PCM16 units, C-contiguous; silence where nothing is known.
            now: monotonic seconds.
        """
        self._receiver.pull(slots, out, int(now * UNITS))

    def push(self, pcm: Pcm, slots: Indices, now: float) -> Packets:
        """Take one frame of the bus per slot and return the packets that are due after it.

        Args:
            pcm: ``(n, 480)`` float32 in PCM16 units.
            slots: of open ports, each at most once, ``(n,)``.
            now: monotonic seconds.

        Returns:
            Datagrams ``(m, octets)``, octets of each, their slots; in order of sending.
        """
        packets = self._encoder.push(pcm, slots)
        for slot, digits in self._encoder.take_dialled():
            self._reports.append(DigitsSent(self._ports[slot], now, digits))
        return packets

    def control(self, now: float) -> Packets:
        """Return the RTCP that is due, as :meth:`push` does, and see who has fallen silent; once per tick."""
        self._now = now
        self._sessions.poll(now)
        for slot, press in self._sessions.take_presses():
            if press.digit in DIGITS and slot in self._ports:
                crossed = self._sessions.relays.crosses(slot)
                self._reports.append(
                    DigitReceived(self._ports[slot], now, press.digit, press.duration_ms, "rfc4733", crossed)
                )
        self._watch(now)
        self._relay.follow_clocks(now)
        return self._sessions.reporter.due(now, lambda slot: self._jitter_stamps(slot, now))

    def goodbye(self, slot: int) -> None:
        """Have the next :meth:`control` say that the port leaves."""
        self._sessions.reporter.goodbye(slot)

    def share(self, groups: Iterable[Iterable[int]]) -> None:
        """Encode once for the slots of each group, which hear the same from now on."""
        self._encoder.share(groups)

    def suits(self, source: int, target: int) -> bool:
        """Tell whether packets can go from one port to the other as they are."""
        return self._relay.suits(source, target)

    def relay(self, targets: Mapping[int, int], silent: AbstractSet[int], now: float) -> None:
        """Forward what comes to some ports from now on, and play the others'.

        Args:
            targets: the slot that sends, by the slot that receives; one to one.
            silent: those that receive and are not pulled.
            now: monotonic seconds.
        """
        self._relay.arrange(targets, silent, now)

    def take_changes(self) -> bool:
        """Tell whether a port has ceased to suit, or to dial, since the last call."""
        dialled = self._encoder.take_idle()
        return self._relay.take_unfit() or dialled

    @property
    def relaying(self) -> int:
        """Return how many ports are relayed."""
        return len(self._relay)

    def forwarded(self) -> list[Packets]:
        """Return the packets that go on as they came."""
        return self._relay.take_packets()

    def is_dialling(self, slot: int) -> bool:
        """Tell whether digits are being sent as telephone events."""
        return self._encoder.is_dialling(slot)

    def send_digits(self, slot: int, digits: str, duration_ms: int, gap_ms: int) -> bool:
        """Send digits as telephone events, behind those that wait; False where none were negotiated.

        Raises:
            ValueError: a character is no digit, or too many wait.
        """
        return self._encoder.dial(slot, digits, duration_ms, gap_ms)

    def set_held(self, slot: int, held: bool) -> None:
        """Say whether a port is on hold: no media is not a fault then."""
        self._held[slot] = held

    def set_sending(self, slot: int, sends: bool) -> None:
        """Say whether a port sends audio and digits; digits wait meanwhile."""
        self._encoder.set_sending(slot, sends)

    def take_reports(self) -> list[Report]:
        """Return what has happened since the last call."""
        reports, self._reports = self._reports, []
        return reports

    def statistics(self, slot: int) -> dict[str, float]:
        """Return the figures of one port so far."""
        sessions = self._sessions
        sent = sessions.senders.sent(slot)
        heard = int(sessions.sources.heard(slot))
        return {
            "packets_received": float(sessions.sources.packets(slot)),
            "packets_sent": float(sent.packets),
            "octets_sent": float(sent.octets),
            "octets_received": float(sessions.octets[slot]),
            "packets_lost": float(sessions.sources.lost(slot)),
            "packets_late": float(sessions.jitter.late[slot]),
            "packets_rejected": float(sessions.refused[slot]),
            "concealed_ms": float(self._receiver.concealed[slot]) / UNITS_PER_MS,
            "jitter_ms": sessions.jitter.meter.jitter(slot, heard) / UNITS_PER_MS,
            "delay_ms": self._receiver.delay(slot, heard) / UNITS_PER_MS if heard >= 0 else 0.0,
            "round_trip_ms": 1000.0 * sessions.reporter.round_trip(slot),
            "far_loss_percent": 100.0 * sessions.reporter.far_loss(slot),
        }

    @property
    def counters(self) -> dict[str, int]:
        """Return what all ports together have counted since the start."""
        sessions, jitter = self._sessions, self._sessions.jitter
        lost = sum(sessions.sources.lost(slot) for slot in self._ports)
        return {
            "received": sessions.received,
            "sent": self._encoder.sent_total + sessions.relays.total,
            "relayed": sessions.relays.total,
            "lost": self._lost_earlier + lost,
            "late": jitter.late_total,
            "duplicate": jitter.duplicate_total,
            "overflown": jitter.overflown_total,
            "rejected": sessions.rejected,
            "malformed": sessions.malformed,
            "unknown_type": sessions.unknown,
            "undecodable": self._formats.faults(),
            "concealed": self._receiver.concealed_total,
            "recovered": self._receiver.recovered_total,
            "stretched": self._receiver.stretched_total,
        }

    def _set_formats(self, slot: int, parameters: RtpParameters) -> None:
        self._encoder.set_format(slot, parameters)
        self._relay.set_formats(slot, parameters)
        self._sessions.set_formats(slot, kinds_by_type(parameters.receive), event_clocks(parameters.receive))

    def _jitter_stamps(self, slot: int, now: float) -> int:
        return self._sessions.jitter_stamps(slot, CODECS[max(self._receiver.kind(slot), 0)].clock_rate, now)

    def _take_feedback(self) -> None:
        """Arm the encoders against the loss that far ends report."""
        for feedback in self._sessions.reporter.take_feedback():
            if feedback.slot in self._ports:
                percent = round(100 * feedback.loss)
                armed = min(max(percent, _LEAST_LOSS_PERCENT), _MOST_LOSS_PERCENT)
                self._formats.bank(self._encoder.kind(feedback.slot)).tune(feedback.slot, loss_percent=armed)

    def _watch(self, now: float) -> None:
        """Report ports whose media begin, stop or begin again."""
        sources = self._sessions.sources
        for slot in sorted(self._awaited):
            heard = int(sources.heard(slot)) / UNITS
            since = float(self._silent_since[slot])
            if heard >= 0 and (since == np.inf or heard > since):
                seconds = 0.0 if since == np.inf or not self._started[slot] else heard - since
                self._awaited.discard(slot)
                self._started[slot] = True
                self._silent_since[slot] = np.inf
                self._reports.append(MediaResumed(self._ports[slot], now, seconds))
        self._ticks += 1
        if self._ticks % _WATCH_TICKS == 0 and len(self._open):
            self._look_for_silence(now)

    def _look_for_silence(self, now: float) -> None:
        slots, sessions = self._open, self._sessions
        # A port on hold is as if something were heard all the time: the count begins afresh after it.
        sessions.reported[slots[self._held[slots]]] = now
        alive = np.maximum(sessions.sources.heard(slots) / UNITS, sessions.reported[slots])
        fallen = (now - alive >= SILENT_S) & (self._silent_since[slots] == np.inf)
        for row in np.flatnonzero(fallen).tolist():
            slot = int(slots[row])
            self._silent_since[slot] = alive[row]
            self._awaited.add(slot)
            self._reports.append(MediaSilent(self._ports[slot], now, now - float(alive[row])))
