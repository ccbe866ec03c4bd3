"""Sent audio of all RTP ports: resampled, encoded and packetised, interleaved with telephone events."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import numpy as np

from softswitch.audio.level import header_level
from softswitch.audio.opus import LOSS_PERCENT, OpusBank
from softswitch.audio.pcm import TICK_MS, Bytes, Indices, Pcm, fade
from softswitch.media.messages import RtpParameters
from softswitch.media.rtp.formats import CODECS, Formats, kind_of
from softswitch.media.rtp.ordinary import OrdinaryPackets
from softswitch.media.rtp.share import Sharing
from softswitch.rtp.packet import HEADER, LEVEL_EXTENSION, Ints, Packets
from softswitch.rtp.sending import Senders
from softswitch.rtp.telephone_event import EventSender

_EXTRA = HEADER + LEVEL_EXTENSION
_OPUS_MS = (10, 20, 40, 60)
"""Packet durations for Opus, milliseconds: lengths of a single frame (RFC 6716 section 2.1.4)."""

_SHORTEST_MS, _LONGEST_MS = 10, 60
_STEPS: Ints = np.array([codec.timestamp_step(TICK_MS) for codec in CODECS], np.int64)
"""Timestamp steps in 20 ms, by kind."""

_KIND = 1000
"""Factor of the kind in :attr:`RtpEncoder._mode`; larger than any ptime."""

_SEAM_MS = 4
"""Time in which the step between relayed and mixed audio fades, milliseconds."""

MOST_DIGITS = 128
"""Most digits queued to be sent."""


@dataclass(slots=True, eq=False)
class _Dialling:
    """Telephone events that are being sent to one remote party."""

    events: EventSender
    payload_type: int
    stretch: int
    """Timestamp steps of the audio codec in one step of the events' clock."""


@dataclass(slots=True, eq=False)
class _Pending:
    """Audio collected for a packet of a ptime other than 10 and 20 ms."""

    octets: bytearray = field(default_factory=bytearray)
    pcm: list[Pcm] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Group:
    """Slots that send packets of one kind and ptime."""

    kind: int
    ptime: int
    rows: Indices
    """Their places among all slots."""
    slots: Indices


