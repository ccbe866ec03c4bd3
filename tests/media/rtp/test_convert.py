"""Conversions within compiled passes: a browser and a telephone hear what Python would send them."""

import contextlib
import random
import socket
import time
from functools import cache

import numpy as np
import pytest

from softswitch.audio.g711 import ENCODING, encode
from softswitch.audio.opus import OpusBank
from softswitch.media import messages as m
from softswitch.media.engine.engine import Engine
from softswitch.media.rtp.batch import Rows
from softswitch.media.rtp.plane import RtpPlane
from softswitch.media.rtp.secure import SrtpPair
from softswitch.media.rtp.transcode import ROUGH
from softswitch.rtp import rtcp
from tests.media.rtp.carrying import carried
from tests.media.rtp.rtp_pair import parameters, voice
from tests.rtp.wire import packet
from tests.support.compiled import compiled_code
from tests.support.icmp import bound

TICKS = 120
"""Ticks until the sockets of steady sources are connected."""
PROFILE = "AEAD_AES_128_GCM"
NEAR, FAR = bytes(range(28)), bytes(range(1, 29))
TYPES = {"PCMU": 0, "PCMA": 8, "G722": 9, "opus": 111}
CHECK = b"\x00\x01\x00\x00" + bytes(16)
"""What browsers send beside media."""
RUBBISH = b"\x81" * 40
"""Looks like media, and has no key."""


@cache
def sound(codec: str, seed: int) -> list[bytes]:
    """Return the payloads of five seconds of sound."""
    said = voice(5.0, seed=seed)
    if codec == "G722":
        return [random.Random(seed).randbytes(160) for _ in said]
    if codec != "opus":
        return [encode(ENCODING[codec], frame[::3]).tobytes() for frame in said]
    bank, slot = OpusBank(slots=1), np.zeros(1, np.intp)
    made = [bank.encode(frame[None], slot) for frame in said]
    return [row[0, : int(octets[0])].tobytes() for row, octets in made]


