import numpy as np
import pytest

from softswitch.rtp.packet import extensions, parse
from softswitch.rtp.sending import Senders


@pytest.fixture
def senders():
    senders = Senders(4)
    for slot in range(4):
        senders.open(slot, ssrc=100 + slot, sequence=65534, timestamp=2**32 - 160)
        senders.set_format(slot, payload_type=8)
    return senders


def build(senders, slots, payload=b"abcd", steps=160, levels=None):
    slots = np.array(slots)
    out = np.zeros((len(slots), 64), np.uint8)
    payloads = np.frombuffer(payload * len(slots), np.uint8).reshape(len(slots), -1)
    lengths = np.full(len(slots), len(payload))
    sizes = senders.build(out, payloads, lengths, slots, steps, levels=levels)
    return [row[:size].tobytes() for row, size in zip(out, sizes, strict=True)]


def test_numbers_go_on_and_wrap(senders):
    packets = [build(senders, [1])[0] for _ in range(4)]
    assert [int.from_bytes(data[2:4]) for data in packets] == [65534, 65535, 0, 1]
    assert [int.from_bytes(data[4:8]) for data in packets] == [2**32 - 160, 0, 160, 320]
    assert [data[1] for data in packets] == [0x88, 8, 8, 8]
    assert {int.from_bytes(data[8:12]) for data in packets} == {101}
    assert {data[12:] for data in packets} == {b"abcd"}


def test_slots_are_numbered_apart(senders):
    build(senders, [0, 2])
    first, second = build(senders, [2, 3])
    assert int.from_bytes(first[2:4]) == 65535
    assert int.from_bytes(second[2:4]) == 65534


def test_totals_are_reported(senders):
    build(senders, [1])
    build(senders, [1])
    sent = senders.sent(1)
    assert (sent.packets, sent.octets, sent.timestamp) == (2, 8, 160)
    assert senders.active(1)
    assert not senders.active(1)


def test_time_without_packets_begins_a_talk_spurt(senders):
    build(senders, [1])
    senders.skip(np.array([1]), 160)
    [data] = build(senders, [1])
    assert data[1] == 0x88
    assert int.from_bytes(data[2:4]) == 65535
    assert int.from_bytes(data[4:8]) == 160


def test_event_shares_the_numbers_but_not_the_time(senders):
    build(senders, [1])
    event = senders.build_event(1, 101, b"\x05\x0a\x00\xa0", marker=True, behind=320)
    assert event[:2] == b"\x80\xe5"
    assert int.from_bytes(event[2:4]) == 65535
    assert int.from_bytes(event[4:8]) == (2**32 - 320)
    assert event[12:] == b"\x05\x0a\x00\xa0"
    assert int.from_bytes(build(senders, [1])[0][2:4]) == 0


def test_levels_are_sent_where_negotiated(senders):
    senders.set_format(2, 8, level_id=5)
    assert senders.extended(np.array([1, 2]))
    assert not senders.extended(np.array([1]))
    plain, levelled = build(senders, [1, 2], levels=np.array([30, 90]))
    assert plain[12:] == b"abcd"
    assert extensions(levelled) == {5: bytes([90])}
    assert levelled[20:] == b"abcd"
    row = np.zeros((1, 64), np.uint8)
    row[0, : len(levelled)] = np.frombuffer(levelled, np.uint8)
    headers = parse(row, np.array([len(levelled)]))
    assert not isinstance(headers.offset, int)
    assert (int(headers.offset[0]), int(headers.length[0])) == (20, 4)
    senders.open(2, 1, 1, 1)
    assert not senders.extended(np.array([2]))
