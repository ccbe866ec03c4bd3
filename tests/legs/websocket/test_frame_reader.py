"""The frame reader on the side of the server: the audio of a client, read before aiohttp sees it."""

import struct

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from softswitch.legs.websocket.frame_reader import FrameReader, watch_frames


class Rest:
    """What is left for aiohttp."""

    def __init__(self, full_after: int = 10**9) -> None:
        self.data = b""
        self.ended = False
        self._full_after = full_after

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return len(self.data) > self._full_after, b""

    def feed_eof(self) -> None:
        self.ended = True


def frame(first: int, payload: bytes, mask: bytes = b"\1\2\3\4") -> bytes:
    bit = 0x80 if mask else 0
    length = len(payload)
    if length < 126:
        head = bytes((first, bit | length))
    elif length < 65536:
        head = struct.pack("!BBH", first, bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, bit | 127, length)
    masked = bytes(byte ^ mask[number % 4] for number, byte in enumerate(payload)) if mask else payload
    return head + mask + masked


FRAMES = st.lists(
    st.tuples(
        st.sampled_from([0x82, 0x81, 0x89, 0x8A]),
        st.integers(0, 300) | st.sampled_from([125, 126, 65535, 65536, 70000]),
    ),
    max_size=6,
)


@settings(deadline=None, max_examples=60)
@given(FRAMES, st.data())
def test_whole_binary_messages_are_taken_and_the_rest_is_passed_on_in_any_pieces(
    frames: list[tuple[int, int]], data: st.DataObject
) -> None:
    taken: list[bytes] = []
    rest = Rest()
    reader = FrameReader(rest, taken.append)
    payloads = [(first, bytes(number % 251 for number in range(length))) for first, length in frames]
    wire = b"".join(frame(first, payload) for first, payload in payloads)
    while wire:
        size = data.draw(st.integers(1, len(wire)))
        assert reader.feed_data(wire[:size]) == (False, b"")
        wire = wire[size:]
    assert taken == [payload for first, payload in payloads if first == 0x82]
    left = [frame(*pair) for pair in payloads if pair[0] != 0x82]
    assert rest.data == b"".join(left)


def test_binary_within_a_fragmented_message_is_aiohttps_to_refuse() -> None:
    taken: list[bytes] = []
    rest = Rest()
    reader = FrameReader(rest, taken.append)
    wire = frame(0x01, b"a") + frame(0x82, b"b")
    reader.feed_data(wire)
    assert rest.data == wire
    reader = FrameReader(Rest(), taken.append)
    reader.feed_data(frame(0x01, b"a") + frame(0x89, b"") + frame(0x80, b"c") + frame(0x82, b"d"))
    assert taken == [b"d"]


@pytest.mark.parametrize("wire", [frame(0x80, b"x"), frame(0xC2, b"x"), frame(0x83, b"x")])
def test_frame_that_breaks_the_rules_is_passed_on(wire: bytes) -> None:
    taken: list[bytes] = []
    rest = Rest()
    FrameReader(rest, taken.append).feed_data(wire)
    assert (taken, rest.data) == ([], wire)


@pytest.mark.parametrize("step", [1, 1000])
@pytest.mark.parametrize("first", [0x82, 0x81, 0x01, 0x89, 0x88])
def test_frame_without_a_mask_is_a_fault_and_nothing_behind_it_is_taken(first: int, step: int) -> None:
    taken: list[bytes] = []
    told: list[tuple[int, str]] = []
    rest = Rest()
    reader = FrameReader(rest, taken.append, on_fault=lambda *fault: told.append(fault))
    wire = frame(first, b"xy", mask=b"") + frame(0x82, b"later") + frame(0x88, b"\3\xe8")
    for at in range(0, len(wire), step):
        reader.feed_data(wire[at : at + step])
    assert told == [(1002, "frames of a client must be masked")]
    assert (taken, rest.data) == ([], frame(0x88, b"\3\xe8"))


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_close_with_a_code_that_is_never_sent_is_a_fault(code: int) -> None:
    told: list[tuple[int, str]] = []
    rest = Rest()
    reader = FrameReader(rest, on_fault=lambda *fault: told.append(fault))
    reader.feed_data(frame(0x88, code.to_bytes(2) + b"why"))
    assert told == [(1002, "the Close has a code that is never sent")]
    assert reader.closing
    assert rest.data == b""


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
def test_close_with_a_good_code_is_passed_on(code: int) -> None:
    rest = Rest()
    reader = FrameReader(rest, on_fault=lambda *fault: pytest.fail(f"{fault}"))
    wire = frame(0x88, code.to_bytes(2))
    reader.feed_data(wire)
    assert reader.closing
    assert rest.data == wire


