import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.rtp.packet import (
    HEADER,
    extensions,
    is_rtcp,
    parse,
    write_headers,
    write_levels,
)
from tests.rtp.wire import case, case_names, packet, rows


def parsed(*datagrams):
    return parse(*rows(datagrams))


def offset_of(headers, row=0):
    return headers.offset if isinstance(headers.offset, int) else int(headers.offset[row])


def test_plain_header_is_read():
    headers = parsed(packet(65535, 2**32 - 1, b"abc", payload_type=111, ssrc=0xDEADBEEF, marker=True))
    assert headers.payload_type.tolist() == [111]
    assert headers.sequence.tolist() == [65535]
    assert headers.timestamp.tolist() == [2**32 - 1]
    assert headers.ssrc.tolist() == [0xDEADBEEF]
    assert headers.offset == 12
    assert headers.length.tolist() == [3]


@pytest.mark.parametrize(
    ("datagram", "offset", "length"),
    [
        (packet(payload=b""), 12, 0),
        (packet(first=0x82, payload=bytes(8) + b"ab"), 20, 2),
        (packet(first=0x90, payload=b"\xbe\xde\x00\x01\x10\x7f\x00\x00abc"), 20, 3),
        (packet(first=0x91, payload=bytes(4) + b"\x10\x00\x00\x01\x01\x01\x7f\x00abc"), 24, 3),
        (packet(first=0xA0, payload=b"abc\x01"), 12, 3),
        (packet(first=0xA0, payload=b"abc\x00\x00\x03"), 12, 3),
        (packet(first=0xA0, payload=b"\x00\x02"), 12, 0),
    ],
    ids=[
        "empty",
        "sources",
        "one-byte extension",
        "two-byte extension",
        "padding",
        "padding 3",
        "only padding",
    ],
)
def test_payload_is_found_behind_what_lies_before_it(datagram, offset, length):
    headers = parsed(datagram)
    assert (offset_of(headers), int(headers.length[0])) == (offset, length)


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x80",
        packet(payload=b"")[:11],
        packet(first=0x40),
        packet(first=0x8F, payload=bytes(10)),
        packet(first=0x90, payload=b"\xbe\xde\x00"),
        packet(first=0x90, payload=b"\xbe\xde\xff\xff" + bytes(100)),
        packet(first=0xA0, payload=b""),
        packet(first=0xA0, payload=b"ab\x00"),
        packet(first=0xA0, payload=b"ab\x04"),
    ],
)
def test_broken_datagrams_are_reported_from_empty_ones(datagram):
    assert parsed(datagram).length.tolist() == [-1]


@given(st.lists(st.binary(max_size=120), min_size=1, max_size=6))
@settings(deadline=None, max_examples=200)
def test_no_datagram_raises_and_no_payload_leaves_it(datagrams):
    headers = parsed(*datagrams)
    for row, (datagram, length) in enumerate(zip(datagrams, headers.length, strict=True)):
        offset = offset_of(headers, row)
        assert length == -1 or (offset >= HEADER and offset + length <= len(datagram))


@given(st.lists(st.binary(min_size=12, max_size=60), min_size=2, max_size=5))
@settings(deadline=None, max_examples=100)
def test_rows_are_read_alike_whatever_lies_beside_them(datagrams):
    together = parsed(*datagrams)
    for row, datagram in enumerate(datagrams):
        alone = parsed(datagram)
        assert offset_of(alone) == offset_of(together, row)
        assert alone.length[0] == together.length[row]


@given(
    st.integers(0, 127),
    st.integers(0, 2**20),
    st.integers(0, 2**40),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
@settings(deadline=None, max_examples=100)
def test_what_is_written_is_read_again(payload_type, sequence, timestamp, ssrc, marker):
    row = np.zeros((1, 1536), np.uint8)
    second = np.array([payload_type | marker << 7])
    write_headers(
        row,
        second=second,
        sequence=np.array([sequence]),
        timestamp=np.array([timestamp]),
        ssrc=np.array([ssrc]),
    )
    assert row[0, :12].tobytes() == packet(
        sequence, timestamp, b"", payload_type=payload_type, ssrc=ssrc, marker=marker
    )


def test_rtcp_is_reported_from_rtp_by_its_type():
    numbers = [0, 100, 191, 192, 200, 223, 224, 255]
    data, _ = rows([bytes((0x80, second)) for second in numbers])
    assert is_rtcp(data).tolist() == [192 <= second <= 223 for second in numbers]


def test_level_is_written_as_a_header_extension():
    row = np.zeros((1, 40), np.uint8)
    one = np.array([1])
    write_headers(row, second=0, sequence=one, timestamp=one, ssrc=one, extended=np.array([True]))
    write_levels(row, np.array([3]), np.array([42]), np.array([True]))
    datagram = row[0, :25].tobytes()
    assert extensions(datagram) == {3: bytes([42 | 0x80])}
    assert offset_of(parsed(datagram)) == 20


def test_extensions_of_both_forms_are_read():
    one = packet(first=0x90, payload=b"\xbe\xde\x00\x02" + b"\x10a" + b"\x00" + b"\x21bc" + b"\x00\x00")
    two = packet(first=0x90, payload=b"\x10\x00\x00\x02" + b"\x01\x00" + b"\x02\x03xyz" + b"\x00")
    assert extensions(one) == {1: b"a", 2: b"bc"}
    assert extensions(two) == {1: b"", 2: b"xyz"}
    assert extensions(packet()) == {}
    assert extensions(packet(first=0x90, payload=b"\x12\x34\x00\x01abcd")) == {}


def test_reading_extensions_stops_at_id_15_and_at_what_does_not_fit():
    assert extensions(packet(first=0x90, payload=b"\xbe\xde\x00\x02\x10a\xf0\x00\x20b\x00\x00")) == {1: b"a"}
    assert extensions(packet(first=0x90, payload=b"\xbe\xde\x00\x01\x10a\x2fb")) == {1: b"a"}
    assert extensions(packet(first=0x90, payload=b"\x10\x00\x00\x01\x01\x01a\x02")) == {1: b"a"}


@given(st.binary(max_size=64))
@settings(deadline=None, max_examples=200)
def test_no_extension_raises(data):
    extensions(packet(first=0x90, payload=data))
    extensions(data)


@pytest.mark.third_party("rtp/aiortc")
@pytest.mark.parametrize("name", case_names("rtp/aiortc"))
def test_packets_of_another_implementation_are_read(name):
    read_packet(name)


@pytest.mark.parametrize("name", case_names("rtp/edge"))
def test_edge_cases_are_read(name):
    read_packet(name)


def read_packet(name):
    datagram = case(name)
    headers = parsed(datagram)
    assert headers.length[0] >= 0
    if "only_padding" in name or "hdr-only" in name:
        assert headers.length[0] == 0


@pytest.mark.third_party("rtp/aiortc")
def test_the_extensions_of_a_browser_are_read():
    found = extensions(case("rtp/aiortc/rtp_with_sdes_mid.bin"))
    assert found == {9: b"0"}
