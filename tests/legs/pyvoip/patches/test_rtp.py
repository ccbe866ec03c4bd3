"""The RTP of pyVoIP, packet by packet and over a socket."""

import socket
import struct
import time
from random import Random

import numpy as np
import pytest

from softswitch.audio.g711 import DECODING, decode
from softswitch.legs.sip.media.rtp_sockets import RtpPair, RtpSockets
from tests.legs.pyvoip.pyvoip import RTP, Packet, Stream, StreamEvents
from tests.support.waiting import until_in_threads

PCMU, PCMA, EVENT = RTP.PayloadType.PCMU, RTP.PayloadType.PCMA, RTP.PayloadType.EVENT


def packet(
    payload: bytes,
    *,
    kind: int = 0,
    timestamp: int = 0,
    first: int = 0x80,
    sequence: int = 1,
    marker: bool = False,
) -> bytes:
    return struct.pack("!BBHII", first, marker << 7 | kind, sequence, timestamp, 7) + payload


def event(code: int, units: int, *, ended: bool, timestamp: int = 1000) -> bytes:
    return packet(struct.pack("!BBH", code, 0x8A if ended else 10, units), kind=101, timestamp=timestamp)


class CallLink:
    """A stream whose both ends are the test."""

    def __init__(
        self, assoc: dict[int, RTP.PayloadType] | None = None, target: tuple[str, int] = ("127.0.0.1", 9)
    ) -> None:
        self.sockets = RtpSockets("127.0.0.1", 22000, 22999, Random(), time.monotonic)
        self.keys: list[tuple[str, int]] = []
        self.closed: list[RtpPair] = []
        self.heard = 0
        self.pair = self.sockets.open()
        self.stream = Stream(
            assoc or {0: PCMU, 101: EVENT},
            self.pair,
            target,
            StreamEvents(self._hear, lambda key, length: self.keys.append((key, length)), self.closed.append),
        )

    def _hear(self, stream: Stream) -> None:
        self.heard += 1

    def close(self) -> None:
        self.sockets.close(self.pair)


@pytest.fixture
def line():
    made = CallLink()
    yield made
    made.close()


def test_packet_is_read_without_header_extension_sources_and_padding() -> None:
    body = bytes(range(1, 21))
    extension = struct.pack("!HH", 0xBEDE, 1) + b"\1\2\3\4"
    whole = packet(b"\0\0\0\5" + extension + body + b"\0\0\3", first=0x80 | 0x20 | 0x10 | 1)
    assert Packet(whole, {0: PCMU}).payload == body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\0\0",
        packet(b"", first=0x40),
        packet(b"\0\0\xff\xff", first=0x90),
        packet(b"\xff", first=0xA0),
        packet(b"x", kind=77),
    ],
)
def test_packet_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(RTP.RTPParseError):
        Packet(data, {0: PCMU})


def test_anything_at_all_is_counted_and_nothing_raises(line: CallLink) -> None:
    random = Random(4)
    for _ in range(2000):
        line.stream._take(random.randbytes(random.randrange(200)))
    counters = line.stream.counters
    assert counters["packets_unread"] + counters["packets_received"] == 2000


@pytest.mark.parametrize(("kind", "codec", "law"), [(0, PCMU, "PCMU"), (8, PCMA, "PCMA")])
def test_frame_is_encoded_in_the_law_of_its_payload_type(kind: int, codec, law: str) -> None:
    line = CallLink({kind: codec})
    ramp = bytes(range(16, 240, 2))
    sent = np.frombuffer(line.stream.encode_packet(ramp), np.uint8)
    pcm = decode(DECODING[law], sent[np.newaxis])[0]
    assert np.abs(pcm - (np.frombuffer(ramp, np.uint8).astype(float) - 128) * 256).max() < 1100
    line.close()