def test_fragments_of_audio_are_one_message_with_control_frames_in_between() -> None:
    taken: list[bytes] = []
    rest = Rest()
    ping = frame(0x89, b"hi")
    reader = FrameReader(rest, taken.append)
    reader.feed_data(frame(0x02, b"a") + ping + frame(0x00, b"b") + frame(0x80, b"c") + frame(0x82, b"d"))
    assert (taken, rest.data) == ([b"abc", b"d"], ping)


def test_end_and_refusal_are_passed_on() -> None:
    rest = Rest(full_after=1)
    reader = FrameReader(rest, lambda _: None)
    assert reader.feed_data(frame(0x81, b"hello"))[0]
    reader.feed_eof()
    assert rest.ended


async def test_aiohttp_still_has_the_place_this_reader_stands_in(aiohttp_client: AiohttpClient) -> None:
    taken: list[bytes] = []

    async def handler(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        reader = watch_frames(request.protocol)
        assert reader is not None
        reader.take(taken.append)
        async for message in ws:
            await ws.send_str(f"{message.type.name} {message.data}")
        return ws

    app = web.Application()
    app.router.add_get("/", handler)
    client = await aiohttp_client(app)
    async with client.ws_connect("/") as ws:
        await ws.send_bytes(b"audio")
        await ws.ping()
        await ws.send_str("text")
        assert (await ws.receive()).data == "TEXT text"
        await ws.send_bytes(bytes(70000))
        await ws.send_str("more")
        assert (await ws.receive()).data == "TEXT more"
        assert taken == [b"audio", bytes(70000)]
        assert await ws.close()
        assert ws.close_code == aiohttp.WSCloseCode.OK


@settings(deadline=None, max_examples=60)
@given(FRAMES, st.data())
def test_audio_is_taken_from_the_next_frame_on_wherever_in_a_frame_that_is_asked_for(
    frames: list[tuple[int, int]], data: st.DataObject
) -> None:
    taken: list[bytes] = []
    rest = Rest()
    reader = FrameReader(rest)
    wire = b"".join(frame(first, bytes(length)) for first, length in frames) + frame(0x82, b"last")
    cut = data.draw(st.integers(0, len(wire) - len(frame(0x82, b"last"))))
    reader.feed_data(wire[:cut])
    reader.take(taken.append)
    reader.feed_data(wire[cut:])
    assert taken[-1] == b"last"
    # Nothing is lost or mangled: what was passed on consists of the frames that were not taken.
    passed = rest.data
    kept = list(taken)
    for first, length in frames:
        whole = frame(first, bytes(length))
        if passed.startswith(whole):
            passed = passed[len(whole) :]
        else:
            assert kept.pop(0) == bytes(length)
    assert (passed, kept) == (b"", [b"last"])


def test_connection_of_another_kind_is_left_alone() -> None:
    assert watch_frames(object()) is None


@pytest.mark.parametrize("step", [1, 7, 1_000_000])
@pytest.mark.parametrize(
    "large",
    [frame(0x82, b"x" * 1001), frame(0x81, b"x" * 70_000), frame(0x01, b"x" * 600) + frame(0x80, b"x" * 401)],
)
def test_a_message_beyond_the_bound_is_told_once_and_control_frames_are_still_read(large, step) -> None:
    taken: list[bytes] = []
    told: list[tuple[int, str]] = []
    rest = Rest()
    reader = FrameReader(rest, taken.append, most=1000, on_fault=lambda *fault: told.append(fault))
    whole = frame(0x01, b"x" * 500) + frame(0x80, b"x" * 500)
    data = whole + frame(0x82, b"audio") + large + frame(0x82, b"later") + frame(0x88, b"\3\xf1")
    for at in range(0, len(data), step):
        reader.feed_data(data[at : at + step])
    assert told == [(1009, "a message is larger than 1000 bytes")]
    assert taken == [b"audio"]
    assert rest.data.startswith(whole)
    assert rest.data.endswith(frame(0x88, b"\3\xf1"))
    assert len(rest.data) - len(whole) - 8 in (0, 608), "at most the fragment before the bound"
