"""From the bus to packets: resampled, encoded and packetised at any ptime, with keys pressed in between."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from softswitch.audio.level import header_level
from softswitch.audio.pcm import TICK_MS, Bytes, Indices, Pcm, fade
from softswitch.media.messages import RtpParameters
from softswitch.media.rtp_formats import CODECS, Formats, kind_of
from softswitch.media.rtp_share import Sharing
from softswitch.rtp.packet import HEADER, LEVEL_EXTENSION, Ints
from softswitch.rtp.sending import Senders
from softswitch.rtp.telephone_event import EventSender

_EXTRA = HEADER + LEVEL_EXTENSION
_OPUS_MS = (10, 20, 40, 60)
"""Durations that one Opus frame can have and a call can want."""

_SHORTEST_MS, _LONGEST_MS = 10, 60
_STEPS: Ints = np.array([codec.timestamp_step(TICK_MS) for codec in CODECS], np.int64)
"""Timestamp steps in a frame, by kind."""

_KIND = 1000

_SEAM_MS = 4
"""How long the step between relayed and mixed sound takes to fade."""

MOST_DIGITS = 128
"""Digits that may wait to be sent."""

Packets = tuple[Bytes, Indices, Indices]
"""Datagrams ``(n, octets)``, octets of each, and their slots."""


@dataclass(slots=True, eq=False)
class _Dialling:
    """Keys that are being pressed for a far end."""

    events: EventSender
    payload_type: int
    stretch: int
    """Steps of the audio's clock in one of the events' clock."""


@dataclass(slots=True, eq=False)
class _Pending:
    """Audio of a packet that is longer than 20 ms, or no multiple of it."""

    octets: bytearray = field(default_factory=bytearray)
    pcm: list[Pcm] = field(default_factory=list)


class RtpEncoder:
    """Builds the packets that are due after each frame."""

    def __init__(self, formats: Formats, senders: Senders) -> None:
        """Encode with `formats` what `senders` number."""
        self._formats, self._senders = formats, senders
        self._way = np.zeros(0, np.int64)
        """How each slot is encoded: its kind, times a thousand, and its ptime."""
        self._sharing = Sharing(formats)
        self._event_formats: dict[int, tuple[int, int]] = {}
        self._dialling: dict[int, _Dialling] = {}
        self._pending: dict[int, _Pending] = {}
        self._dialled: list[tuple[int, str]] = []
        self._resting: set[int] = set()
        """Slots that may not send."""
        self._idle = False
        """Some slot has ceased to dial."""
        self._seams: dict[int, float] = {}
        """The last sample of what slots sent that was not encoded here."""
        self.sent_total = 0

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        self._way = np.pad(self._way, (0, max(slots - len(self._way), 0)), constant_values=TICK_MS)
        self._sharing.grow(slots)

    def set_format(self, slot: int, parameters: RtpParameters) -> None:
        """Send as negotiated from now on.

        Raises:
            ValueError: the format that is to be sent is no audio we know.
        """
        kind = self.check(parameters)
        codec = CODECS[kind]
        ptime = min(max(parameters.ptime_ms, _SHORTEST_MS), _LONGEST_MS) // 10 * 10
        if codec.name == "opus":
            ptime = max(ms for ms in _OPUS_MS if ms <= ptime)
            self._formats.bank(kind).tune(slot, bitrate=parameters.bitrate)
        self._way[slot] = kind * _KIND + ptime
        self._sharing.set_form(slot, (kind, ptime, parameters.bitrate, parameters.level_extension))
        self._pending.pop(slot, None)
        self._senders.set_format(slot, parameters.send.payload_type, parameters.level_extension)
        if parameters.send_events is None:
            self._event_formats.pop(slot, None)
        else:
            events = parameters.send_events
            self._event_formats[slot] = events.payload_type, events.clock_rate

    @staticmethod
    def check(parameters: RtpParameters) -> int:
        """Return the kind that is to be sent.

        Raises:
            ValueError: it is no audio we know.
        """
        kind = kind_of(parameters.send.name)
        if kind is None:
            raise ValueError(f"send: there is no codec named {parameters.send.name!r}")
        return kind

    def close(self, slot: int) -> None:
        """Forget what `slot` was sending."""
        for table in (self._event_formats, self._dialling, self._pending, self._seams):
            table.pop(slot, None)
        self._sharing.close(slot)
        self._resting.discard(slot)

    def share(self, groups: Iterable[Iterable[int]]) -> None:
        """Encode once for slots that hear the same from now on, as far as they are sent the same.

        Args:
            groups: slots that hear the same; no slot is in two of them.
        """
        self._sharing.arrange(groups)

    def set_sending(self, slot: int, sends: bool) -> None:
        """Let a slot send, or let its time pass in silence."""
        if sends:
            self._resting.discard(slot)
        else:
            self._resting.add(slot)
            self._pending.pop(slot, None)

    def kind(self, slot: int) -> int:
        """Return the kind that `slot` sends."""
        return int(self._way[slot]) // _KIND

    def events(self, slot: int) -> tuple[int, int] | None:
        """Return payload type and clock rate of the keys that `slot` may send; None for none."""
        return self._event_formats.get(slot)

    def is_dialling(self, slot: int) -> bool:
        """Tell whether keys are being pressed for a far end."""
        return slot in self._dialling

    def take_idle(self) -> bool:
        """Tell whether a slot has ceased to dial since the last call."""
        idle, self._idle = self._idle, False
        return idle

    def flush(self, slot: int) -> list[Packets]:
        """Return what waits for a longer packet as a shorter one."""
        pending = self._pending.pop(slot, None)
        if pending is None or not pending.octets:
            return []
        payload = np.frombuffer(bytes(pending.octets), np.uint8).reshape(1, -1)
        octets = payload.shape[1]
        self.sent_total += 1
        return [self._build(payload, np.array([octets]), np.array([slot]), octets, None)]

    def lead_in(self, slot: int, pcm: Pcm, last: float) -> None:
        """Let the next frame of `slot` follow sound that was not encoded here.

        Args:
            slot: row.
            pcm: what its far end has heard, at the bus's rate, ``(1, samples)``.
            last: the last sample it has heard.
        """
        if pcm.shape[1] == 0:
            return
        kind, slots = self.kind(slot), np.array([slot])
        sound = self._formats.from_bus(kind, pcm, slots)
        if CODECS[kind].name == "G722":
            # Its decoder follows the encoder's state, which must be near what the far end's now is.
            self._formats.bank(kind).encode(sound, slots)
        self._seams[slot] = last

    def last(self, slot: int) -> float:
        """Return about the last sample that the far end of `slot` was sent."""
        return self._formats.last_encoded(self.kind(slot), slot)

    def dial(self, slot: int, digits: str, duration_ms: int, gap_ms: int) -> bool:
        """Queue digits; False where no telephone events were negotiated.

        Raises:
            ValueError: a character is no digit, or too many wait.
        """
        if slot not in self._event_formats:
            return False
        payload_type, clock = self._event_formats[slot]
        dialling = self._dialling.get(slot)
        if dialling is None:
            audio_clock = CODECS[self.kind(slot)].clock_rate
            dialling = _Dialling(EventSender(clock), payload_type, max(audio_clock // clock, 1))
        if dialling.events.waiting + len(digits) > MOST_DIGITS:
            raise ValueError(f"digits: more than {MOST_DIGITS} would wait")
        dialling.events.queue(digits, duration_ms, gap_ms)
        self._dialling[slot] = dialling
        return True

    def take_dialled(self) -> list[tuple[int, str]]:
        """Return the slots whose digits have gone out since the last call, with those digits."""
        dialled, self._dialled = self._dialled, []
        return dialled

    def push(self, pcm: Pcm, slots: Indices) -> Packets:
        """Take 20 ms of each slot and return the packets that are due.

        Args:
            pcm: ``(n, 480)``.
            slots: each at most once, ``(n,)``.
        """
        parts: list[Packets] = []
        if self._resting:
            rows = self._rest(slots)
            if len(rows) < len(slots):
                pcm, slots = pcm[rows], slots[rows]
        if self._dialling:
            keys, rows = self._press(slots)
            parts += keys
            if len(rows) < len(slots):
                pcm, slots = pcm[rows], slots[rows]
        if len(slots):
            parts += self._encode(pcm, slots)
        packets = _together(parts)
        self.sent_total += len(packets[2])
        return packets

    def _encode(self, pcm: Pcm, slots: Indices) -> list[Packets]:
        ways = self._way[slots]
        first = int(ways[0])
        if (ways == first).all():
            return self._encode_alike(pcm, slots, *divmod(first, _KIND))
        parts: list[Packets] = []
        for way in np.unique(ways).tolist():
            rows = np.flatnonzero(ways == way)
            parts += self._encode_alike(pcm[rows], slots[rows], *divmod(way, _KIND))
        return parts

    def _encode_alike(self, pcm: Pcm, slots: Indices, kind: int, ptime: int) -> list[Packets]:
        """Encode rows of one kind and ptime."""
        levels = header_level(pcm).astype(np.int64) if self._senders.extended(slots) else None
        if len(self._sharing) and ptime == TICK_MS and not self._seams:
            states, first, which = self._sharing.encoded(slots)
            sound = self._formats.from_bus(kind, pcm[first], states)
            payloads, lengths = self._formats.bank(kind).encode(sound, states)
            step = CODECS[kind].timestamp_step(TICK_MS)
            return [self._build(payloads[which], lengths[which], slots, step, levels)]
        sound = self._formats.from_bus(kind, pcm, slots)
        if self._seams:
            sound = self._seamless(sound, slots, CODECS[kind].sample_rate)
        bank, codec = self._formats.bank(kind), CODECS[kind]
        if ptime == TICK_MS:
            payloads, lengths = bank.encode(sound, slots)
            return [self._build(payloads, lengths, slots, codec.timestamp_step(TICK_MS), levels)]
        if codec.name == "opus":
            return self._encode_opus(sound, slots, kind, ptime, levels)
        # These codecs are streams of octets, eight in a millisecond: packets are cut from it anywhere.
        payloads, _ = bank.encode(sound, slots)
        if ptime == TICK_MS // 2:
            half = payloads.shape[1] // 2
            lengths = np.full(len(slots), half, np.intp)
            pieces = (payloads[:, :half], payloads[:, half:])
            return [self._build(piece, lengths, slots, half, levels) for piece in pieces]
        return self._cut(payloads, slots, ptime, levels)

    def _seamless(self, sound: Pcm, slots: Indices, rate: int) -> Pcm:
        """Let the step at the beginning of frames fade that follow what was not encoded here."""
        sound = sound.copy()
        seam = fade(rate * _SEAM_MS // 1000, rising=False)
        for row, slot in enumerate(slots.tolist()):
            last = self._seams.pop(slot, None)
            if last is not None:
                sound[row, : len(seam)] += (last - sound[row, 0]) * seam
        return sound

    def _encode_opus(
        self, sound: Pcm, slots: Indices, kind: int, ptime: int, levels: Ints | None
    ) -> list[Packets]:
        bank, step = self._formats.bank(kind), CODECS[kind].timestamp_step(ptime)
        samples = CODECS[kind].samples(ptime)
        if ptime < TICK_MS:
            halves = (bank.encode(piece, slots) for piece in (sound[:, :samples], sound[:, samples:]))
            return [self._build(payloads, lengths, slots, step, levels) for payloads, lengths in halves]
        full: list[int] = []
        lines: list[Pcm] = []
        for row, slot in enumerate(slots.tolist()):
            pending = self._pending.setdefault(slot, _Pending())
            pending.pcm.append(sound[row].copy())
            if len(pending.pcm) * TICK_MS >= ptime:
                full.append(row)
                lines.append(np.concatenate(pending.pcm))
                pending.pcm.clear()
        if not full:
            return []
        payloads, lengths = bank.encode(np.stack(lines), slots[full])
        return [self._build(payloads, lengths, slots[full], step, None if levels is None else levels[full])]

    def _cut(self, payloads: Bytes, slots: Indices, ptime: int, levels: Ints | None) -> list[Packets]:
        """Cut packets of `ptime` from streams of octets."""
        octets = 8 * ptime
        full: list[int] = []
        pieces: list[bytes] = []
        for row, slot in enumerate(slots.tolist()):
            line = self._pending.setdefault(slot, _Pending()).octets
            line += payloads[row].tobytes()
            if len(line) >= octets:
                full.append(row)
                pieces.append(bytes(line[:octets]))
                del line[:octets]
        if not full:
            return []
        cut = np.frombuffer(b"".join(pieces), np.uint8).reshape(len(full), octets)
        lengths = np.full(len(full), octets, np.intp)
        return [self._build(cut, lengths, slots[full], octets, None if levels is None else levels[full])]

    def _build(
        self, payloads: Bytes, lengths: Indices, slots: Indices, step: int, levels: Ints | None
    ) -> Packets:
        extra = HEADER if levels is None else _EXTRA
        out = np.empty((len(slots), payloads.shape[1] + extra), np.uint8)
        return out, self._senders.build(out, payloads, lengths, slots, step, levels), slots

    def _rest(self, slots: Indices) -> Indices:
        """Let the time of slots pass that may not send; return the rows of the others."""
        resting = np.array([slot in self._resting for slot in slots.tolist()], np.bool_)
        silent = slots[resting]
        for slot in self._seams.keys() & set(silent.tolist()):
            del self._seams[slot]
        self._senders.skip(silent, _STEPS[self._way[silent] // _KIND])
        return np.flatnonzero(~resting)

    def _press(self, slots: Indices) -> tuple[list[Packets], Indices]:
        """Let keys go on being pressed; return their packets, and the rows that send audio."""
        parts: list[Packets] = []
        spoken = np.ones(len(slots), np.bool_)
        for row, slot in enumerate(slots.tolist()):
            dialling = self._dialling.get(slot)
            if dialling is None:
                continue
            packets, instead, text = dialling.events.step()
            for packet in packets:
                data = self._senders.build_event(
                    slot,
                    dialling.payload_type,
                    packet.payload,
                    marker=packet.marker,
                    behind=packet.behind * dialling.stretch,
                )
                parts.append(_one(data, slot))
            if instead:
                spoken[row] = False
                self._senders.skip(slots[row : row + 1], CODECS[self.kind(slot)].timestamp_step(TICK_MS))
            if text:
                self._dialled.append((slot, text))
            if not dialling.events.busy:
                del self._dialling[slot]
                self._idle = True
        return parts, np.flatnonzero(spoken)


def _one(data: bytes, slot: int) -> Packets:
    row = np.frombuffer(data, np.uint8).reshape(1, -1)
    return row, np.array([len(data)], np.intp), np.array([slot], np.intp)


def _together(parts: list[Packets]) -> Packets:
    """Return the packets of all parts in order, as rows of one array."""
    if len(parts) == 1:
        return parts[0]
    width = max((rows.shape[1] for rows, _, _ in parts), default=0)
    total = sum(len(rows) for rows, _, _ in parts)
    out = np.zeros((total, width), np.uint8)
    at = 0
    for rows, _, _ in parts:
        out[at : at + len(rows), : rows.shape[1]] = rows
        at += len(rows)
    empty = np.zeros(0, np.intp)
    lengths = np.concatenate([empty, *(part[1] for part in parts)])
    slots = np.concatenate([empty, *(part[2] for part in parts)])
    return out, lengths, slots