class Party:
    """A telephone, or a browser with SRTP, of one call with another party."""

    def __init__(self, port: int, codec: str, *, is_browser: bool) -> None:
        self.port, self.codec = port, codec
        self.socket, near = bound(socket.AF_INET), bound(socket.AF_INET)
        self.near = near.getsockname()
        self.fd = near.detach()
        self.keys = SrtpPair(NEAR, FAR, PROFILE) if is_browser else None
        self.sound = sound(codec, port)

    def message(self) -> m.Message:
        address = self.socket.getsockname()
        if self.keys is None:
            return m.ConnectPlain(self.port, self.fd, *address)
        return m.ConnectSecure(
            self.port,
            FAR,
            NEAR,
            PROFILE,
            fd=self.fd,
            remote_host=address[0],
            remote_port=address[1],
            reads=True,
        )

    def media(self, number: int, **fields) -> bytes:
        """Return the packet of a number, in plain."""
        step = 960 if self.codec == "opus" else 160
        sound = fields.pop("payload", self.sound[number % len(self.sound)])
        fields = {"payload_type": TYPES[self.codec], "ssrc": 100 + self.port} | fields
        return packet(number, step * number, sound, **fields)

    def report(self) -> bytes:
        return rtcp.ReceiverReport(100 + self.port).to_bytes()

    def send(self, *plain: bytes) -> None:
        for data in plain:
            keyed = self.keys is not None and data[:1] and data[0] >> 6 == 2 and data != RUBBISH
            self.socket.sendto(self.keys.protect(data) if keyed and self.keys else data, self.near)

    def heard(self) -> list[bytes]:
        """Return the media that have come, as they came and decrypted."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                data = self.socket.recv(2000)
                if data[0] >> 6 == 2 and not 192 <= data[1] <= 223:
                    plain = data if self.keys is None else self.keys.unprotect(data)
                    # A number that is sent twice is refused.
                    found.append(plain if isinstance(plain, bytes) else plain.encode())
        return found


class Calls:
    """An engine with calls of two parties each."""

    def __init__(
        self, *kinds: tuple[str, str], compiled: bool, browsers: tuple[str, ...] = ("opus",)
    ) -> None:
        """Begin the calls."""
        self.engine = Engine()
        if not compiled:
            self.engine._passes = None
        names = [name for pair in kinds for name in pair]
        self.parties = [
            Party(port, name, is_browser=name in browsers) for port, name in enumerate(names, start=1)
        ]
        for index, party in enumerate(self.parties):
            self.engine.post(
                m.AddRtpPort(party.port, 1 + index // 2, parameters(party.codec, ssrc=party.port))
            )
            self.engine.post(party.message())
        self.number = 0
        self.strays: list[bytes] = []

    def warm_up(self, now: float) -> None:
        """Let all parties send, and 20 ms go by."""
        for party in self.parties:
            party.send(party.media(self.number))
        self.number += 1
        self.engine.tick(now)

    def carry(self) -> None:
        """Let what was sent be carried."""
        self.strays += [data for _, data, _ in carried(self.engine).strays]

    def figures(self) -> tuple[object, ...]:
        plane = self.engine._parts.plane
        assert isinstance(plane, RtpPlane)
        counts = [
            {name: value for name, value in plane.statistics(slot).items() if name.startswith("packets")}
            for slot in range(len(self.parties))
        ]
        transcoder = plane._relay.transcoder
        own = {key: value for key, value in self.engine.counters.items() if not key.startswith("tick")}
        return counts, dict(plane.counters), own, transcoder.last.tolist(), transcoder.faults()

    def close(self) -> None:
        self.engine.stop()
        for party in self.parties:
            party.socket.close()


@pytest.fixture
def make():
    compiled_code()
    with contextlib.ExitStack() as calls:

        def made(*kinds: tuple[str, str], **options) -> tuple[Calls, Calls]:
            both = Calls(*kinds, compiled=True, **options), Calls(*kinds, compiled=False, **options)
            for one in both:
                calls.callback(one.close)
            for ahead in range(TICKS, 0, -1):
                # The same for both, and up to now, which compiled code looks up itself.
                now = time.monotonic() - ahead * 0.02
                for one in both:
                    one.warm_up(now)
            for one in both:
                assert all(party.heard() for party in one.parties)
                assert one.engine.relaying == len(one.parties)
            return both

        yield made


def exchange(compiled: Calls, python: Calls, packets: int) -> None:
    """Send so many packets from every party; both ways make the same of them."""
    for _ in range(packets):
        for calls in (compiled, python):
            for party in calls.parties:
                party.send(party.media(calls.number))
            calls.carry()
            calls.number += 1
    for one, other in zip(compiled.parties, python.parties, strict=True):
        heard = one.heard()
        assert len(heard) == packets
        assert heard == other.heard()
    assert compiled.figures() == python.figures()


KINDS = [("opus", "PCMU"), ("opus", "PCMA"), ("PCMA", "PCMU"), ("opus", "opus"), ("PCMU", "PCMU")]


def test_ordinary_packets_are_converted_without_python(make, monkeypatch: pytest.MonkeyPatch):
    compiled, python = make(*KINDS)
    plane, transports = compiled.engine._parts.plane, compiled.engine._parts.transports
    assert isinstance(plane, RtpPlane)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("Python has carried a packet")

    for part, name in ((plane, "receive"), (transports, "send"), (plane._relay.transcoder, "decoder")):
        monkeypatch.setattr(part, name, fail)
    exchange(compiled, python, 12)
    assert plane.counters["transcoded"] >= 6 * 12


def arriving(chance: random.Random, number: int, party: Party, held: list[bytes]) -> list[bytes]:
    """Return what a bad network and a lively party make of one packet; `held` comes with a later one."""
    media, dice = party.media(number), chance.random()
    if dice < 0.08:
        return []
    if dice < 0.14:
        held.append(media)
        return []
    found = [media]
    if held and dice < 0.5:
        found.append(held.pop())
    if dice > 0.95:
        found.append(media)
    elif dice > 0.9:
        found.append(party.media(number, payload=b"\x05\x0a\x00\xa0", payload_type=101))
    elif dice > 0.88:
        found.insert(0, party.report())
    elif dice > 0.85:
        found.insert(0, CHECK)
    elif dice > 0.82:
        found = [party.media(number, payload=b"")]
    elif dice > 0.8:
        found.insert(0, RUBBISH)
    elif dice > 0.78:
        found = [party.media(number, marker=True)]
    elif dice > 0.77:
        found.append(b"")
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_bad_network_is_heard_as_through_python(make, seed):
    both = make(*KINDS, ("opus", "G722"))
    chance = random.Random(seed)
    held: dict[int, list[bytes]] = {party.port: [] for party in both[0].parties}
    begun, first = time.monotonic(), both[0].number
    for _ in range(60):
        # Numbers keep up with the clock, which compiled code looks up itself: where packets come a second
        # late, the time of their arrival goes into timestamps.
        number = max(both[0].number, first + int((time.monotonic() - begun) / 0.02))
        for calls in both:
            calls.number = number
        # Both get the same, in plain: each has sessions of its own.
        sent = [arriving(chance, both[0].number, party, held[party.port]) for party in both[0].parties]
        for calls in both:
            for party, some in zip(calls.parties, sent, strict=True):
                party.send(*some)
            calls.carry()
            calls.number += 1
    for calls in both:
        calls.carry()
        calls.carry()
    compiled, python = both
    for one, other in zip(compiled.parties, python.parties, strict=True):
        assert [data.hex() for data in one.heard()] == [data.hex() for data in other.heard()]
    assert compiled.figures() == python.figures()
    assert sorted(compiled.strays) == sorted(python.strays)
    assert CHECK in python.strays


def test_first_packet_after_the_mix_is_smoothed(make):
    compiled, _ = make(("opus", "PCMU"), ("PCMU", "PCMU"))
    transcoder = compiled.engine._parts.plane._relay.transcoder
    assert not transcoder.rough.any()
    for target in (1, 3):
        transcoder.rough[target] = ROUGH
        compiled.engine._parts.plane._relay._first[target] = 8000.0
    for party in compiled.parties:
        party.send(party.media(compiled.number))
    compiled.carry()
    assert not transcoder.rough.any()
    for party in compiled.parties[1::2]:
        (heard,) = party.heard()
        # 8000 in PCMU, less what the segments round.
        assert heard[12] == encode(ENCODING["PCMU"], np.array([8000.0], np.float32))[0]


def test_step_towards_converted_packets_keeps_no_others_back(make, monkeypatch: pytest.MonkeyPatch):
    compiled, _ = make(("opus", "opus"), ("opus", "PCMU"))
    relay = compiled.engine._parts.plane._relay
    # As after a change from the mix: none of the packets of the browsers' call is ever converted.
    for source, target in ((0, 1), (1, 0), (3, 2)):
        relay.transcoder.begin(source, target, 1000.0)
    taken: list[list[int]] = []
    receive = compiled.engine._parts.plane.receive

    def counted(rows, lengths, slots, now):
        taken[-1].extend(slots.tolist())
        receive(rows, lengths, slots, now)

    monkeypatch.setattr(compiled.engine._parts.plane, "receive", counted)
    for _ in range(4):
        taken.append([])
        for party in compiled.parties:
            party.send(party.media(compiled.number))
        compiled.carry()
        compiled.number += 1
    # The one that is converted is prepared anew, and its first packet smoothed, by Python.
    assert 3 in taken[0]
    assert taken[2:] == [[], []]
    assert [len(party.heard()) for party in compiled.parties] == [4, 4, 4, 4]


def test_more_comes_than_there_are_rows(make):
    both = make(("opus", "PCMU"), ("opus", "opus"))
    for count in (3, 1):
        ice = both[0].engine._parts.transports._reception._ice
        ice._rows = Rows(count)
        ice._note()
        for calls in both:
            for party in calls.parties:
                party.send(party.media(calls.number), *([CHECK] if party.port == 1 else []))
            calls.carry()
            calls.carry()
            calls.number += 1
    for one, other in zip(*(calls.parties for calls in both), strict=True):
        heard = one.heard()
        assert len(heard) == 2
        assert heard == other.heard()
    assert both[0].strays == both[1].strays == [CHECK, CHECK]
    assert both[0].figures() == both[1].figures()


def test_codecs_that_python_converts_are_left_to_it(make):
    compiled, python = make(("opus", "G722"), ("opus", "PCMU"))
    exchange(compiled, python, 3)
