import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.sip.syntax.framer import KeepAlive, StreamFramer, is_keep_alive
from softswitch.sip.syntax.message import MAX_BYTES, MalformedError, Request, parse
from tests.sip.samples import INVITE
from tests.sip.torture import TORTURES

OPTIONS = INVITE.replace(b"INVITE", b"OPTIONS").replace(b"Content-Length: 4\r\n\r\nv=0\n", b"l : 0\r\n\r\n")


def test_messages_are_cut_by_their_length():
    framer = StreamFramer()
    assert framer.feed(INVITE + OPTIONS + INVITE) == [INVITE, OPTIONS, INVITE]
    assert framer.broken == ""


@given(st.lists(st.integers(0, len(INVITE + OPTIONS) + 8), max_size=8))
@settings(deadline=None, max_examples=100)
def test_messages_are_cut_the_same_wherever_the_segments_end(ends: list[int]):
    stream = INVITE + b"\r\n\r\n" + OPTIONS + b"\r\n"
    framer, found, start = StreamFramer(), [], 0
    for end in [*sorted(ends), len(stream)]:
        found += framer.feed(stream[start:end])
        start = max(start, end)
    assert [item for item in found if isinstance(item, bytes)] == [INVITE, OPTIONS]
    assert KeepAlive.PING in found


def test_a_message_comes_out_byte_by_byte():
    framer = StreamFramer()
    found = [item for index in range(len(INVITE)) for item in framer.feed(INVITE[index : index + 1])]
    assert found == [INVITE]


def test_line_ends_between_messages_are_keep_alives():
    framer = StreamFramer()
    assert framer.feed(b"\r\n\r\n") == [KeepAlive.PING]
    assert framer.feed(b"\r\n" + INVITE) == [KeepAlive.PONG, INVITE]
    assert framer.feed(b"\r\n") == [KeepAlive.PONG]
    assert framer.feed(b"\r\n") == [KeepAlive.PING]
    assert framer.feed(b"\r") == []
    assert framer.feed(b"\n") == [KeepAlive.PONG]


def test_two_requests_of_one_datagram_are_two_of_a_stream():
    data = next(one for one in TORTURES if one.name == "dblreq").data
    first, pong, second, *rest = StreamFramer().feed(data)
    assert isinstance(first, bytes)
    assert isinstance(second, bytes)
    assert pong is KeepAlive.PONG
    requests = [parse(first), parse(second)]
    assert [one.method for one in requests if isinstance(one, Request)] == ["REGISTER", "INVITE"]
    assert rest == [b"C\r\n\r\n"]  # what stands beyond the length of the second


def test_a_length_may_be_folded_and_in_compact_form():
    data = OPTIONS.replace(b"l : 0", b"L\t:\r\n  4") + b"body"
    assert StreamFramer().feed(data + b"\r\n") == [data, KeepAlive.PONG]


def test_a_message_without_a_length_has_no_body():
    data = OPTIONS.replace(b"l : 0\r\n", b"")
    assert StreamFramer().feed(data + data) == [data, data]


@pytest.mark.parametrize(
    "length", [b"-1", b"4, 4", b"4\r\nl: 5", b"x", b"", b"99999", b"9" * 50, "٤".encode()]
)
def test_a_length_without_sense_breaks_the_stream_after_a_400(length: bytes):
    framer = StreamFramer()
    found = framer.feed(INVITE.replace(b"Content-Length: 4", b"Content-Length: " + length) + OPTIONS)
    assert len(found) == 1
    assert isinstance(found[0], bytes)
    assert framer.broken
    with pytest.raises(MalformedError) as caught:
        parse(found[0])
    assert caught.value.reply is not None
    assert framer.feed(OPTIONS) == []


def test_headers_without_end_break_the_stream():
    framer = StreamFramer()
    for _ in range(MAX_BYTES // 1000 + 2):
        assert framer.feed(b"X: " + b"a" * 995 + b"\r\n") == []
    assert framer.broken
    assert framer.feed(INVITE) == []


def test_a_dripping_body_costs_little():
    head = INVITE[:-4].replace(b"Length: 4", b"Length: 20000")
    framer = StreamFramer()
    assert framer.feed(head.replace(b"To:", b"X: " + b"a" * 30000 + b"\r\nTo:")) == []
    begun = time.process_time()
    found = [item for _ in range(20000) for item in framer.feed(b"x")]
    assert len(found) == 1
    assert time.process_time() - begun < 1.0


def test_keep_alives_of_datagrams_are_told():
    assert all(is_keep_alive(data) for data in (b"\r\n\r\n", b"\r\n", b"\0\0\0\0", b""))
    assert not is_keep_alive(INVITE)