def test_key_is_told_once_with_its_length(line: CallLink) -> None:
    for units, ended in ((160, False), (320, False), (800, True), (800, True), (800, True)):
        line.stream.parse_packet(event(5, units, ended=ended))
    line.stream.parse_packet(event(11, 400, ended=True, timestamp=3000))
    assert line.keys == [("5", 100), ("#", 50)]


def test_key_whose_end_is_lost_is_told_when_audio_or_another_key_goes_on(line: CallLink) -> None:
    line.stream.parse_packet(event(1, 160, ended=False))
    line.stream.parse_packet(packet(bytes(160), timestamp=1160))
    assert line.keys == []
    line.stream.parse_packet(packet(bytes(160), timestamp=1000 + 160 + 640))
    line.stream.parse_packet(event(2, 160, ended=False, timestamp=4000))
    line.stream.parse_packet(event(3, 160, ended=True, timestamp=5000))
    assert line.keys == [("1", 20), ("2", 20), ("3", 20)]


def test_packets_of_a_second_are_evenly_numbered_past_the_wrap(line: CallLink) -> None:
    stream = line.stream
    stream.outSequence, stream.outTimestamp = 65534, 2**32 - 320
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        far.settimeout(5)
        stream.retarget(far.getsockname())
        stream.start()
        begun = time.monotonic()
        packets = [far.recv(2000) for _ in range(50)]
        taken = time.monotonic() - begun
        stream.stop()
    heads = [struct.unpack("!BBHII", data[:12]) for data in packets]
    assert [head[2] for head in heads] == [(65534 + number) % 65536 for number in range(50)]
    assert [head[3] for head in heads] == [(2**32 - 320 + 160 * number) % 2**32 for number in range(50)]
    assert {len(data) for data in packets} == {172}
    assert 0.9 < taken < 2.5


def test_keys_are_sent_as_events_between_the_audio() -> None:
    line = CallLink({8: PCMA, 101: EVENT})
    stream = line.stream
    stream.press("1#x")
    frames = stream._frames()
    sent = [one for _ in range(40) for one in next(frames)]
    events = [
        (marker, stamp, struct.unpack("!BBH", body)) for marker, kind, stamp, body in sent if kind == 101
    ]
    assert [body[0] for _, _, body in events] == [1] * 7 + [11] * 7
    assert [marker for marker, _, _ in events] == ([True] + [False] * 6) * 2
    assert len({stamp for _, stamp, _ in events}) == 2
    assert [body[2] for _, _, body in events[:7]] == [160, 320, 480, 640, 800, 800, 800]
    assert [bool(body[1] & 0x80) for _, _, body in events[:7]] == [False] * 4 + [True] * 3
    line.close()


def test_nothing_is_sent_while_the_peer_holds(line: CallLink) -> None:
    frames = line.stream._frames()
    assert next(frames)
    line.stream.sending = False
    assert [next(frames) for _ in range(3)] == [[], [], []]
    line.stream.sending = True
    ((marker, _, _, _),) = next(frames)
    assert marker


def test_only_the_learned_source_is_heard_and_gets_the_audio() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as friend,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
    ):
        friend.bind(("127.0.0.1", 0))
        stranger.bind(("127.0.0.2", 0))
        friend.settimeout(5)
        line = CallLink(target=friend.getsockname())
        line.stream.start()
        to = ("127.0.0.1", line.pair.port)
        friend.sendto(packet(bytes(160)), to)
        assert friend.recv(2000)
        for number in range(5):
            stranger.sendto(packet(bytes(160), timestamp=160 * number), to)
        until_in_threads(lambda: line.stream.source.rejected >= 5)
        assert (line.stream.source.rejected, line.heard) == (5, 1)
        line.stream.stop()
        until_in_threads(lambda: line.closed)
        assert line.closed == [line.pair]
    line.close()


def test_stream_that_never_began_gives_its_sockets_back_once(line: CallLink) -> None:
    line.stream.stop()
    line.stream.stop()
    assert line.closed == [line.pair]
    line.stream.start()
    assert not hasattr(line.stream, "sin")
