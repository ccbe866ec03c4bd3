"""Relaying: received packets are forwarded as they come under the switch's own RTP headers (RFC 3550 §7).

Payloads of the codec that the target takes are forwarded unchanged, those of other codecs by a
:class:`Converter`, packet by packet. For each source slot two offsets are fixed when its relay begins:

* sequence number sent = number received * _PARTS + _SHIFT. Losses of the source thus stay visible as gaps,
  and the remote party's own jitter buffer and RTCP see them. _PARTS is 1 unless a packet becomes several.
* timestamp sent = (media time - _MEDIA) / _STEP + _STAMP. It follows media time, which is even, instead of
  the source's timestamps, which may jump.

The offsets continue the target's stream where the mix ended, so that the receiver sees one stream without a
break (same SSRC, numbers and times go on) when a call changes between mix and relay.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from softswitch.rtp.jitter import JitterBuffer
from softswitch.rtp.packet import HEADER, UNITS, UNITS_PER_MS, Bytes, Indices, Ints, Mask, Packets
from softswitch.rtp.playout import NEVER
from softswitch.rtp.sending import Senders
from softswitch.rtp.timeline import Arrivals

_NO_TARGET = -1

_PAUSE = 60 * UNITS_PER_MS
"""Silence of a source (60 ms) from which on the time that passed is added to the target's timestamps."""

_FARTHEST = 30 * UNITS
"""Largest distance (30 s) of a telephone event's timestamp from that of the audio: keys are not held longer;
the sender counts its events by another clock."""

# Columns of a source's slot: target slot; kind of codec that the target takes; units in a timestamp step of
# the target; offset of numbers; first number to be forwarded; media time that corresponds to _STAMP;
# timestamp at _MEDIA; newest number forwarded and its timestamp; its arrival; packets sent for one received;
# units in a timestamp step of the source. Numbers and timestamps of the target are kept without wrapping.
_TARGET, _KIND, _STEP, _SHIFT, _FIRST, _MEDIA, _STAMP, _NEWEST, _LAST, _ARRIVAL, _PARTS, _FROM = range(12)
_FIELDS = 12

_NO_KIND = -9
"""Kind that no packet has, for slots that are not relayed."""


@dataclass(frozen=True, slots=True)
class Events:
    """Telephone events (RFC 4733) as a target negotiated them."""

    payload_type: int
    clock_rate: int


@dataclass(frozen=True, slots=True)
class Conversion:
    """Packets of a target's codec, each made of one packet received."""

    rows: Indices
    """Which of the received packets each is made of."""
    payloads: Bytes
    lengths: Indices
    """Octets of each payload."""
    part: int
    """Place among the packets made of one, 0 to `parts` - 1; negative: made of the lost packet before it."""
    parts: int
    """Packets made of each packet received."""
    begin: int
    """Units from the begin of the received packet to that of this one."""
    duration: int
    """Units."""


class Converter(Protocol):
    """Converts payloads between codecs."""

    def suits(self, kinds: Ints, others: Ints, durations: Ints) -> Mask:
        """Return which packets of `kinds` can be converted for targets that take `others`."""

    def convert(
        self, packets: Arrivals, targets: Indices, kinds: Ints, missing: Ints
    ) -> Iterator[Conversion]:
        """Convert packets for `targets` that take `kinds`; `missing` packets were lost before each."""


