"""Sockets of ICE read by compiled code against those read by Python: the same traffic, the same result."""

import contextlib
import random
import socket
from collections import Counter

import pytest

from softswitch.media.rtp.drain import Reception
from softswitch.media.rtp.ice_batch import IceBatch
from softswitch.media.rtp.link import Link, new_inbox
from softswitch.media.rtp.secure import SrtpPair
from softswitch.media.rtp.secure_batch import SecureBatch
from softswitch.media.rtp.sockets import MediaSocket
from tests.rtp.wire import packet
from tests.support.compiled import compiled_code
from tests.support.icmp import bound, closed_port

PROFILE = "AEAD_AES_128_GCM"
KEY, OTHER = bytes(range(28)), bytes(range(1, 29))
RTCP = b"\x80\xc9\x00\x01" + bytes(12)
FAMILIES = [socket.AF_INET, socket.AF_INET6]


@pytest.fixture
def code():
    return compiled_code()


class Side:
    """A reception with sockets of ICE, each with keys and a remote party, and what came of it."""

    def __init__(self, family, code, count, *, compiled: bool) -> None:
        self.refused: Counter[tuple[int, str]] = Counter()
        self.ice = IceBatch(code) if compiled else None
        self.reception = Reception(
            lambda link, counter, number: self.refused.update({(link.port, counter): number}),
            secure=SecureBatch(code),
            ice=self.ice,
        )
        self.links: list[Link] = []
        self.far = [bound(family) for _ in range(count)]
        self.stranger = bound(family)
        self.taken: dict[int, list[bytes]] = {slot: [] for slot in range(count)}
        self.strays: list[tuple[int, bytes, str]] = []
        for slot, far in enumerate(self.far):
            link = Link(slot + 100, slot, new_inbox(), is_connected=True, is_shared=True)
            link.socket = MediaSocket(bound(family).detach(), *far.getsockname()[:2])
            link.keys = SrtpPair(KEY, OTHER, PROFILE)
            # One in three has other keys for its reports.
            link.control_keys = SrtpPair(OTHER, KEY, PROFILE) if slot % 3 == 0 else None
            self.links.append(link)
            self.reception.join(link)

    def send(self, slot: int, data: bytes, *, strange: bool = False) -> None:
        socket_of = self.links[slot].socket
        assert socket_of is not None
        (self.stranger if strange else self.far[slot]).sendto(data, socket_of.udp.getsockname())

    def drain(self, now: float, *, relayed_only: bool = False) -> int:
        """Take what has come; return the number of packets."""
        count = 0
        for rows, lengths, slots in self.reception.drain(now, relayed_only=relayed_only):
            for row, length, slot in zip(rows, lengths.tolist(), slots.tolist(), strict=True):
                self.taken[slot].append(row[:length].tobytes())
                count += 1
        names = {far.getsockname()[:2]: str(slot) for slot, far in enumerate(self.far)}
        names[self.stranger.getsockname()[:2]] = "stranger"
        self.strays += [(port, data, names[source]) for port, data, source in self.reception.take_strays()]
        return count

    def close(self) -> None:
        for link in self.links:
            self.reception.leave(link)
            assert link.socket is not None
            link.socket.close()
        self.reception.close()
        for far in (*self.far, self.stranger):
            far.close()


