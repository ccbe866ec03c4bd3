"""What comes to many ports at once."""

import socket

import numpy as np
import pytest

from softswitch.media.link import Link, new_inbox
from softswitch.media.reception import Reception
from softswitch.media.sockets import MediaSocket


class Desk:
    """A reception with links whose far ends are in the test's hands."""

    def __init__(self) -> None:
        self.refused: list[tuple[int, str]] = []
        self.reception = Reception(lambda link, counter: self.refused.append((link.port, counter)))
        self.links: list[Link] = []
        self.far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.far.bind(("127.0.0.1", 0))

    def open(self, *, polled: bool = True, control: bool = False) -> Link:
        slot = len(self.links)
        link = Link(slot + 100, slot, new_inbox(), is_connected=True, is_polled=polled)
        if polled:
            link.socket = self.near()
        if control:
            link.control = self.near()
        self.links.append(link)
        self.reception.join(link)
        return link

    def near(self) -> MediaSocket:
        near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        near.bind(("127.0.0.1", 0))
        return MediaSocket(near.detach(), *self.far.getsockname())

    def send(self, link: Link, data: bytes) -> None:
        if link.is_polled:
            assert link.socket
            self.far.sendto(data, link.socket.udp.getsockname())
        else:
            link.inbox.append(data)

    def drain(self, *, hurrying: bool = False) -> list[tuple[int, bytes]]:
        """Return (slot, datagram) of what has come."""
        return [
            (int(slot), row[:length].tobytes())
            for rows, lengths, slots in self.reception.drain(1.0, hurrying=hurrying)
            for row, length, slot in zip(rows, lengths, slots, strict=True)
        ]

    def close(self) -> None:
        for link in self.links:
            self.reception.leave(link)
            for member in (link.socket, link.control):
                if member is not None:
                    member.close()
        self.reception.close()
        self.far.close()


@pytest.fixture
def desk():
    desk = Desk()
    yield desk
    desk.close()


def test_more_than_there_are_rows_is_taken_at_once(desk):
    links = [desk.open() for _ in range(150)]
    for turn in range(4):
        for link in links:
            desk.send(link, bytes((turn, link.slot)) * 10)
    taken = desk.drain()
    assert len(taken) == 600
    for link in links:
        mine = [data for slot, data in taken if slot == link.slot]
        assert mine == [bytes((turn, link.slot)) * 10 for turn in range(4)]
    assert desk.drain() == []


@pytest.mark.parametrize("polled", [True, False])
def test_only_what_is_in_a_hurry_is_taken_when_asked(desk, polled):
    one, other = desk.open(polled=polled), desk.open(polled=polled)
    desk.reception.relay(one, relayed=True)
    desk.send(one, b"first")
    desk.send(other, b"second")
    assert desk.drain(hurrying=True) == [(one.slot, b"first")]
    assert desk.drain() == [(other.slot, b"second")]
    desk.reception.relay(one, relayed=False)
    desk.send(one, b"third")
    assert desk.drain(hurrying=True) == []
    assert desk.drain() == [(one.slot, b"third")]


def test_rtcp_is_never_in_a_hurry(desk):
    link = desk.open(control=True)
    desk.reception.relay(link, relayed=True)
    desk.far.sendto(bytes((0x80, 200)) + bytes(10), link.control.udp.getsockname())
    assert desk.drain(hurrying=True) == []
    assert len(desk.drain()) == 1


def test_link_that_left_is_not_drained(desk):
    link = desk.open()
    desk.send(link, b"x")
    desk.reception.leave(link)
    desk.reception.leave(link)
    assert desk.drain() == []
    desk.reception.join(link)
    assert desk.drain() == [(0, b"x")]


def test_refusals_name_their_reason(desk):
    link = desk.open()
    desk.send(link, b"")
    desk.send(link, bytes(1501))
    desk.send(link, b"good")
    assert desk.drain() == [(0, b"good")]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.3", 0))
        stranger.sendto(b"bad", link.socket.udp.getsockname())
    assert desk.drain() == []
    assert desk.refused == [(100, "odd_datagrams")] * 2 + [(100, "rejected_sources")]


def test_delivered_datagrams_of_different_lengths_share_their_rows(desk):
    one, other = desk.open(polled=False), desk.open(polled=False)
    desk.send(one, b"ab")
    desk.send(other, bytes(range(200)))
    [(rows, lengths, slots)] = desk.reception.drain(1.0, hurrying=False)
    assert rows.shape == (2, 200)
    assert rows.flags.writeable
    assert (lengths.tolist(), slots.tolist()) == ([2, 200], [0, 1])
    assert np.array_equal(rows[1], np.arange(200))