class Relays:
    """Source and target slots of all relays."""

    def __init__(self, senders: Senders, jitter: JitterBuffer) -> None:
        """Use the headers of `senders`; `jitter` holds the packets received and the position played."""
        self._senders, self._jitter = senders, jitter
        self.converter: Converter | None = None
        """Converts packets of codecs that targets do not take; None: their sources are unfit."""
        self._state = np.zeros((0, _FIELDS), np.int64)
        self._events: dict[int, Events] = {}
        self._packets: list[Packets] = []
        self._splits = False
        """Packets of some source became several."""
        self._unsettled: set[int] = set()
        """Sources whose offsets are fixed by their next packet, because none has come or been played yet."""
        self.active = 0
        """Number of source slots."""
        self.unfit: set[int] = set()
        """Sources that sent packets which cannot be forwarded; the caller ends their relays."""
        self.total = 0
        """Packets forwarded."""
        self.late_total = 0
        """Packets that came behind their successor and could not be converted any more."""

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        before = len(self._state)
        self._state = np.pad(self._state, ((0, max(slots - before, 0)), (0, 0)))
        self._state[before:, _TARGET] = _NO_TARGET
        self._state[before:, _KIND] = _NO_KIND

    def begin(
        self, source: int, target: int, *, kind: int, clock_rate: int, events: Events | None, now: int
    ) -> None:
        """Begin to forward packets of `source` from its playing position on; packets queued there go at once.

        Args:
            source: slot that receives.
            target: slot that sends; of no other source.
            kind: kind of codec that the target takes.
            clock_rate: clock rate of its timestamps, Hz.
            events: telephone events of the target; None: it negotiated none.
            now: units of the monotonic clock.
        """
        number, stamp = self._senders.position(target)
        next_, media = self._jitter.playing_position(source)
        state = self._state[source]
        state[[_TARGET, _KIND, _STEP, _FROM]] = target, kind, UNITS // clock_rate, UNITS // clock_rate
        state[_PARTS] = 1
        state[[_STAMP, _LAST, _ARRIVAL]] = stamp, stamp - 1, now
        state[[_SHIFT, _FIRST, _NEWEST, _MEDIA]] = number - next_, next_, next_ - 1, media
        if events is not None:
            self._events[source] = events
        self.active += 1
        if self._jitter.timeline.end(source) is None:
            # No packet has come yet: the first one fixes all offsets.
            state[[_FIRST, _MEDIA]] = NEVER
            self._unsettled.add(source)
            return
        if media == NEVER:
            self._unsettled.add(source)
        waiting, media_times = self._jitter.kept(source, next_)
        for row in range(len(waiting.slots)):
            index = np.array([row])
            self.take(waiting.chosen(index), media_times[index], now)

    def end(self, source: int, now: int) -> None:
        """Stop forwarding from `source`; the target's timestamp advances by the time that has passed."""
        state = self._state[source]
        target = int(state[_TARGET])
        if target == _NO_TARGET:
            return
        state[_TARGET], state[_KIND] = _NO_TARGET, _NO_KIND
        self._unsettled.discard(source)
        self._events.pop(source, None)
        self.active -= 1
        elapsed = now - int(state[_ARRIVAL])
        if elapsed > _PAUSE:
            # In whole frames, as the target's own packets would have counted, less the one now due.
            frames = elapsed // (20 * UNITS_PER_MS) - 1
            self._senders.skip(np.array([target]), frames * 20 * UNITS_PER_MS // int(state[_STEP]))

    @property
    def table(self) -> Ints:
        """Return the numbers of all slots, for compiled code; growing replaces the array."""
        return self._state

    def is_source(self, slot: int) -> bool:
        """Return True if packets that come to `slot` are forwarded."""
        return bool(self._state[slot, _TARGET] != _NO_TARGET)

    def crosses(self, slot: int) -> bool:
        """Return True if telephone events from `slot` are forwarded."""
        return slot in self._events

    def mark_unfit(self, slot: int) -> None:
        """Note that `slot` sends packets that cannot be forwarded."""
        if self.is_source(slot):
            self.unfit.add(slot)

    def take_packets(self) -> list[Packets]:
        """Return the packets to be sent since the last call, in order."""
        packets, self._packets = self._packets, []
        return packets

    def add(self, packets: Packets) -> None:
        """Add packets that compiled code has made as :meth:`take` does."""
        self._packets.append(packets)
        self.total += len(packets[1])

    def take(self, packets: Arrivals, media: Ints, arrival: int) -> None:
        """Forward those of the packets that have a target.

        Args:
            packets: each slot at most once.
            media: the media time of each, units.
            arrival: units of the monotonic clock.
        """
        state = self._state.take(packets.slots, axis=0)
        newer = packets.extended > state[:, _NEWEST]
        # Common case: every packet belongs to a relay and is newer than the last one forwarded.
        if np.count_nonzero(newer & (packets.kinds == state[:, _KIND])) < len(newer):
            chosen = self._choose(packets, state)
            if not len(chosen):
                return
            packets, media, state = packets.chosen(chosen), media[chosen], state[chosen]
            newer = newer[chosen]
        if self._unsettled:
            self._settle(state, packets, media, arrival)
        stamps = (media - state[:, _MEDIA]) // state[:, _STEP] + state[:, _STAMP]
        backwards = newer & (stamps <= state[:, _LAST])
        if np.count_nonzero(backwards):
            self._go_on(np.flatnonzero(backwards), state, stamps)
        same = packets.kinds == state[:, _KIND]
        if np.count_nonzero(same) == len(same) and not self._splits:
            self._build(packets, state, stamps)
        else:
            self._take_mixed(packets, state, stamps, same)
        if np.count_nonzero(newer) < len(newer):
            packets, state, stamps = packets.chosen(newer), state[newer], stamps[newer]
        state[:, _NEWEST], state[:, _LAST], state[:, _ARRIVAL] = packets.extended, stamps, arrival
        self._state[packets.slots] = state

    def _take_mixed(self, packets: Arrivals, state: Ints, stamps: Ints, same: Mask) -> None:
        """Forward packets of which some are converted."""
        state[:, _FROM] = packets.steps
        if self.converter is not None and len(others := np.flatnonzero(~same)):
            self._convert(self.converter, packets, state, stamps, others)
        if len(copied := np.flatnonzero(same)):
            self._set_parts(state, packets.extended, copied, 1)
            self._build(packets.chosen(copied), state[copied], stamps[copied])

    def _choose(self, packets: Arrivals, state: Ints) -> Indices:
        """Return which packets are forwarded; mark sources of packets that cannot be as unfit.

        A packet that is converted has to be newer than the last one: decoders and encoders go forwards only.
        """
        relayed = state[:, _TARGET] != _NO_TARGET
        fitting: Mask = packets.kinds == state[:, _KIND]
        other = relayed & ~fitting
        if self.converter is not None and np.count_nonzero(other):
            able = other & self.converter.suits(packets.kinds, state[:, _KIND], packets.durations)
            other &= ~able
            late = able & (packets.extended <= state[:, _NEWEST])
            self.late_total += int(np.count_nonzero(late))
            fitting |= able & ~late
        self.unfit.update(packets.slots[other].tolist())
        return np.flatnonzero(relayed & fitting & (packets.extended >= state[:, _FIRST]))

    def _convert(
        self, converter: Converter, packets: Arrivals, state: Ints, stamps: Ints, rows: Indices
    ) -> None:
        """Forward packets of other codecs than their targets take."""
        some = packets.chosen(rows) if len(rows) < len(state) else packets
        missing = some.extended - state[rows, _NEWEST] - 1
        targets, kinds = state[rows, _TARGET], state[rows, _KIND]
        for made in converter.convert(some, targets, kinds, missing):
            at = rows[made.rows]
            self._set_parts(state, packets.extended, at, made.parts)
            own = state[at]
            steps = own[:, _STEP]
            first = stamps[at] + made.begin // steps
            numbers = packets.extended[at] * made.parts + own[:, _SHIFT] + made.part
            payloads, lengths, marks = made.payloads, made.lengths, packets.marks()
            marks = marks[at] if made.part == 0 else np.zeros(len(at), np.int64)
            if made.part < 0:
                # The lost packet may have been none: a pause of the source, or a longer packet.
                fits = np.flatnonzero(first > own[:, _LAST])
                if not len(fits):
                    continue
                own, steps, first, numbers = own[fits], steps[fits], first[fits], numbers[fits]
                payloads, lengths, marks = payloads[fits], lengths[fits], marks[fits]
            out = np.empty((len(first), HEADER + payloads.shape[1]), np.uint8)
            out[:, HEADER:] = payloads
            self._senders.forward(
                out,
                own[:, _TARGET],
                numbers=numbers,
                stamps=first,
                ends=first + made.duration // steps,
                octets=lengths,
                marks=marks,
            )
            self._packets.append((out, lengths + HEADER, own[:, _TARGET]))
            self.total += len(first)

    def _set_parts(self, state: Ints, extended: Ints, rows: Indices, parts: int) -> None:
        """Go on behind the target's numbers where a source's packets become another number of packets."""
        for row in rows[state[rows, _PARTS] != parts].tolist():
            number, _ = self._senders.position(int(state[row, _TARGET]))
            missing = int(extended[row] - state[row, _NEWEST]) - 1
            state[row, _SHIFT] = number + (missing - int(extended[row])) * parts
            state[row, _PARTS] = parts
            self._splits |= parts > 1

    def forward_event(
        self, slot: int, clock_rate: int, number: int, timestamp: int, payload: bytes, *, marker: bool
    ) -> None:
        """Forward a telephone event packet, if the target negotiated events; its duration by their clock."""
        events = self._events.get(slot)
        if events is None:
            self._keep_back(slot, number)
            return
        state = self._state[slot]
        newest = self._jitter.timeline.stamp(slot)
        # Signed distance of the event's timestamp (that of the key press) from the newest audio timestamp;
        # the event keeps this distance to the newest timestamp sent.
        behind = ((timestamp - newest + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        behind *= int(state[_FROM])
        known = state[_MEDIA] != NEVER and number >= state[_FIRST]
        if not known or abs(behind) > _FARTHEST:
            self.mark_unfit(slot)
            return
        target = int(state[_TARGET])
        stamp = int(state[_LAST]) + behind // int(state[_STEP])
        sent = number * int(state[_PARTS]) + int(state[_SHIFT])
        # Audio behind the event has lost no packet where the event has its number.
        state[_NEWEST] = max(int(state[_NEWEST]), number)
        payload = _by_clock(payload, clock_rate, events.clock_rate)
        data = self._senders.forward_event(target, events.payload_type, payload, sent, stamp, marker=marker)
        self.total += 1
        row = np.frombuffer(data, np.uint8).reshape(1, -1)
        self._packets.append((row, np.array([len(data)], np.intp), np.array([target], np.intp)))

    def _keep_back(self, slot: int, number: int) -> None:
        """Pass the number of a packet that is not forwarded to the next one, so that none seems lost."""
        state = self._state[slot]
        # Behind a gap the numbers stay: a packet that is only late still finds its own free.
        if state[_TARGET] != _NO_TARGET and number == state[_NEWEST] + 1:
            state[_NEWEST] = number
            state[_SHIFT] -= state[_PARTS]

    def _settle(self, state: Ints, packets: Arrivals, media: Ints, arrival: int) -> None:
        """Fix the offsets of sources by their first packet: it continues the target's numbers and time."""
        for row in np.flatnonzero(state[:, _MEDIA] == NEVER).tolist():
            own, extended = state[row], int(packets.extended[row])
            self._unsettled.discard(int(packets.slots[row]))
            number, stamp = self._senders.position(int(own[_TARGET]))
            if own[_FIRST] == NEVER:
                own[_FIRST], own[_SHIFT], own[_NEWEST] = extended, number - extended, extended - 1
            own[_MEDIA] = media[row]
            own[_STAMP] = stamp + (arrival - int(own[_ARRIVAL])) // int(own[_STEP])

    def _go_on(self, rows: Indices, state: Ints, stamps: Ints) -> None:
        """Shift the timestamp offset of sources whose timestamps would run backwards."""
        for row in rows.tolist():
            _, stamp = self._senders.position(int(state[row, _TARGET]))
            state[row, _STAMP] += stamp - stamps[row]
            stamps[row] = stamp

    def _build(self, packets: Arrivals, state: Ints, stamps: Ints) -> None:
        targets, lengths = state[:, _TARGET], packets.lengths
        out = np.empty((len(targets), HEADER + int(lengths.max())), np.uint8)
        packets.copy_payloads(out[:, HEADER:])
        self._senders.forward(
            out,
            targets,
            numbers=packets.extended * state[:, _PARTS] + state[:, _SHIFT],
            stamps=stamps,
            ends=stamps + packets.durations // state[:, _STEP],
            octets=lengths,
            marks=packets.marks(),
        )
        self._packets.append((out, lengths + HEADER, targets))
        self.total += len(targets)


def _by_clock(payload: bytes, clock_rate: int, other: int) -> bytes:
    """Return the payload of a telephone event with its duration in another clock (RFC 4733 §2.3)."""
    if clock_rate == other or len(payload) < 4:
        return payload
    duration = int.from_bytes(payload[2:4]) * other // clock_rate
    return payload[:2] + min(duration, 0xFFFF).to_bytes(2) + payload[4:]
