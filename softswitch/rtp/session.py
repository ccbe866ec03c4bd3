"""All RTP sessions of a media plane: sorts datagrams to jitter buffer, RTCP, events and relays."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softswitch.rtp.jitter import LARGEST_PAYLOAD, JitterBuffer
from softswitch.rtp.packet import (
    UNITS,
    UNITS_PER_MS,
    Bytes,
    Headers,
    Indices,
    Ints,
    is_rtcp,
    parse,
)
from softswitch.rtp.relay import Relays
from softswitch.rtp.reports import Reporter
from softswitch.rtp.sending import Senders
from softswitch.rtp.statistics import Sources
from softswitch.rtp.telephone_event import EventReceiver, Press
from softswitch.rtp.timeline import Arrivals

UNKNOWN, EVENT, PAUSE = -3, -2, -1
"""Kinds of payload without audio: not negotiated; telephone event (RFC 4733); comfort noise (RFC 3389)."""

COMFORT_NOISE = (13, 19)
"""Payload types of comfort noise: 13 (RFC 3389 §4) and 19, reserved for an older form; accepted
unnegotiated."""

_TYPES = 128
_LIKE_RTCP = slice(64, 96)
"""Payload types 64-95: with the marker bit they look like RTCP types 192-223, and are refused (RFC 5761
§4)."""

_LATE_S = 0.045
"""Time since the last tick (45 ms) from which on arrivals say nothing of the network's jitter, seconds.

