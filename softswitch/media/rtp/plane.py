"""All RTP ports of an engine: received datagrams to frames at the bus rate, and frames to packets."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

import numpy as np

from softswitch.audio.opus import LOSS_PERCENT
from softswitch.audio.pcm import Bytes, Indices, Pcm
from softswitch.compiled import library
from softswitch.media.messages import (
    DigitReceived,
    DigitsSent,
    MediaResumed,
    MediaSilent,
    Report,
    RtpParameters,
)
from softswitch.media.rtp.convert import Converter
from softswitch.media.rtp.formats import CODECS, Formats, OpusOptions, codings, event_clocks, kinds_by_type
from softswitch.media.rtp.ordinary import OrdinaryPackets
from softswitch.media.rtp.passes import Passes
from softswitch.media.rtp.quality import QualityWatch
from softswitch.media.rtp.receive import RtpReceiver
from softswitch.media.rtp.redundancy import Redundancy
from softswitch.media.rtp.relay import RtpRelay
from softswitch.media.rtp.send import RtpEncoder
from softswitch.rtp.packet import UNITS, UNITS_PER_MS, Packets
from softswitch.rtp.session import Sessions
from softswitch.rtp.telephone_event import DIGITS

_WATCH_TICKS = 5
"""Ticks (100 ms) between two checks for silent ports."""

SILENT_S = 3.0
"""Seconds without RTP and RTCP after which a port that is not on hold is reported as silent."""

_NO_PACKETS: Packets = np.zeros((0, 1), np.uint8), np.zeros(0, np.intp), np.zeros(0, np.intp)


class RtpPlane:
    """The RTP side of the engine, one object for all ports; used by the tick's thread only."""

    def __init__(self, slots: int = 0, opus: OpusOptions | None = None, *, compiled: bool = True) -> None:
        """Make a plane with `slots` rows to begin with.

        Args:
            slots: rows.
            opus: how Opus is encoded.
            compiled: False: compiled code is not used even where there is some.
        """
        self._formats = Formats(opus=opus)
        self._sessions = Sessions(codings())
        code = library() if compiled else None
        self._ordinary = OrdinaryPackets(code, self._formats, self._sessions) if code else None
        self.passes: Passes | None = None
        """Relays between two ticks in compiled code; None: Python does."""
        self._receiver = RtpReceiver(self._formats, self._sessions, self._ordinary)
        self._encoder = RtpEncoder(self._formats, self._sessions.senders, self._ordinary)
        self._relay = RtpRelay(self._formats, self._sessions, self._receiver, self._encoder)
        if code is not None and self._ordinary is not None:
            transcoder = self._ordinary.transcoder = self._relay.transcoder
            converter = Converter(self._formats, self._ordinary, transcoder)
            self.passes = Passes(code, self._ordinary, self._sessions, converter)
        self._ports: dict[int, int] = {}
        self._open: Indices | None = None
        """Slots of all ports, sorted; None after a change. Many ports may close in one tick."""
        self._held = np.zeros(0, np.bool_)
        self._started = np.zeros(0, np.bool_)
        self._silent_since = np.zeros(0)
        self._silent_from = np.inf
        """Monotonic seconds before which no port can have fallen silent."""
        self._awaited: set[int] = set()
        """Slots of which nothing was received yet, or nothing since they fell silent."""
        self._ticks = 0
        self._now = 0.0
        """Monotonic seconds of the last tick."""
        self._has_received = False
        """Whether something was received since the last tick: only then can media have begun."""
        self._lost_earlier = 0
        self._quality = QualityWatch()
        self._redundancy = Redundancy()
        self._reports: list[Report] = []
        self.grow(slots)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        more = slots - len(self._held)
        if more <= 0:
            return
        for part in (self._formats, self._sessions, self._receiver, self._encoder, self._relay):
            part.grow(slots)
        self._held = np.pad(self._held, (0, more))
        self._started = np.pad(self._started, (0, more))
        self._silent_since = np.pad(self._silent_since, (0, more))

    def open(self, slot: int, port: int, parameters: RtpParameters, now: float) -> None:
        """Give a port its row.

        Args:
            slot: a free row.
            port: id for reports.
            parameters: negotiated parameters.
            now: monotonic seconds.

        Raises:
            ValueError: the codec to be sent is unknown; nothing was opened.
        """
        self._encoder.check(parameters)
        self._formats.open(slot)
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
        self._silent_from = min(self._silent_from, now + SILENT_S)
        self._awaited.add(slot)
        self._quality.open(slot)
        self._ports[slot] = port
        self._open = None

    def update(self, slot: int, parameters: RtpParameters, now: float) -> None:
        """Apply newly negotiated parameters; sequence numbers, buffers and counts continue.

        Raises:
            ValueError: the codec to be sent is unknown; nothing was changed.
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
        self._quality.close(slot)
        self._redundancy.close(slot)
        self._awaited.discard(slot)
        self._open = None
        self._sessions.close(slot)
        self._encoder.close(slot)
        self._formats.close(slot)
        return final

    def receive(self, rows: Bytes, lengths: Indices, slots: Indices, now: float) -> None:
        """Process decrypted RTP and RTCP, mixed; several datagrams of a slot are in order of arrival.

        Args:
            rows: ``(n, octets)``, at least 12 octets wide.
            lengths: octets of each that count, ``(n,)``.
            slots: slot of each, of open ports, ``(n,)``.
            now: monotonic seconds.
        """
        if not len(slots):
            return
        self._has_received = True
        if self._ordinary is not None:
            timed = self._sessions.is_timed(now)
            rest = self._ordinary.accept(rows, lengths, slots, int(now * UNITS), timed=timed)
            if rest is None:
                return
            if len(rest) < len(slots):
                rows, lengths, slots = rows[rest], lengths[rest], slots[rest]
        self._sessions.receive(rows, lengths, slots, now)
        self._take_feedback(now)

    def pull(self, slots: Indices, out: Pcm, now: float) -> None:
        """Write the next received frame of each slot: decoded or concealed, stretched, resampled.

        Args:
            slots: slots of open ports, each at most once, ``(n,)``.
            out: ``(n, 480)`` float32 in PCM16 units, C-contiguous; silence before the first packet.
            now: monotonic seconds.
        """
        self._receiver.pull(slots, out, int(now * UNITS))

    def push(self, pcm: Pcm, slots: Indices, now: float) -> Packets:
        """Encode one frame for each slot and return the packets that are due after it.

        Args:
            pcm: ``(n, 480)`` float32 in PCM16 units.
            slots: slots of open ports, each at most once, ``(n,)``.
            now: monotonic seconds.

        Returns:
            Datagrams ``(m, octets)``, octets of each, their slots; in order of sending.
        """
        packets = self._encoder.push(pcm, slots)
        for slot, digits in self._encoder.take_dialled():
            self._reports.append(DigitsSent(self._ports[slot], now, digits))
        return packets

    def control(self, now: float) -> Packets:
        """Return the RTCP packets that are due, and report silent ports and key presses; once per tick."""
        self._now = now
        self._sessions.poll(now)
        if not self._ports:
            # Nothing below would find anything to do.
            return _NO_PACKETS
        for slot in self._redundancy.unreported(now):
            self._encoder.expect_loss(slot, LOSS_PERCENT)
        for slot, press in self._sessions.take_presses():
            if press.digit in DIGITS and slot in self._ports:
                crossed = self._sessions.relays.crosses(slot)
                self._reports.append(
                    DigitReceived(self._ports[slot], now, press.digit, press.duration_ms, "rfc4733", crossed)
                )
        self._watch(now)
        for slot in self._quality.due(self._open_slots()):
            codec, figures = CODECS[max(self._receiver.kind(slot), 0)].name, self.statistics(slot)
            if (report := self._quality.measure(slot, self._ports[slot], codec, figures, now)) is not None:
                self._reports.append(report)
        self._relay.follow_clocks(now)
        return self._sessions.reporter.due(now, lambda slot: self._jitter_stamps(slot, now))

    def goodbye(self, slot: int) -> None:
        """Make the next :meth:`control` return an RTCP BYE for the port."""
        self._sessions.reporter.goodbye(slot)

    def share(self, groups: Iterable[Iterable[int]]) -> None:
        """Encode once for the slots of each group, whose ports hear the same from now on."""
        self._encoder.share(groups)

    def suits(self, source: int, target: int) -> bool:
        """Return True if packets from `source` can be forwarded to `target`, converted if need be."""
        return self._relay.suits(source, target)

    def relay(self, targets: Mapping[int, int], silent: AbstractSet[int], now: float) -> None:
        """Forward the packets of some slots from now on, and mix all others.

        Args:
            targets: target slot by source slot, one to one.
            silent: source slots that are not decoded.
            now: monotonic seconds.
        """
        self._relay.arrange(targets, silent, now)

    def take_changes(self) -> bool:
        """Return True if a relay became unsuitable, or a port finished dialling, since the last call."""
        dialled = self._encoder.take_idle()
        return self._relay.take_unfit() or dialled

    @property
    def relaying(self) -> int:
        """Number of relayed ports."""
        return len(self._relay)

    def forwarded(self) -> list[Packets]:
        """Return the packets to be forwarded."""
        return self._relay.take_packets()

    @property
    def dialling(self) -> AbstractSet[int]:
        """Slots to which digits are being sent as telephone events."""
        return self._encoder.dialling

    def send_digits(self, slot: int, digits: str, duration_ms: int, gap_ms: int) -> bool:
        """Queue digits to be sent as telephone events; return False where no events were negotiated.

        Raises:
            ValueError: a character is not a DTMF digit, or too many digits are queued.
        """
        return self._encoder.dial(slot, digits, duration_ms, gap_ms)

    def set_held(self, slot: int, held: bool) -> None:
        """Set whether a port is on hold: missing media is not reported then."""
        if self._held[slot] and not held:
            self._sessions.reported[slot] = max(self._sessions.reported[slot], self._now)
        self._held[slot] = held

    def set_sending(self, slot: int, sends: bool) -> None:
        """Set whether a port may send audio and digits; digits stay queued while it may not."""
        self._encoder.set_sending(slot, sends)

    def take_reports(self) -> list[Report]:
        """Return the reports since the last call."""
        reports, self._reports = self._reports, []
        return reports

    def statistics(self, slot: int) -> dict[str, float]:
        """Return the statistics of one port so far."""
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
            "jitter_ms": self._jitter(slot, heard) / UNITS_PER_MS,
            "delay_ms": self._receiver.delay(slot, heard) / UNITS_PER_MS if heard >= 0 else 0.0,
            "round_trip_ms": 1000.0 * sessions.reporter.round_trip(slot),
            "far_loss_percent": 100.0 * sessions.reporter.remote_loss(slot),
        }

    @property
    def counters(self) -> dict[str, int]:
        """Counters of all ports together since the start."""
        sessions, jitter = self._sessions, self._sessions.jitter
        return {
            "received": sessions.received,
            "sent": self._encoder.sent_total + sessions.relays.total,
            "relayed": sessions.relays.total,
            "transcoded": self._relay.transcoder.total,
            "transcoded_late": sessions.relays.late_total,
            "lost": self._lost_earlier + sessions.sources.total_lost(self._open_slots()),
            "late": jitter.late_total,
            "duplicate": jitter.duplicate_total,
            "overflown": jitter.overflown_total,
            "rejected": sessions.rejected,
            "malformed": sessions.malformed,
            "unknown_type": sessions.unknown,
            "undecodable": self._formats.faults() + self._relay.transcoder.faults(),
            "concealed": self._receiver.concealed_total,
            "recovered": self._receiver.recovered_total + self._relay.transcoder.recovered_total,
            "stretched": self._receiver.stretched_total,
            "leapt": jitter.leapt_total,
        }

    def _open_slots(self) -> Indices:
        if self._open is None:
            self._open = np.array(sorted(self._ports), np.intp)
        return self._open

    def _set_formats(self, slot: int, parameters: RtpParameters) -> None:
        self._encoder.set_format(slot, parameters)
        self._relay.set_formats(slot, parameters)
        self._sessions.set_formats(slot, kinds_by_type(parameters.receive), event_clocks(parameters.receive))
        self._sessions.jitter.meter.reserve(slot, parameters.reserve_ms)

    def _jitter(self, slot: int, now: int) -> int:
        """Return the interarrival jitter of the latest packets of a slot, units; `now` in units."""
        if self._ordinary is not None:
            return self._ordinary.jitter(slot, now)
        return self._sessions.jitter.meter.jitter(slot, now)

    def _jitter_stamps(self, slot: int, now: float) -> int:
        rate = CODECS[max(self._receiver.kind(slot), 0)].clock_rate
        if self._ordinary is not None:
            return self._ordinary.jitter(slot, int(now * UNITS)) * rate // UNITS
        return self._sessions.jitter_stamps(slot, rate, now)

    def _take_feedback(self, now: float) -> None:
        """Set the expected loss of encoders by the loss that remote parties report."""
        for feedback in self._sessions.reporter.take_feedback():
            if feedback.slot in self._ports:
                expected = self._redundancy.report(feedback.slot, feedback.loss, now)
                self._encoder.expect_loss(feedback.slot, expected)

    def _watch(self, now: float) -> None:
        """Report ports whose media begins, stops or resumes."""
        if self.passes is not None and self.passes.has_accepted:
            self._has_received, self.passes.has_accepted = True, False
        if self._awaited and self._has_received:
            self._look_for_beginnings(now)
        self._has_received = False
        self._ticks += 1
        if self._ticks % _WATCH_TICKS == 0 and now >= self._silent_from:
            self._look_for_silence(now)

    def _look_for_beginnings(self, now: float) -> None:
        """Report awaited ports whose media has come; after an outage these may be all ports."""
        slots = np.array(sorted(self._awaited), np.intp)
        heard, since = self._sessions.sources.heard(slots) / UNITS, self._silent_since[slots]
        for row in np.flatnonzero((heard >= 0) & ((since == np.inf) | (heard > since))).tolist():
            slot = int(slots[row])
            is_first = since[row] == np.inf or not self._started[slot]
            self._awaited.discard(slot)
            self._started[slot] = True
            self._silent_since[slot] = np.inf
            self._silent_from = min(self._silent_from, now)
            seconds = 0.0 if is_first else float(heard[row] - since[row])
            self._reports.append(MediaResumed(self._ports[slot], now, seconds))

    def _look_for_silence(self, now: float) -> None:
        slots, sessions = self._open_slots(), self._sessions
        # A port on hold counts as heard all the time, so that its three seconds begin after the hold.
        sessions.reported[slots[self._held[slots]]] = now
        alive = np.maximum(sessions.sources.heard(slots) / UNITS, sessions.reported[slots])
        sounding = self._silent_since[slots] == np.inf
        fallen = (now - alive >= SILENT_S) & sounding
        self._silent_from = float(alive[sounding & ~fallen].min(initial=np.inf)) + SILENT_S
        for row in np.flatnonzero(fallen).tolist():
            slot = int(slots[row])
            self._silent_since[slot] = alive[row]
            self._awaited.add(slot)
            self._reports.append(MediaSilent(self._ports[slot], now, now - float(alive[row])))
