"""Sockets of RTP ports: the source they accept, and when they are connected to it."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from softswitch.media.rtp.batch import Batch
from softswitch.media.rtp.drain import Reception
from softswitch.media.rtp.link import Link, new_inbox
from softswitch.media.rtp.sockets import (
    CONNECT_AFTER_S,
    LEARNING_S,
    RELATCH_S,
    SILENCE_S,
    MediaSocket,
    Source,
)
from tests.media.rtp.batches import each_batch
from tests.support.icmp import bound

FAMILIES = (socket.AF_INET, socket.AF_INET6)
TICK_S = 0.02


class Harness:
    """One link with a socket, its remote party, and simulated time."""

    def __init__(
        self,
        family: socket.AddressFamily,
        signalled: socket.socket | None = None,
        batch: Batch | None = None,
    ) -> None:
        self.phone = bound(family)
        near = bound(family)
        self.duplicate = os.dup(near.fileno())
        self.address = near.getsockname()
        self.near = MediaSocket(near.detach(), *(signalled or self.phone).getsockname()[:2])
        self.refused: dict[str, int] = {}
        self.reception = Reception(self._refuse, batch)
        self.link = Link(7, 3, new_inbox(), socket=self.near, is_connected=True, is_polled=True)
        self.reception.join(self.link)
        self.now = 1000.0

    def tick(self, *, sends: bytes = b"sound") -> list[bytes]:
        """Let the remote party send, read what has come, and let 20 ms pass."""
        if sends:
            self.phone.sendto(sends, self.address)
        taken = [
            row[:length].tobytes()
            for rows, lengths, _ in self.reception.drain(self.now, relayed_only=False)
            for row, length in zip(rows, lengths, strict=True)
        ]
        self.now += TICK_S
        return taken

    def talk(self, seconds: float) -> None:
        """Let the remote party send a packet every 20 ms, each of which has to be taken."""
        for _ in range(round(seconds / TICK_S)):
            assert self.tick() == [b"sound"]

    def fall_silent(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK_S)):
            assert self.tick(sends=b"") == []

    def close(self) -> None:
        self.reception.leave(self.link)
        self.near.close()
        self.reception.close()
        self.phone.close()
        os.close(self.duplicate)

    def _refuse(self, _link: Link, counter: str, count: int) -> None:
        self.refused[counter] = self.refused.get(counter, 0) + count


@pytest.fixture(params=each_batch())
def batch(request):
    return request.param


@pytest.fixture(params=FAMILIES, ids=["IPv4", "IPv6"])
def harness(request: pytest.FixtureRequest, batch: Batch) -> Iterator[Harness]:
    made = Harness(request.param, batch=batch)
    yield made
    made.close()


@pytest.fixture
def connected(harness: Harness) -> Harness:
    # From LEARNING_S on, another port of the same host may take over after a silence.
    harness.talk(LEARNING_S + 0.5)
    assert harness.near.is_filtered
    return harness


SDP, SAME_HOST, OTHER = ("10.0.0.1", 4000), ("10.0.0.1", 5000), ("10.9.9.9", 4000)


def test_source_learns_the_best_within_three_seconds():
    source = Source(SDP)
    assert source.target == SDP
    assert source.accept(OTHER, 0.0)
    assert source.target == OTHER
    assert source.accept(SAME_HOST, 1.0)
    assert not source.accept(OTHER, 1.1)
    assert source.accept(SDP, 2.0)
    assert not source.accept(SAME_HOST, 2.1)
    assert source.target == SDP
    assert source.rejected == 2


def test_source_is_strict_afterwards_and_follows_only_the_same_host():
    source = Source(SDP)
    assert source.accept(OTHER, 0.0)
    assert source.accept(OTHER, 3.5)
    assert not source.accept(SDP, 3.6)
    moved = (OTHER[0], 6000)
    assert not source.accept(moved, 3.7)
    assert source.accept(moved, 4.5)
    assert source.target == moved


def test_settled_is_a_source_that_no_other_may_replace():
    source = Source(SDP)
    assert not source.is_settled(0.0)
    source.accept(SAME_HOST, 1.0)
    assert not source.is_settled(1.0 + LEARNING_S - 0.1)
    assert source.is_settled(1.0 + LEARNING_S)
    source.accept(SDP, 1.5)
    assert source.is_settled(1.5)


def test_steady_source_is_connected_and_carries_on(harness):
    harness.talk(CONNECT_AFTER_S - 0.2)
    assert not harness.near.is_connected
    harness.talk(0.5)
    assert harness.near.is_connected
    harness.talk(0.3)
    assert harness.near.is_filtered
    harness.talk(1.0)
    assert harness.near.send(b"reply")
    assert harness.phone.recv(100) == b"reply"
    assert harness.refused == {}


def test_source_at_another_address_than_signalled_is_connected_after_the_learning_time():
    with bound() as signalled:
        harness = Harness(socket.AF_INET, signalled)
        harness.talk(LEARNING_S - 0.2)
        was_connected = harness.near.is_connected
        harness.talk(0.5)
        assert (was_connected, harness.near.is_connected) == (False, True)
        harness.close()


def test_datagram_queued_before_from_another_address_is_refused(harness):
    harness.talk(0.2)
    with bound(harness.phone.family) as stranger:
        stranger.sendto(b"forged", harness.address)
        harness.near._connect_to_source(harness.now)
        harness.near.confirm()
        assert harness.near.is_connected
        assert not harness.near.is_filtered
        assert harness.tick() == [b"sound"]
        assert harness.refused == {"rejected_sources": 1}
        harness.near.confirm()
        assert harness.near.is_filtered
        stranger.sendto(b"forged", harness.address)
        assert harness.tick() == [b"sound"]


def test_source_that_moves_to_another_port_is_followed(connected):
    harness, before = connected, connected.phone
    harness.phone = bound(before.family)
    harness.fall_silent(SILENCE_S + 0.14)
    assert not harness.near.is_connected
    for _ in range(round(RELATCH_S / TICK_S)):
        if harness.tick(sends=b"moved"):
            break
    assert harness.tick(sends=b"moved") == [b"moved"]
    assert harness.near.send(b"reply")
    assert harness.phone.recv(100) == b"reply"
    harness.talk(CONNECT_AFTER_S + 0.5)
    assert harness.near.is_filtered
    before.close()


def test_pauses_do_not_keep_a_source_from_being_heard(connected):
    for _ in range(5):
        connected.fall_silent(0.2)
        connected.talk(0.2)
    assert not connected.near.is_connected
    connected.talk(CONNECT_AFTER_S + 0.5)
    assert connected.near.is_filtered


def test_packet_after_an_icmp_error_is_sent_all_the_same(connected):
    address = connected.phone.getsockname()
    connected.phone.close()
    assert connected.near.send(b"lost")
    connected.phone = bound(connected.near.udp.family, address[1])
    assert connected.near.send(b"kept")
    assert connected.phone.recv(100) == b"kept"


def test_icmp_error_of_a_connected_socket_is_counted_and_over(connected):
    address = connected.phone.getsockname()
    connected.phone.close()
    assert connected.near.send(b"lost")
    connected.phone = bound(connected.near.udp.family, address[1])
    assert connected.tick(sends=b"") == []
    assert connected.refused == {"receive_errors": 1}
    connected.talk(0.1)
    assert connected.refused == {"receive_errors": 1}


def test_closing_leaves_duplicates_open_to_any_address(connected):
    connected.reception.leave(connected.link)
    connected.near.close()
    with bound(connected.phone.family) as other:
        again = MediaSocket(os.dup(connected.duplicate), *other.getsockname()[:2])
        other.sendto(b"new call", connected.address)
        assert again.udp.recv(100) == b"new call"
        assert again.udp.getsockname() == connected.address
        again.close()


def test_refusal_to_disconnect_is_counted_once_a_review(connected, monkeypatch):
    monkeypatch.setattr("softswitch.media.rtp.sockets._connect", lambda *_: -1)
    connected.fall_silent(0.24)
    assert connected.near.is_connected
    assert connected.refused.keys() == {"receive_errors"}
    connected.talk(0.2)


def test_socket_of_rtcp_is_never_connected():
    harness = Harness(socket.AF_INET)
    with bound() as far:
        harness.reception.leave(harness.link)
        harness.link.control = MediaSocket(bound().detach(), *far.getsockname())
        harness.reception.join(harness.link)
        for _ in range(round(2 * CONNECT_AFTER_S / TICK_S)):
            far.sendto(bytes((0x80, 201, 0, 1)) + bytes(4), harness.link.control.udp.getsockname())
            harness.tick()
        assert harness.near.is_filtered
        assert not harness.link.control.is_connected
        harness.reception.leave(harness.link)
        harness.link.control.close()
    harness.close()


class Phone(asyncio.DatagramProtocol):
    """A remote party on the loop of the test."""

    def __init__(self) -> None:
        self.replies: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, _addr: object) -> None:
        self.replies.put_nowait(data)


@pytest.mark.each_loop
async def test_remote_party_on_a_loop_is_followed_to_its_new_port(batch):
    loop = asyncio.get_running_loop()
    harness = Harness(socket.AF_INET, batch=batch)
    harness.phone.close()

    async def take(transport: asyncio.DatagramTransport) -> bool:
        """Send a packet, wait until it lies in the socket, and tick; False if it was not accepted."""
        transport.sendto(b"sound", harness.address)
        readable = asyncio.Event()
        loop.add_reader(harness.duplicate, readable.set)
        await asyncio.wait_for(readable.wait(), 5)
        loop.remove_reader(harness.duplicate)
        return harness.tick(sends=b"") == [b"sound"]

    address = harness.near.source.signalled
    with contextlib.ExitStack() as closing:
        closing.callback(harness.close)
        await _talk_and_move(harness, address, take, closing)


async def _talk_and_move(harness, address, take, closing) -> None:
    loop = asyncio.get_running_loop()
    transport, phone = await loop.create_datagram_endpoint(Phone, local_addr=address)
    closing.callback(transport.close)
    for _ in range(round((LEARNING_S + 0.5) / TICK_S)):
        assert await take(transport)
    assert harness.near.is_filtered
    assert harness.near.send(b"reply")
    assert await asyncio.wait_for(phone.replies.get(), 5) == b"reply"
    transport.close()
    harness.fall_silent(RELATCH_S + 0.1)
    transport, phone = await loop.create_datagram_endpoint(Phone, local_addr=("127.0.0.1", 0))
    closing.callback(transport.close)
    assert await take(transport)
    assert harness.near.send(b"moved")
    assert await asyncio.wait_for(phone.replies.get(), 5) == b"moved"