The packets may have waited in the socket for a late tick.
"""

_LONGEST = 120 * UNITS_PER_MS
_LOUDEST_NOISE = 30
"""Loudest comfort noise played, -dBov: louder noise is limited to this level."""


@dataclass(frozen=True, slots=True)
class Coding:
    """Timing of an audio format."""

    clock_rate: int
    """Clock rate of its timestamps, Hz; a divisor of 48000."""
    units_per_octet: int = 0
    """Units of media time in an octet of payload; 0: `durations` reads it from the payload."""
    durations: Callable[[Bytes, Indices], Ints] | None = None
    """Returns the units of payloads from their first two octets ``(n, 2)`` and lengths; 0: malformed."""


@lru_cache(256)
def _kinds(kinds: tuple[tuple[int, int], ...], events: tuple[int, ...]) -> Ints:
    """Return the kinds of all payload types, ``(128,)``; most calls of a peer have the same."""
    table: Ints = np.full(_TYPES, UNKNOWN, np.int64)
    table[list(COMFORT_NOISE)] = PAUSE
    for payload_type, kind in kinds:
        table[payload_type] = kind
    for payload_type in events:
        table[payload_type] = EVENT
    table[_LIKE_RTCP] = UNKNOWN
    return table


class Sessions:
    """RTP sessions as rows of arrays, one per slot."""

    def __init__(self, codings: Sequence[Coding], slots: int = 0) -> None:
        """Make sessions for the audio formats `codings`, whose indices are the kinds of packets."""
        self._codings = tuple(codings)
        self._steps = [UNITS // coding.clock_rate for coding in codings]
        self._looks_up = any(coding.durations is not None for coding in codings)
        self._per_octet = [coding.units_per_octet for coding in codings]
        self._step_table = np.array(self._steps, np.int64)
        self._octet_table = np.array(self._per_octet, np.int64)
        self.sources, self.senders, self.jitter = Sources(), Senders(), JitterBuffer()
        self.reporter = Reporter(self.senders, self.sources)
        self.relays = Relays(self.senders, self.jitter)
        self.received = self.malformed = self.rejected = self.unknown = 0
        self.reported = np.zeros(0)
        """Monotonic seconds at which each slot last received RTCP, or was opened."""
        self.refused = np.zeros(0, np.int64)
        """Packets of each slot from other sources, of unknown formats, or malformed."""
        self.octets = np.zeros(0, np.int64)
        """Octets of payload that each slot received."""
        self.noise = np.zeros(0, np.float32)
        """Amplitude of the comfort noise that each remote party requested, PCM16 units."""
        self._kinds = np.zeros(0, np.int64)
        self._events: dict[int, EventReceiver] = {}
        self._clocks: dict[int, dict[int, int]] = {}
        self._pressed: set[int] = set()
        """Slots whose remote party holds a key down."""
        self._presses: list[tuple[int, Press]] = []
        self._mark = np.zeros(0, np.intp)
        self._looked = -np.inf
        """Monotonic seconds of the last call of :meth:`poll`."""
        self._timed = True
        self.grow(slots)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        more = slots - len(self.reported)
        if more <= 0:
            return
        for part in (self.sources, self.senders, self.jitter, self.reporter, self.relays):
            part.grow(slots)
        self.reported, self.refused = np.pad(self.reported, (0, more)), np.pad(self.refused, (0, more))
        self.octets = np.pad(self.octets, (0, more))
        self.noise, self._mark = np.pad(self.noise, (0, more)), np.pad(self._mark, (0, more))
        self._kinds = np.pad(self._kinds, (0, more * _TYPES), constant_values=UNKNOWN)

    def open(self, slot: int, *, ssrc: int, sequence: int, timestamp: int, cname: str, now: float) -> None:
        """Begin a session.

        Args:
            slot: row.
            ssrc: own, 32 bit, random.
            sequence: first, 16 bit, random.
            timestamp: first, 32 bit, random.
            cname: own canonical name for RTCP.
            now: monotonic seconds.
        """
        self.sources.open(slot)
        self.jitter.open(slot)
        self.senders.open(slot, ssrc, sequence, timestamp)
        self.reporter.open(slot, cname, now)
        self.reported[slot] = now
        self.refused[slot] = self.octets[slot] = 0
        self.noise[slot] = 0.0

    def set_formats(self, slot: int, kinds: Mapping[int, int], event_clocks: Mapping[int, int]) -> None:
        """Set the payload formats that may arrive.

        Args:
            slot: row.
            kinds: index of the coding by payload type.
            event_clocks: clock rate of telephone events by payload type.
        """
        row = _kinds(tuple(kinds.items()), tuple(event_clocks))
        self._kinds[slot * _TYPES : (slot + 1) * _TYPES] = row
        self._clocks[slot] = dict(event_clocks)
        self._events.pop(slot, None)

    def close(self, slot: int) -> None:
        """End a session; its relays must have ended before."""
        self.reporter.close(slot)
        self._events.pop(slot, None)
        self._clocks.pop(slot, None)
        self._kinds[slot * _TYPES : (slot + 1) * _TYPES] = UNKNOWN

    def receive(self, rows: Bytes, lengths: Indices, slots: Indices, now: float) -> None:
        """Process received datagrams, RTP and RTCP mixed; malformed ones are counted, never raised.

        Args:
            rows: ``(n, octets)``, at least 12 octets wide.
            lengths: octets of each that count.
            slots: slot of each; several datagrams of a slot are in order of arrival.
            now: monotonic seconds.
        """
        if len(slots) == 0:
            return
        # Where compiled code takes the audio, what is left is most often RTCP.
        if is_rtcp(rows).all():
            for row in range(len(slots)):
                self._receive_control(int(slots[row]), rows[row, : int(lengths[row])].tobytes(), now)
            return
        headers = parse(rows, lengths)
        kinds = self._kinds.take(slots * _TYPES + headers.payload_type)
        # `offset` is one number if all headers are bare and complete; only other datagrams may be malformed.
        broken = not isinstance(headers.offset, int) and headers.length.min() < 0
        lowest = kinds.min()
        if broken or lowest == UNKNOWN:
            chosen = self._sort_out(rows, lengths, slots, headers.length, kinds, now=now)
            rows, slots, kinds, headers = rows[chosen], slots[chosen], kinds[chosen], headers.chosen(chosen)
        arrival = int(now * UNITS)
        self._timed = self.is_timed(now)
        for turn in self._rounds(slots):
            if turn is None:
                self._receive_media(rows, headers, slots, kinds, arrival, now=now, only_audio=lowest >= 0)
            else:
                some = headers.chosen(turn)
                self._receive_media(rows[turn], some, slots[turn], kinds[turn], arrival, now=now)

    def is_timed(self, now: float) -> bool:
        """Return True unless packets taken in now may have waited for a late tick."""
        return now < self.timed_until

    @property
    def timed_until(self) -> float:
        """Return until when that is so, monotonic seconds."""
        return float("inf") if self._looked == -np.inf else self._looked + _LATE_S

    def tables(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of all slots and kinds by name, for compiled code; growing replaces them."""
        return {
            "kinds": self._kinds,
            "sources": self.sources.table,
            "timeline": self.jitter.timeline.table,
            "octets": self.octets,
            "relays": self.relays.table,
            "steps": self._step_table,
            "per_octet": self._octet_table,
            "senders": self.senders.table,
            **self.jitter.tables(),
        }

    def poll(self, now: float) -> None:
        """End key presses whose end packets were lost; to be called once per tick."""
        self._looked = now
        for slot in sorted(self._pressed):
            receiver = self._events.get(slot)
            if receiver is not None:
                self._presses.extend((slot, press) for press in receiver.poll(now))
            if receiver is None or not receiver.open:
                self._pressed.discard(slot)

    def take_presses(self) -> list[tuple[int, Press]]:
        """Return (slot, press) of the keys pressed since the last call."""
        presses, self._presses = self._presses, []
        return presses

    def jitter_stamps(self, slot: int, clock_rate: int, now: float) -> int:
        """Return the slot's interarrival jitter in steps of a clock (RFC 3550 §6.4.1)."""
        return self.jitter.meter.jitter(slot, int(now * UNITS)) * clock_rate // UNITS

    def _rounds(self, slots: Indices) -> Iterator[Indices | None]:
        """Yield parts of the rows with each slot at most once, in order of arrival; None: all rows."""
        if not np.count_nonzero(slots[1:] <= slots[:-1]):
            yield None
            return
        # The last row of each slot overwrites the mark of earlier ones: all marks survive if no slot repeats.
        order = np.arange(len(slots))
        self._mark[slots] = order
        if not np.count_nonzero(self._mark[slots] != order):
            yield None
            return
        by_slot = np.argsort(slots, kind="stable")
        ordered = slots[by_slot]
        first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        # Sorted stably by slot, the rank of a row is its distance from the first row of its slot.
        rank = order - np.repeat(first, np.diff(np.append(first, len(slots))))
        turns = np.empty_like(rank)
        turns[by_slot] = rank
        for turn in range(int(rank.max()) + 1):
            yield np.flatnonzero(turns == turn)

    def _receive_control(self, slot: int, data: bytes, now: float) -> None:
        if self.reporter.receive(slot, data, now):
            self.reported[slot] = now
        else:
            self.malformed += 1
            self.refused[slot] += 1

    def _sort_out(
        self, rows: Bytes, lengths: Indices, slots: Indices, sizes: Ints, kinds: Ints, *, now: float
    ) -> Indices:
        """Process RTCP, count malformed and unknown packets; return the rows of known RTP."""
        # Payload types that RTCP looks like are never negotiated (_LIKE_RTCP), so RTCP is among the unknown.
        control = is_rtcp(rows)
        for row in np.flatnonzero(control).tolist():
            self._receive_control(int(slots[row]), rows[row, : int(lengths[row])].tobytes(), now)
        good = ~control & (sizes >= 0) & (kinds != UNKNOWN)
        useless = ~control & ~good
        broken = int(np.count_nonzero(useless & (sizes < 0)))
        self.malformed += broken
        self.unknown += int(np.count_nonzero(useless)) - broken
        np.add.at(self.refused, slots[useless], 1)
        return np.flatnonzero(good)

    def _receive_media(
        self,
        rows: Bytes,
        headers: Headers,
        slots: Indices,
        kinds: Ints,
        arrival: int,
        *,
        now: float,
        only_audio: bool = False,
    ) -> None:
        """Process RTP in known formats, each slot at most once."""
        extended, admitted = self.sources.admit(slots, headers.ssrc, headers.sequence, arrival)
        if admitted is not None:
            self.refused[slots[~admitted]] += 1
            chosen = np.flatnonzero(admitted)
            self.rejected += len(slots) - len(chosen)
            rows, slots, kinds, headers = rows[chosen], slots[chosen], kinds[chosen], headers.chosen(chosen)
            extended = extended[chosen]
        self.received += len(slots)
        self.octets[slots] += headers.length
        if not only_audio and np.count_nonzero(kinds < 0):
            for row in np.flatnonzero(kinds < 0).tolist():
                slot, number = int(slots[row]), int(extended[row])
                offset = headers.offset if isinstance(headers.offset, int) else int(headers.offset[row])
                payload = rows[row, offset : offset + int(headers.length[row])].tobytes()
                if kinds[row] == PAUSE:
                    self._pause(slot, payload)
                    continue
                clock = self._clocks[slot][int(headers.payload_type[row])]
                stamp = int(headers.timestamp[row])
                if self.relays.active:
                    marker = bool(rows[row, 1] & 128)
                    self.relays.forward_event(slot, clock, number, stamp, payload, marker=marker)
                self._press(slot, clock, stamp, payload, now)
            others = slots[kinds < 0]
            self.jitter.quiet_until[others] = np.maximum(self.jitter.quiet_until[others], extended[kinds < 0])
            chosen = np.flatnonzero(kinds >= 0)
            rows, slots, kinds, headers = rows[chosen], slots[chosen], kinds[chosen], headers.chosen(chosen)
            extended = extended[chosen]
        if len(slots):
            self._place(rows, headers, slots, kinds, extended, arrival=arrival)

    def _pause(self, slot: int, payload: bytes) -> None:
        """Process comfort noise: its first octet is the level in -dBov (RFC 3389 §3.1)."""
        self.relays.mark_unfit(slot)
        level = max(payload[0] & 127, _LOUDEST_NOISE) if payload else 127
        self.noise[slot] = 32768.0 * 10 ** (-level / 20)

    def _press(self, slot: int, clock: int, stamp: int, payload: bytes, now: float) -> None:
        """Process a telephone event packet."""
        self.noise[slot] = 0.0
        receiver = self._events.get(slot)
        if receiver is None:
            receiver = self._events[slot] = EventReceiver(clock)
        self._presses.extend((slot, press) for press in receiver.receive(payload, stamp, now))
        if receiver.open:
            self._pressed.add(slot)

    def _place(
        self, rows: Bytes, headers: Headers, slots: Indices, kinds: Ints, extended: Ints, *, arrival: int
    ) -> None:
        """Put audio packets into the jitter buffer, and forward those of relays."""
        kind = int(kinds[0])
        steps: Ints | int
        if not np.count_nonzero(kinds != kind):
            steps, durations = self._steps[kind], headers.length * self._per_octet[kind]
        else:
            steps, durations = self._step_table[kinds], headers.length * self._octet_table[kinds]
        if self._looks_up and np.count_nonzero(durations) < len(durations):
            self._look_up(rows, headers, kinds, durations)
        packets = Arrivals(
            slots, extended, headers.timestamp, steps, durations, kinds, rows, headers.offset, headers.length
        )
        good = (durations > 0) & (durations <= _LONGEST)
        if bad := len(good) - int(np.count_nonzero(good)):
            # Empty, longer than 120 ms or malformed: treated as lost.
            self.malformed += bad
            self.refused[slots[~good]] += 1
            packets = packets.chosen(good)
        if len(packets.slots):
            taken, media = self.jitter.put(packets, arrival, timed=self._timed)
            if self.relays.active and len(taken.slots):
                self.relays.take(taken, media, arrival)

    def _look_up(self, rows: Bytes, headers: Headers, kinds: Ints, durations: Ints) -> None:
        """Read the durations of packets that carry them in their first octets (Opus: RFC 6716 §3.1)."""
        for kind, coding in enumerate(self._codings):
            if coding.durations is None:
                continue
            fitting = (headers.length > 0) & (headers.length <= LARGEST_PAYLOAD)
            chosen = np.flatnonzero((kinds == kind) & fitting)
            if len(chosen):
                offset = headers.offset if isinstance(headers.offset, int) else headers.offset[chosen]
                second = np.minimum(offset + 1, rows.shape[1] - 1)
                heads = np.stack((rows[chosen, offset], rows[chosen, second]), axis=1)
                durations[chosen] = coding.durations(heads, headers.length[chosen])