@pytest.fixture
def make(code):
    with contextlib.ExitStack() as open_sides:

        def sides(family, count) -> tuple[Side, Side]:
            both = Side(family, code, count, compiled=True), Side(family, code, count, compiled=False)
            for side in both:
                open_sides.callback(side.close)
            return both

        yield sides


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_read_is_what_python_reads(make, family):
    sides, chance = make(family, 7), random.Random(3)
    remote = [SrtpPair(OTHER, KEY, PROFILE) for _ in range(7)]
    control = [SrtpPair(KEY, OTHER, PROFILE) for _ in range(7)]
    others = [b"", b"\x00\x01 a check", b"\x16 a handshake", b"\x80", bytes((0x80, 0)) + bytes(1499)]
    for number in range(200):
        for slot in range(7):
            media = remote[slot].protect(packet(number, payload=chance.randbytes(chance.randrange(900))))
            some = [media] * (2 if chance.random() < 0.05 else 1)
            if chance.random() < 0.2:
                some.append((control if slot % 3 == 0 else remote)[slot].protect(RTCP + bytes([number])))
            if chance.random() < 0.1:
                some.append(media[:-1] + bytes([media[-1] ^ 1]))
            if chance.random() < 0.1:
                some.append(chance.choice(others))
            strange = chance.random() < 0.05
            for side in sides:
                for data in some:
                    side.send(slot, data, strange=strange)
        if chance.random() < 0.7:
            for side in sides:
                side.drain(1.0)
    for side in sides:
        while side.drain(1.0):
            pass
    compiled, python = sides
    assert compiled.taken == python.taken
    assert compiled.refused == python.refused
    assert {counter for _, counter in python.refused} == {"srtp_errors", "srtp_replays", "odd_datagrams"}
    assert sorted(compiled.strays) == sorted(python.strays)
    assert len(python.strays) > 50


def test_sockets_of_ice_of_relayed_ports_are_read_alone(make):
    for side in make(socket.AF_INET, 3):
        side.reception.relay(side.links[1], relayed=True)
        peer = SrtpPair(OTHER, KEY, PROFILE)
        for slot in range(3):
            side.send(slot, peer.protect(packet(slot)))
        assert side.drain(1.0, relayed_only=True) == 1
        assert side.taken[1] == [packet(1)]
        assert side.drain(1.0) == 2


def test_more_than_there_are_rows_is_read_at_once(make):
    compiled, _ = make(socket.AF_INET, 40)
    peers = [SrtpPair(OTHER, KEY, PROFILE) for _ in range(40)]
    for number in range(10):
        for slot, peer in enumerate(peers):
            compiled.send(slot, peer.protect(packet(number)))
    assert compiled.drain(1.0) == 400
    assert all(taken == [packet(number) for number in range(10)] for taken in compiled.taken.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_one_socket_gives_sixteen_datagrams_at_most(make, family):
    for side in make(family, 1):
        peer = SrtpPair(OTHER, KEY, PROFILE)
        for number in range(20):
            side.send(0, peer.protect(packet(number)))
        assert [side.drain(1.0), side.drain(1.0)] == [16, 4]


def test_socket_with_keys_that_compiled_code_cannot_use_is_read_by_python(make):
    compiled, _ = make(socket.AF_INET, 2)
    link = compiled.links[1]
    compiled.reception.leave(link)
    link.keys.inbound_at = 0
    compiled.reception.join(link)
    peers = [SrtpPair(OTHER, KEY, PROFILE) for _ in range(2)]
    for slot, peer in enumerate(peers):
        for number in range(3):
            compiled.send(slot, peer.protect(packet(number)))
    assert compiled.drain(1.0) == 6
    assert compiled.taken[0] == compiled.taken[1]


def test_tables_grow_with_slots_and_descriptors(code):
    ice = IceBatch(code)
    far = bound(socket.AF_INET)
    near = MediaSocket(bound(socket.AF_INET).detach(), *far.getsockname()[:2])
    link = Link(1, 900, new_inbox(), socket=near, keys=SrtpPair(KEY, OTHER, PROFILE), is_shared=True)
    ice.add(link)
    assert ice.link(900) is link
    ice.remove(near)
    with pytest.raises(KeyError):
        ice.link(900)
    near.close()
    far.close()


def test_errors_of_sockets_are_counted(make):
    compiled, python = make(socket.AF_INET, 1)
    for side in (compiled, python):
        near = side.links[0].socket.udp
        with closed_port(socket.AF_INET) as closed:
            near.connect(closed)
            with contextlib.suppress(OSError):
                near.send(b"x")
        assert side.drain(1.0) == 0
    assert compiled.refused == python.refused == Counter({(100, "receive_errors"): 1})
