"""Relaying: packets that go on as they came, with headers of our own (RFC 3550 §7).

The payload is never looked at. Numbers follow the source's, so that its losses are seen by whom they concern;
timestamps follow its media time, which is even whatever the source's own claim.
"""

from dataclasses import dataclass

import numpy as np

from softswitch.rtp.jitter import JitterBuffer
from softswitch.rtp.packet import HEADER, UNITS, UNITS_PER_MS, Bytes, Indices, Ints
from softswitch.rtp.playout import NEVER
from softswitch.rtp.sending import Senders
from softswitch.rtp.timeline import Arrivals

_NOBODY = -1

_PAUSE = 60 * UNITS_PER_MS
"""A source that has been silent for longer than this has paused; time went on meanwhile."""

# Columns of a source's slot. Numbers and stamps of the target do not wrap.
_TARGET, _KIND, _STEP, _SHIFT, _FIRST, _MEDIA, _STAMP, _NEWEST, _LAST, _ARRIVAL = range(10)
_FIELDS = 10

_NO_KIND = -9
"""Kind that no packet has: slots that are not relayed accept none."""

Packets = tuple[Bytes, Indices, Indices]


@dataclass(frozen=True, slots=True)
class Events:
    """How a target takes keys."""

    payload_type: int
    clock_rate: int


