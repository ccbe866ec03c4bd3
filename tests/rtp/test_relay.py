"""Packets that go on as they came: what their headers say afterwards."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.rtp.packet import UNITS
from softswitch.rtp.relay import Conversion, Events
from softswitch.rtp.session import Sessions
from tests.rtp.player import CODINGS, KINDS, numbered
from tests.rtp.wire import datagrams, packet, rows

SOURCE, TARGET, OTHER = 1, 2, 3


class Exchange:
    """Sessions in which one slot is forwarded to another."""

    def __init__(self, *, events: Events | None = None, begin: bool = True) -> None:
        self.sessions = Sessions(CODINGS, 4)
        for slot in range(4):
            self.sessions.open(slot, ssrc=100 + slot, sequence=65530, timestamp=5000, cname="x", now=0.0)
            self.sessions.set_formats(slot, KINDS, {101: 8000})
            self.sessions.senders.set_format(slot, 8)
        self.relays = self.sessions.relays
        self.now = 10.0
        self.events = events
        if begin:
            self.begin()

    def begin(self) -> None:
        self.relays.begin(
            SOURCE, TARGET, kind=0, clock_rate=8000, events=self.events, now=round(self.now * UNITS)
        )
        self.sessions.jitter.suspend(SOURCE)

    def take(self, *arrivals: bytes, slot: int = SOURCE, passes: float = 0.02) -> list[bytes]:
        """Receive datagrams and return what is sent for them."""
        data, lengths = rows(arrivals)
        self.sessions.receive(data, lengths, np.full(len(arrivals), slot, np.intp), self.now)
        self.now += passes
        sent = [item for packets in self.relays.take_packets() for item in datagrams(packets)]
        assert {slot for slot, _ in sent} <= {TARGET}
        return [data for _, data in sent]


def number(data: bytes) -> int:
    return int.from_bytes(data[2:4])


def stamp(data: bytes) -> int:
    return int.from_bytes(data[4:8])


def test_header_is_new_and_payload_is_forwarded():
    exchange = Exchange()
    [first] = exchange.take(packet(7, 800, numbered(7), ssrc=9, marker=True))
    assert first[12:] == numbered(7)
    assert first[:2] == bytes((0x80, 0x88))
    assert (number(first), int.from_bytes(first[8:12])) == (65530, 102)
    [second] = exchange.take(packet(8, 960, numbered(8), ssrc=9))
    assert second[:2] == bytes((0x80, 8))
    assert (number(second), stamp(second) - stamp(first)) == (65531, 160)
    assert exchange.relays.total == 2
    assert exchange.sessions.senders.sent(TARGET).packets == 2


def test_extensions_sources_and_padding_are_left_out():
    exchange = Exchange()
    exchange.take(packet(1, 0))
    extended = packet(2, 160, bytes.fromhex("bede000132ff0000") + numbered(2), first=0x90)
    sourced = packet(3, 320, bytes(4) + numbered(3), first=0x81)
    padded = packet(4, 480, numbered(4) + bytes((0, 0, 0, 4)), first=0xA0)
    for index, data in enumerate((extended, sourced, padded), 2):
        [sent] = exchange.take(data)
        assert sent[0] == 0x80
        assert sent[12:] == numbered(index)
    both = exchange.take(packet(5, 640, numbered(5)), extended[:2] + b"\0\6" + extended[4:])
    assert [number(data) - number(both[0]) for data in both] == [0, 1]


def test_slots_that_are_not_forwarded_are_left_alone():
    exchange = Exchange()
    assert exchange.take(packet(1, 0), slot=OTHER) == []
    assert len(exchange.take(packet(1, 0, ssrc=4))) == 1
    data, lengths = rows([packet(2, 160), packet(2, 160, ssrc=4)])
    exchange.sessions.receive(data, lengths, np.array([OTHER, SOURCE]), exchange.now)
    assert sum(len(slots) for _, _, slots in exchange.relays.take_packets()) == 1


def test_late_packet_takes_its_own_place():
    exchange = Exchange()
    [first] = exchange.take(packet(1, 0))
    [third] = exchange.take(packet(3, 320))
    [second] = exchange.take(packet(2, 160))
    assert [number(data) - number(first) for data in (second, third)] == [1, 2]
    assert [stamp(data) - stamp(first) for data in (second, third)] == [160, 320]
    # The switch's own next packet continues behind the newest.
    assert exchange.sessions.senders.position(TARGET)[0] & 0xFFFF == (number(third) + 1) & 0xFFFF


def test_double_packet_goes_once():
    exchange = Exchange()
    assert len(exchange.take(packet(1, 0))) == 1
    assert exchange.take(packet(1, 0)) == []
    assert exchange.sessions.jitter.duplicate_total == 1


def test_what_waits_goes_at_once_and_what_was_played_does_not():
    exchange = Exchange(begin=False)
    slots = np.array([SOURCE])
    for index in range(6):
        exchange.take(packet(index, 160 * index, numbered(index)))
        if index < 4:
            exchange.sessions.jitter.pop(slots, round(exchange.now * UNITS))
    next_, _ = exchange.sessions.jitter.playing_position(SOURCE)
    assert 0 < next_ < 6
    exchange.begin()
    sent = [data for packets in exchange.relays.take_packets() for _, data in datagrams(packets)]
    assert [data[12:] for data in sent] == [numbered(index) for index in range(next_, 6)]
    assert number(sent[0]) == 65530
    assert stamp(sent[0]) == 5000
    assert exchange.take(packet(next_ - 1, 160 * (next_ - 1))) == []


def test_packet_of_another_format_makes_a_source_unfit():
    exchange = Exchange()
    exchange.take(packet(1, 0))
    assert exchange.take(packet(2, 160, payload_type=8)) == []
    assert exchange.relays.unfit == {SOURCE}


@pytest.mark.parametrize("silent", [0.0, 1.0])
def test_end_lets_time_go_on(silent):
    exchange = Exchange()
    [data] = exchange.take(packet(1, 0))
    exchange.now += silent
    exchange.relays.end(SOURCE, round(exchange.now * UNITS))
    exchange.relays.end(SOURCE, round(exchange.now * UNITS))
    assert not exchange.relays.active
    _, next_ = exchange.sessions.senders.position(TARGET)
    assert next_ - stamp(data) == 160 + 8000 * silent
    assert exchange.take(packet(2, 160)) == []


def event(index: int, timestamp: int, units: int, *, end: bool = False, **options) -> bytes:
    """Return a packet of the key 5."""
    payload = bytes((5, 0x8A if end else 10)) + units.to_bytes(2)
    return packet(index, timestamp, payload, payload_type=101, **options)


def test_keys_go_with_the_targets_number_and_the_audios_time():
    exchange = Exchange(events=Events(97, 8000))
    [audio] = exchange.take(packet(1, 1000))
    [first] = exchange.take(event(2, 1160, 160, marker=True))
    [last] = exchange.take(event(3, 1160, 320, end=True))
    assert exchange.relays.crosses(SOURCE)
    assert [data[1] for data in (first, last)] == [97 | 0x80, 97]
    assert [number(data) - number(audio) for data in (first, last)] == [1, 2]
    assert {stamp(data) - stamp(audio) for data in (first, last)} == {160}
    [audio_again] = exchange.take(packet(4, 1480))
    assert (number(audio_again) - number(audio), stamp(audio_again) - stamp(audio)) == (3, 480)
    assert len(exchange.sessions.take_presses()) == 1


def test_duration_of_keys_is_told_by_the_targets_clock():
    exchange = Exchange(events=Events(97, 48000))
    exchange.take(packet(1, 1000))
    [first] = exchange.take(event(2, 1160, 160))
    [last] = exchange.take(event(3, 1160, 20000, end=True))
    assert [int.from_bytes(data[14:16]) for data in (first, last)] == [960, 0xFFFF]
    assert [data[12:14] for data in (first, last)] == [bytes((5, 10)), bytes((5, 0x8A))]


def test_keys_counted_by_a_clock_of_their_own_make_a_source_unfit():
    exchange = Exchange(events=Events(97, 8000))
    exchange.take(packet(1, 1000))
    assert exchange.take(event(2, 2**31, 160)) == []
    assert exchange.relays.unfit == {SOURCE}


def test_keys_are_kept_from_a_target_that_knows_none():
    exchange = Exchange()
    [before] = exchange.take(packet(1, 1000))
    assert exchange.take(event(2, 1160, 160)) == []
    assert exchange.take(event(3, 1160, 320, end=True)) == []
    assert not exchange.relays.crosses(SOURCE)
    assert not exchange.relays.unfit
    # Their numbers are left out, since a gap would be heard as loss; their time passes.
    [after] = exchange.take(packet(4, 1480))
    assert (number(after) - number(before), stamp(after) - stamp(before)) == (1, 480)


def test_keys_kept_back_behind_a_gap_leave_the_late_packet_its_number():
    exchange = Exchange()
    [first] = exchange.take(packet(1, 1000))
    assert exchange.take(event(3, 1320, 160, end=True)) == []
    [late] = exchange.take(packet(2, 1160))
    [next_] = exchange.take(packet(4, 1480))
    assert [number(data) - number(first) for data in (late, next_)] == [1, 3]


wild = st.lists(
    st.tuples(st.integers(-3, 3), st.sampled_from([0, 0, 0, 160, -160, 10**6, -(10**6)]), st.integers(0, 4)),
    min_size=1,
    max_size=60,
)


@given(wild)
@settings(max_examples=150, deadline=None)
def test_no_source_makes_the_targets_time_go_back(steps):
    exchange = Exchange()
    index, shift, sent = 100, 0, []
    for ahead, jump, ticks in steps:
        index += ahead
        shift += jump
        sent += exchange.take(packet(index, 160 * index + shift, numbered(index)), passes=0.02 * ticks)
        index += 1
    newest = sent[0]
    for data in sent[1:]:
        apart = (number(data) - number(newest) + 0x8000) % 65536 - 0x8000
        if apart > 0:
            assert 0 < (stamp(data) - stamp(newest)) % 2**32 < 2**31
            newest = data
    position, _ = exchange.sessions.senders.position(TARGET)
    assert position & 0xFFFF == (number(newest) + 1) & 0xFFFF


class Halving:
    """Makes two packets of each, and one of each lost packet before it."""

    def suits(self, kinds, others, durations):
        return np.ones(len(kinds), np.bool_)

    def convert(self, packets, targets, kinds, missing):
        every = np.arange(len(packets.slots))
        half = int(packets.durations[0]) // 2
        lost = np.flatnonzero(missing)
        if len(lost):
            yield self._made(packets, lost, half, part=-1, begin=-half)
        for part in range(2):
            yield self._made(packets, every, half, part=part, begin=part * half)

    def _made(self, packets, rows, half, *, part, begin):
        payloads = np.full((len(rows), 80), 50 + part, np.uint8)
        lengths = np.full(len(rows), 80, np.intp)
        return Conversion(rows, payloads, lengths, part=part, parts=2, begin=begin, duration=half)


def test_converted_packets_go_on_evenly_and_leave_losses_open():
    exchange = Exchange(begin=False)
    exchange.relays.converter = Halving()
    exchange.begin()
    [first] = exchange.take(packet(1, 0))
    sent = exchange.take(packet(2, 160, payload_type=8))
    sent += exchange.take(packet(5, 640, payload_type=8))
    assert [data[12] for data in sent] == [50, 51, 49, 50, 51]
    # Two packets are lost, which would have been four; the last of them was made up for.
    assert [(number(data) - number(first)) % 65536 for data in sent] == [1, 2, 6, 7, 8]
    assert [stamp(data) - stamp(first) for data in sent] == [160, 240, 560, 640, 720]
    [again] = exchange.take(packet(6, 800))
    assert (number(again) - number(first)) % 65536 == 9
    assert stamp(again) - stamp(first) == 800
    assert exchange.relays.unfit == set()


def test_packet_behind_its_successor_is_not_converted():
    exchange = Exchange(begin=False)
    exchange.relays.converter = Halving()
    exchange.begin()
    exchange.take(packet(1, 0, payload_type=8))
    exchange.take(packet(3, 320, payload_type=8))
    assert exchange.take(packet(2, 160, payload_type=8)) == []
    assert exchange.relays.late_total == 1


def test_keys_between_converted_packets_are_no_losses():
    exchange = Exchange(begin=False, events=Events(97, 8000))
    exchange.relays.converter = Halving()
    exchange.begin()
    exchange.take(packet(1, 0, payload_type=8))
    [key] = exchange.take(event(2, 160, 160))
    sent = exchange.take(packet(3, 320, payload_type=8))
    assert [data[12] for data in sent] == [50, 51]
    assert number(sent[0]) > number(key)
