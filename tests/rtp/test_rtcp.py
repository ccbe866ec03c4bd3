from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.errors import MalformedError
from softswitch.rtp import rtcp
from tests.rtp.wire import case, case_names

INVALID = ("invalid", "padding", "truncated")

WORD = st.integers(0, 2**32 - 1)
BLOCKS = st.lists(
    st.builds(
        rtcp.ReportBlock, WORD, st.integers(0, 255), st.integers(-(2**23), 2**23 - 1), WORD, WORD, WORD, WORD
    ),
    max_size=31,
).map(tuple)
ITEMS = st.lists(st.tuples(st.integers(1, 8), st.binary(max_size=255)), max_size=4).map(tuple)
PACKETS = st.one_of(
    st.builds(rtcp.SenderReport, WORD, st.integers(0, 2**64 - 1), WORD, WORD, WORD, BLOCKS),
    st.builds(rtcp.ReceiverReport, WORD, BLOCKS),
    st.builds(
        rtcp.SourceDescription, st.lists(st.builds(rtcp.Description, WORD, ITEMS), max_size=31).map(tuple)
    ),
    st.builds(rtcp.Goodbye, st.lists(WORD, max_size=31).map(tuple), st.binary(max_size=255)),
    st.builds(
        rtcp.Feedback, st.sampled_from((205, 206)), st.integers(0, 31), WORD, WORD, st.just(b"abcd" * 3)
    ),
    st.builds(rtcp.Unknown, st.sampled_from((204, 207, 192)), st.integers(0, 31), st.just(b"wxyz")),
)


@pytest.mark.third_party("rtcp/aiortc")
@pytest.mark.parametrize(
    "name", [name for name in case_names("rtcp/aiortc") if not any(w in name for w in INVALID)]
)
def test_packets_of_others_are_read_and_written_alike(name):
    data = case(name)
    assert rtcp.compound(rtcp.parse(data)) == data


@pytest.mark.third_party("rtcp/aiortc")
@pytest.mark.parametrize(
    "name", [name for name in case_names("rtcp/aiortc") if any(w in name for w in INVALID)]
)
def test_broken_packets_of_others_are_refused(name):
    with pytest.raises(MalformedError):
        rtcp.parse(case(name))


@given(st.lists(PACKETS, min_size=1, max_size=4))
@settings(deadline=None, max_examples=100)
def test_compounds_are_read_as_they_were_written(packets):
    assert rtcp.parse(rtcp.compound(packets)) == packets


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=300)
def test_garbage_is_refused_and_nothing_else_is_raised(data):
    with suppress(MalformedError):
        rtcp.parse(data)


@given(st.lists(PACKETS, min_size=1, max_size=2), st.data())
@settings(deadline=None, max_examples=100)
def test_damaged_packets_raise_nothing_else(packets, data):
    octets = bytearray(rtcp.compound(packets))
    place = data.draw(st.integers(0, len(octets) - 1))
    octets[place] = data.draw(st.integers(0, 255))
    with suppress(MalformedError):
        rtcp.parse(bytes(octets[: data.draw(st.integers(0, len(octets)))]))


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"", "length"),
        (b"\x80\xc9\x00", "length"),
        (b"\x40\xc9\x00\x01\x00\x00\x00\x01", "version"),
        (b"\x80\xc9\x00\x02\x00\x00\x00\x01", "length"),
        (b"\x81\xc9\x00\x01\x00\x00\x00\x01", "length"),
        (b"\xa0\xc9\x00\x02\x00\x00\x00\x01\x00\x00\x00\x00", "padding"),
        (b"\xa0\xc9\x00\x02\x00\x00\x00\x01\x00\x00\x00\x03", "padding"),
        (b"\x81\xcb\x00\x02\x00\x00\x00\x01\x09abc", "reason"),
        (b"\x81\xca\x00\x02\x00\x00\x00\x01\x01\x09ab", "sdes"),
    ],
)
def test_the_part_that_is_wrong_is_named(data, field):
    with pytest.raises(MalformedError) as caught:
        rtcp.parse(data)
    assert caught.value.field == field


def test_padding_of_the_last_packet_is_left_out():
    report = rtcp.ReceiverReport(7)
    padded = b"\xa0\xc9\x00\x02" + report.to_bytes()[4:] + b"\x00\x00\x00\x04"
    assert rtcp.parse(padded) == [report]


def test_padding_before_another_packet_is_refused():
    padded = b"\xa0\xc9\x00\x02\x00\x00\x00\x07\x00\x00\x00\x04"
    with pytest.raises(MalformedError):
        rtcp.parse(padded + rtcp.ReceiverReport(7).to_bytes())


def test_no_more_than_31_blocks_are_written():
    block = rtcp.ReportBlock(1, 0, 0, 0, 0, 0, 0)
    assert len(rtcp.parse(rtcp.ReceiverReport(1, (block,) * 31).to_bytes())) == 1
    with pytest.raises(ValueError, match="count"):
        rtcp.ReceiverReport(1, (block,) * 32).to_bytes()


def test_losses_beyond_24_bits_are_clamped():
    block = rtcp.ReportBlock(1, 0, 2**30, 0, 0, 0, 0)
    [report] = rtcp.parse(rtcp.ReceiverReport(1, (block,)).to_bytes())
    assert isinstance(report, rtcp.ReceiverReport)
    assert report.blocks[0].lost == 0x7FFFFF