class Relays:
    """Who is forwarded to whom."""

    def __init__(self, senders: Senders, jitter: JitterBuffer) -> None:
        """Forward by the numbers of `senders`; `jitter` knows what has come and what was played."""
        self._senders, self._jitter = senders, jitter
        self._state = np.zeros((0, _FIELDS), np.int64)
        self._events: dict[int, Events] = {}
        self._packets: list[Packets] = []
        self._unsettled: set[int] = set()
        """Sources whose first packet will say where its numbers and times lie in the target's."""
        self.active = 0
        """Sources that are forwarded."""
        self.unfit: set[int] = set()
        """Slots which sent what cannot be forwarded; the caller ends their relays."""
        self.total = 0
        """Packets forwarded."""

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        before = len(self._state)
        self._state = np.pad(self._state, ((0, max(slots - before, 0)), (0, 0)))
        self._state[before:, _TARGET] = _NOBODY
        self._state[before:, _KIND] = _NO_KIND

    def begin(
        self, source: int, target: int, kind: int, clock_rate: int, events: Events | None, now: int
    ) -> None:
        """Forward what comes to `source` from where its playing stands; what waits goes at once.

        Args:
            source: slot that receives.
            target: slot that sends; of no other source.
            kind: of the packets that can be forwarded.
            clock_rate: of their timestamps, Hz.
            events: how the target takes keys; None: not at all.
            now: units of the monotonic clock.
        """
        number, stamp = self._senders.position(target)
        next_, media = self._jitter.standing(source)
        state = self._state[source]
        state[[_TARGET, _KIND, _STEP]] = target, kind, UNITS // clock_rate
        state[[_STAMP, _LAST, _ARRIVAL]] = stamp, stamp - 1, now
        state[[_SHIFT, _FIRST, _NEWEST, _MEDIA]] = number - next_, next_, next_ - 1, media
        if events is not None:
            self._events[source] = events
        self.active += 1
        if self._jitter.timeline.end(source) is None:
            # Nothing has come yet: what comes first settles everything.
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
        """Forward no more from `source`; its target's stamps go on as time has."""
        state = self._state[source]
        target = int(state[_TARGET])
        if target == _NOBODY:
            return
        state[_TARGET], state[_KIND] = _NOBODY, _NO_KIND
        self._unsettled.discard(source)
        self._events.pop(source, None)
        self.active -= 1
        elapsed = now - int(state[_ARRIVAL])
        if elapsed > _PAUSE:
            # In whole frames, as the target's own packets would have counted.
            frames = elapsed // (20 * UNITS_PER_MS) - 1
            self._senders.skip(np.array([target]), frames * 20 * UNITS_PER_MS // int(state[_STEP]))

    def is_source(self, slot: int) -> bool:
        """Tell whether what comes to `slot` is forwarded."""
        return bool(self._state[slot, _TARGET] != _NOBODY)

    def crosses(self, slot: int) -> bool:
        """Tell whether keys pressed at `slot` are forwarded as they come."""
        return slot in self._events

    def give_up(self, slot: int) -> None:
        """Note that `slot` sends what cannot be forwarded."""
        if self.is_source(slot):
            self.unfit.add(slot)

    def take_packets(self) -> list[Packets]:
        """Return what is to be sent since the last call, in order."""
        packets, self._packets = self._packets, []
        return packets

    def take(self, packets: Arrivals, media: Ints, arrival: int) -> None:
        """Forward those of the packets that have a target.

        Args:
            packets: each slot at most once.
            media: the media time of each, units.
            arrival: units of the monotonic clock.
        """
        state = self._state.take(packets.slots, axis=0)
        newer = packets.extended > state[:, _NEWEST]
        # Nearly always every packet is a relayed one, and the one after the last.
        plain = newer & (packets.kinds == state[:, _KIND])
        if not plain.all():
            chosen = self._choose(packets, state)
            if not len(chosen):
                return
            packets, media, state = packets.chosen(chosen), media[chosen], state[chosen]
            newer = newer[chosen]
        if self._unsettled:
            self._settle(state, packets, media, arrival)
        stamps = (media - state[:, _MEDIA]) // state[:, _STEP] + state[:, _STAMP]
        backwards = newer & (stamps <= state[:, _LAST])
        if backwards.any():
            self._go_on(np.flatnonzero(backwards), state, stamps)
        self._build(packets, state, stamps)
        if not newer.all():
            packets, state, stamps = packets.chosen(newer), state[newer], stamps[newer]
        state[:, _NEWEST], state[:, _LAST], state[:, _ARRIVAL] = packets.extended, stamps, arrival
        self._state[packets.slots] = state

    def _choose(self, packets: Arrivals, state: Ints) -> Indices:
        """Return which packets are to be forwarded; give up sources that send something else."""
        relayed = state[:, _TARGET] != _NOBODY
        fitting = packets.kinds == state[:, _KIND]
        self.unfit.update(packets.slots[relayed & ~fitting].tolist())
        return np.flatnonzero(relayed & fitting & (packets.extended >= state[:, _FIRST]))

    def forward_event(
        self, slot: int, clock_rate: int, number: int, timestamp: int, payload: bytes, *, marker: bool
    ) -> None:
        """Forward a packet of a key, if the target takes keys by the same clock."""
        events = self._events.get(slot)
        if events is None:
            return
        state = self._state[slot]
        newest = self._jitter.timeline.stamp(slot)
        known = state[_MEDIA] != NEVER and number >= state[_FIRST]
        if clock_rate != events.clock_rate or clock_rate * int(state[_STEP]) != UNITS or not known:
            self.give_up(slot)
            return
        target = int(state[_TARGET])
        # The key's time is that of the audio around it.
        behind = ((timestamp - newest + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        stamp = int(state[_LAST]) + behind
        sent = number + int(state[_SHIFT])
        data = self._senders.forward_event(target, events.payload_type, payload, sent, stamp, marker=marker)
        self.total += 1
        row = np.frombuffer(data, np.uint8).reshape(1, -1)
        self._packets.append((row, np.array([len(data)], np.intp), np.array([target], np.intp)))

    def _settle(self, state: Ints, packets: Arrivals, media: Ints, arrival: int) -> None:
        """Fix where the numbers and times of a source's first packet lie in the target's."""
        for row in np.flatnonzero(state[:, _MEDIA] == NEVER).tolist():
            own, extended = state[row], int(packets.extended[row])
            self._unsettled.discard(int(packets.slots[row]))
            number, stamp = self._senders.position(int(own[_TARGET]))
            if own[_FIRST] == NEVER:
                own[_FIRST], own[_SHIFT], own[_NEWEST] = extended, number - extended, extended - 1
            own[_MEDIA] = media[row]
            own[_STAMP] = stamp + (arrival - int(own[_ARRIVAL])) // int(own[_STEP])

    def _go_on(self, rows: Indices, state: Ints, stamps: Ints) -> None:
        """Let packets whose time would lie before their predecessors' follow those."""
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
            numbers=packets.extended + state[:, _SHIFT],
            stamps=stamps,
            ends=stamps + packets.durations // state[:, _STEP],
            octets=lengths,
            marks=packets.marks(),
        )
        self._packets.append((out, lengths + HEADER, targets))
        self.total += len(targets)