class RtpEncoder:
    """Encoder side of all RTP ports: makes the packets that are due after each frame."""

    def __init__(self, formats: Formats, senders: Senders, ordinary: OrdinaryPackets | None = None) -> None:
        """Encode with the codecs of `formats`; `senders` write the headers; `ordinary` does both for some."""
        self._formats, self._senders, self._ordinary = formats, senders, ordinary
        self._mode = np.zeros(0, np.int64)
        """Kind * 1000 + ptime of each slot, so that one comparison finds rows encoded alike."""
        self._grouped: Indices | None = None
        """Slots whose groups are known; most often the same ones are encoded again."""
        self._groups: list[_Group] = []
        self._last = np.zeros(0, np.float32)
        """Last sample encoded for each slot."""
        self._sharing = Sharing(formats)
        self._losses: dict[int, int] = {}
        """Loss that each slot has to expect, percent, where it is not LOSS_PERCENT."""
        self._told: dict[int, int] = {}
        """Loss that the encoder of each slot was told to expect, percent, where it is not LOSS_PERCENT."""
        self._event_formats: dict[int, tuple[int, int]] = {}
        self._dialling: dict[int, _Dialling] = {}
        self._pending: dict[int, _Pending] = {}
        self._dialled: list[tuple[int, str]] = []
        self._paused: set[int] = set()
        """Slots that must not send."""
        self._idle = False
        """A slot has finished sending digits."""
        self._seams: dict[int, float] = {}
        """Last relayed sample by slot, whose next frame is encoded here again."""
        self.sent_total = 0

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        self._mode = np.pad(self._mode, (0, max(slots - len(self._mode), 0)), constant_values=TICK_MS)
        self._last = np.pad(self._last, (0, max(slots - len(self._last), 0)))
        self._sharing.grow(slots)
        if self._ordinary is not None:
            self._ordinary.last = self._last

    def set_format(self, slot: int, parameters: RtpParameters) -> None:
        """Set the format that a slot sends from now on.

        Raises:
            ValueError: the codec to be sent is unknown.
        """
        kind, rate = self.check(parameters), self._formats.opus.rate(parameters)
        codec = CODECS[kind]
        ptime = min(max(parameters.ptime_ms, _SHORTEST_MS), _LONGEST_MS) // 10 * 10
        if codec.name == "opus":
            ptime = max(ms for ms in _OPUS_MS if ms <= ptime)
            self._formats.bank(kind).tune(slot, bitrate=rate)
        if kind != self.kind(slot):
            # Another encoder, which was told nothing.
            self._told.pop(slot, None)
        self._mode[slot] = kind * _KIND + ptime
        self._grouped = None
        self._last[slot] = 0.0
        dissolved = self._sharing.set_form(slot, (kind, ptime, rate, parameters.level_extension))
        self._tell_losses(dissolved | {slot})
        self._pending.pop(slot, None)
        self._senders.set_format(slot, parameters.send.payload_type, parameters.level_extension)
        if parameters.send_events is None:
            self._event_formats.pop(slot, None)
        else:
            events = parameters.send_events
            self._event_formats[slot] = events.payload_type, events.clock_rate

    @staticmethod
    def check(parameters: RtpParameters) -> int:
        """Return the kind of the codec to be sent.

        Raises:
            ValueError: the codec is unknown.
        """
        kind = kind_of(parameters.send.name)
        if kind is None:
            raise ValueError(f"send: there is no codec named {parameters.send.name!r}")
        return kind

    def close(self, slot: int) -> None:
        """Clear `slot`."""
        for table in (
            self._event_formats, self._dialling, self._pending, self._seams, self._losses, self._told
        ):  # fmt: skip
            table.pop(slot, None)
        self._tell_losses(self._sharing.close(slot))
        self._paused.discard(slot)

    def share(self, groups: Iterable[Iterable[int]]) -> None:
        """Encode once for slots that hear the same from now on, as far as their formats are equal.

        Args:
            groups: slots whose ports hear the same; no slot is in two groups.
        """
        self._tell_losses(self._sharing.arrange(groups))

    def expect_loss(self, slot: int, percent: int) -> None:
        """Set the loss on the way to a slot; its encoder expects the largest of all who share it."""
        if percent == self._losses.get(slot, LOSS_PERCENT):
            return
        self._losses[slot] = percent
        self._tell_losses([slot])

    def _tell_losses(self, slots: Iterable[int]) -> None:
        """Tell the encoders of slots what loss to expect, where that has changed."""
        if not self._losses:
            return
        for state in {self._sharing.state(slot) for slot in slots}:
            members = self._sharing.members(state)
            percent = max(self._losses.get(slot, LOSS_PERCENT) for slot in members)
            if percent != self._told.get(state, LOSS_PERCENT):
                self._told[state] = percent
                self._formats.bank(self.kind(state)).tune(state, loss_percent=percent)

    def set_sending(self, slot: int, sends: bool) -> None:
        """Set whether a slot may send; its timestamps advance while it may not."""
        if sends:
            self._paused.discard(slot)
        else:
            self._paused.add(slot)
            self._pending.pop(slot, None)

    def kind(self, slot: int) -> int:
        """Return the kind of codec that `slot` sends."""
        return int(self._mode[slot]) // _KIND

    def ptime(self, slot: int) -> int:
        """Return the duration of the packets that `slot` sends, milliseconds."""
        return int(self._mode[slot]) % _KIND

    def events(self, slot: int) -> tuple[int, int] | None:
        """Return payload type and clock rate of the telephone events that `slot` may send; else None."""
        return self._event_formats.get(slot)

    @property
    def dialling(self) -> AbstractSet[int]:
        """Slots that are sending telephone events."""
        return self._dialling.keys()

    def take_idle(self) -> bool:
        """Return True if a slot has finished sending digits since the last call."""
        idle, self._idle = self._idle, False
        return idle

    def flush(self, slot: int) -> list[Packets]:
        """Return the audio collected for a longer packet as a shorter packet, before a relay begins."""
        pending = self._pending.pop(slot, None)
        if pending is None or not pending.octets:
            return []
        payload = np.frombuffer(bytes(pending.octets), np.uint8).reshape(1, -1)
        octets = payload.shape[1]
        self.sent_total += 1
        return [self._build(payload, np.array([octets]), np.array([slot]), octets, None)]

    def lead_in(self, slot: int, pcm: Pcm, last: float, *, has_encoded: bool = False) -> None:
        """Prepare `slot` to be encoded again after a relay, without a step in the sound.

        Args:
            slot: row.
            pcm: audio relayed last, at the bus rate, ``(1, samples)``.
            last: last relayed sample.
            has_encoded: the relayed packets were made by the slot's own encoder.
        """
        if pcm.shape[1] == 0:
            return
        kind, slots = self.kind(slot), np.array([slot])
        sound = self._formats.from_bus(kind, pcm, slots)
        if CODECS[kind].name in {"G722", "opus"} and not has_encoded:
            # Both are adaptive: the encoder's state must be near that of the remote party's decoder, which
            # has decoded the relayed packets. An Opus encoder also begins with some ms of its past.
            frame = CODECS[kind].samples(TICK_MS)
            for begin in range(sound.shape[1] % frame, sound.shape[1], frame):
                self._formats.bank(kind).encode(sound[:, begin : begin + frame], slots)
        self._seams[slot] = last

    def last(self, slot: int) -> float:
        """Return the last sample encoded for `slot`."""
        return float(self._last[slot])

    def dial(self, slot: int, digits: str, duration_ms: int, gap_ms: int) -> bool:
        """Queue digits; return False where no telephone events were negotiated.

        Raises:
            ValueError: a character is not a DTMF digit, or too many digits are queued.
        """
        if slot not in self._event_formats:
            return False
        payload_type, clock = self._event_formats[slot]
        dialling = self._dialling.get(slot)
        if dialling is None:
            audio_clock = CODECS[self.kind(slot)].clock_rate
            dialling = _Dialling(EventSender(clock), payload_type, max(audio_clock // clock, 1))
        if dialling.events.waiting + len(digits) > MOST_DIGITS:
            raise ValueError(f"digits: more than {MOST_DIGITS} would be queued")
        dialling.events.queue(digits, duration_ms, gap_ms)
        self._dialling[slot] = dialling
        return True

    def take_dialled(self) -> list[tuple[int, str]]:
        """Return (slot, digits) of the digits completely sent since the last call."""
        dialled, self._dialled = self._dialled, []
        return dialled

    def push(self, pcm: Pcm, slots: Indices) -> Packets:
        """Encode 20 ms for each slot and return the packets that are due.

        Args:
            pcm: ``(n, 480)``.
            slots: each at most once, ``(n,)``.
        """
        parts: list[Packets] = []
        if self._paused:
            rows = self._skip_paused(slots)
            if len(rows) < len(slots):
                pcm, slots = pcm[rows], slots[rows]
        if self._dialling:
            keys, rows = self._send_events(slots)
            parts += keys
            if len(rows) < len(slots):
                pcm, slots = pcm[rows], slots[rows]
        if len(slots):
            parts += self._encode(pcm, slots)
        packets = _joined(parts)
        self.sent_total += len(packets[2])
        return packets

    def _encode(self, pcm: Pcm, slots: Indices) -> list[Packets]:
        if slots is not self._grouped:
            self._grouped, self._groups = slots, self._group(slots)
        if len(self._groups) == 1:
            return self._encode_alike(pcm, slots, self._groups[0].kind, self._groups[0].ptime)
        parts: list[Packets] = []
        for group in self._groups:
            parts += self._encode_alike(pcm[group.rows], group.slots, group.kind, group.ptime)
        return parts

    def _group(self, slots: Indices) -> list[_Group]:
        """Return the slots by kind and ptime, whose order is that of the numbers in `_mode`."""
        modes = self._mode[slots]
        groups: list[_Group] = []
        for mode in sorted(set(modes.tolist())):
            rows = np.flatnonzero(modes == mode)
            groups.append(_Group(mode // _KIND, mode % _KIND, rows, slots[rows]))
        return groups

    def _encode_alike(self, pcm: Pcm, slots: Indices, kind: int, ptime: int) -> list[Packets]:
        """Encode rows of one kind and ptime."""
        levels = header_level(pcm).astype(np.int64) if self._senders.extended(slots) else None
        shares, ordinary = len(self._sharing), self._ordinary
        is_bare = levels is None and not (shares or self._seams)
        if ordinary and is_bare and ptime == TICK_MS and ordinary.makes(kind):
            return [ordinary.pack(kind, pcm, slots)]
        bank = self._formats.bank(kind)
        if ordinary and ptime == TICK_MS and isinstance(bank, OpusBank) and not (shares or self._seams):
            return [ordinary.pack_opus(bank, pcm, slots, levels)]
        if shares and ptime == TICK_MS and not self._seams:
            states, first, which = self._sharing.encoded(slots)
            sound = self._formats.from_bus(kind, pcm[first], states)
            payloads, lengths = bank.encode(sound, states)
            self._last[slots] = sound[which, -1]
            step = CODECS[kind].timestamp_step(TICK_MS)
            return [self._build(payloads[which], lengths[which], slots, step, levels)]
        sound = self._formats.from_bus(kind, pcm, slots)
        if self._seams:
            sound = self._seamless(sound, slots, CODECS[kind].sample_rate)
        self._last[slots] = sound[:, -1]
        codec = CODECS[kind]
        if ptime == TICK_MS:
            payloads, lengths = bank.encode(sound, slots)
            return [self._build(payloads, lengths, slots, codec.timestamp_step(TICK_MS), levels)]
        if codec.name == "opus":
            return self._encode_opus(sound, slots, kind, ptime, levels)
        # G.711 and G.722 are streams of 8 octets a millisecond, which may be cut into packets anywhere.
        payloads, _ = bank.encode(sound, slots)
        if ptime == TICK_MS // 2:
            half = payloads.shape[1] // 2
            lengths = np.full(len(slots), half, np.intp)
            pieces = (payloads[:, :half], payloads[:, half:])
            return [self._build(piece, lengths, slots, half, levels) for piece in pieces]
        return self._cut(payloads, slots, ptime, levels)

    def _seamless(self, sound: Pcm, slots: Indices, rate: int) -> Pcm:
        """Smooth the step at the beginning of frames that follow relayed audio."""
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
        """Collect octets and cut packets of `ptime` milliseconds from them."""
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
        return out, self._senders.build(out, payloads, lengths, slots, step, levels=levels), slots

    def _skip_paused(self, slots: Indices) -> Indices:
        """Advance the timestamps of slots that must not send; return the rows of the others."""
        paused = np.array([slot in self._paused for slot in slots.tolist()], np.bool_)
        silent = slots[paused]
        for slot in self._seams.keys() & set(silent.tolist()):
            del self._seams[slot]
        self._senders.skip(silent, _STEPS[self._mode[silent] // _KIND])
        return np.flatnonzero(~paused)

    def _send_events(self, slots: Indices) -> tuple[list[Packets], Indices]:
        """Return the telephone event packets that are due, and the rows that send audio."""
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


def _joined(parts: list[Packets]) -> Packets:
    """Join the packets of all parts, in order, as rows of one array."""
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
