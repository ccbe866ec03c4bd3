"""Reception: datagrams of many ports, read at once."""

import contextlib
import socket
import time

import numpy as np
import pytest

from softswitch.legs.datagrams.icmp import ask_for_errors
from softswitch.media.rtp import drain
from softswitch.media.rtp.batch import Batch
from softswitch.media.rtp.drain import Reception
from softswitch.media.rtp.link import Link, new_inbox
from softswitch.media.rtp.sockets import MediaSocket
from tests.media.rtp.batches import each_batch
from tests.support.icmp import bound, closed_port


class Harness:
    """A reception with links whose remote parties the test plays."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET, batch: Batch | None = None) -> None:
        self.family = family
        self.refused: list[tuple[int, str]] = []
        self.reception = Reception(
            lambda link, counter, count: self.refused.extend([(link.port, counter)] * count),
            batch,
        )
        self.links: list[Link] = []
        self.now = 1.0
        self.far = bound(family)

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
        return MediaSocket(bound(self.family).detach(), *self.far.getsockname()[:2])

    def send(self, link: Link, data: bytes) -> None:
        if link.is_polled:
            assert link.socket
            self.far.sendto(data, link.socket.udp.getsockname())
        else:
            link.inbox.append(data)

    def drain(self, *, relayed_only: bool = False, now: float = 1.0) -> list[tuple[int, bytes]]:
        """Return (slot, datagram) of what has come."""
        return [
            (int(slot), row[:length].tobytes())
            for rows, lengths, slots in self.reception.drain(now, relayed_only=relayed_only)
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
def make_harness():
    with contextlib.ExitStack() as harnesses:

        def make(family: socket.AddressFamily, batch: Batch | None = None) -> Harness:
            harness = Harness(family, batch)
            harnesses.callback(harness.close)
            return harness

        yield make


@pytest.fixture
def harness(make_harness):
    return make_harness(socket.AF_INET)


def test_more_than_there_are_rows_is_taken_at_once(harness):
    links = [harness.open() for _ in range(150)]
    for turn in range(4):
        for link in links:
            harness.send(link, bytes((turn, link.slot)) * 10)
    taken = harness.drain()
    assert len(taken) == 600
    for link in links:
        mine = [data for slot, data in taken if slot == link.slot]
        assert mine == [bytes((turn, link.slot)) * 10 for turn in range(4)]
    assert harness.drain() == []


@pytest.mark.parametrize("polled", [True, False])
def test_only_what_is_in_a_hurry_is_taken_when_asked(harness, polled):
    one, other = harness.open(polled=polled), harness.open(polled=polled)
    harness.reception.relay(one, relayed=True)
    harness.send(one, b"first")
    harness.send(other, b"second")
    assert harness.drain(relayed_only=True) == [(one.slot, b"first")]
    assert harness.drain() == [(other.slot, b"second")]
    harness.reception.relay(one, relayed=False)
    harness.send(one, b"third")
    assert harness.drain(relayed_only=True) == []
    assert harness.drain() == [(one.slot, b"third")]


def test_rtcp_is_never_in_a_hurry(harness):
    link = harness.open(control=True)
    harness.reception.relay(link, relayed=True)
    harness.far.sendto(bytes((0x80, 200)) + bytes(10), link.control.udp.getsockname())
    assert harness.drain(relayed_only=True) == []
    assert len(harness.drain()) == 1


def test_link_that_left_is_not_drained(harness):
    link = harness.open()
    harness.send(link, b"x")
    harness.reception.leave(link)
    harness.reception.leave(link)
    assert harness.drain() == []
    harness.reception.join(link)
    assert harness.drain() == [(0, b"x")]


def test_refusals_name_their_reason(harness):
    link = harness.open()
    harness.send(link, b"")
    harness.send(link, bytes(1501))
    harness.send(link, b"good")
    assert harness.drain() == [(0, b"good")]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.3", 0))
        stranger.sendto(b"bad", link.socket.udp.getsockname())
    assert harness.drain() == []
    assert harness.refused == [(100, "odd_datagrams")] * 2 + [(100, "rejected_sources")]


def test_delivered_datagrams_of_different_lengths_share_their_rows(harness):
    one, other = harness.open(polled=False), harness.open(polled=False)
    harness.send(one, b"ab")
    harness.send(other, bytes(range(200)))
    [(rows, lengths, slots)] = harness.reception.drain(1.0, relayed_only=False)
    assert rows.shape == (2, 200)
    assert rows.flags.writeable
    assert (lengths.tolist(), slots.tolist()) == ([2, 200], [0, 1])
    assert np.array_equal(rows[1], np.arange(200))


def is_drained(harness, expected: list[tuple[int, bytes]]) -> bool:
    """Drain for a few ticks: a read that an error spoiled costs one round."""
    taken: list[tuple[int, bytes]] = []
    for _ in range(3):
        taken += harness.drain()
    return taken == expected


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("which", ["socket", "control"])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_icmp_errors_end_no_reception(make_harness, family, which, asked, connected):
    harness = make_harness(family)
    link = harness.open(control=True)
    member = getattr(link, which)
    data = bytes((0x80, 200)) + bytes(10)
    with closed_port(family) as closed:
        if asked:
            ask_for_errors(member.udp)
        address = harness.far.getsockname()
        if connected:
            member.udp.connect(address[:2])
        for number in range(1, 6):
            if connected:
                harness.far.close()
            for _ in range(number):
                with contextlib.suppress(OSError):
                    member.udp.send(b"x") if connected else member.udp.sendto(b"x", closed)
            assert harness.drain() == []
            if connected:
                harness.far = bound(family, address[1])
            harness.far.sendto(data, member.udp.getsockname())
            assert is_drained(harness, [(link.slot, data)])


@pytest.mark.parametrize("polled", [True, False])
def test_of_what_waited_through_a_stall_the_last_is_kept_and_what_is_no_sound(harness, polled):
    link, other = harness.open(polled=polled), harness.open(polled=polled)
    harness.drain(now=1.0)
    sound = [bytes([0x80, 0, 0, index]) + bytes(168) for index in range(30)]
    key, report = bytes([0x80, 101]) + bytes(14), bytes([0x80, 200]) + bytes(80)
    for datagram in (*sound[:5], key, report, *sound[5:]):
        harness.send(link, datagram)
    harness.send(other, sound[0])
    came = harness.drain(now=2.5)
    assert [data for slot, data in came if slot == link.slot] == [key, report, *sound[-8:]]
    assert [data for slot, data in came if slot == other.slot] == [sound[0]]
    assert harness.refused == [(link.port, "stale_datagrams")] * 22
    for datagram in sound:
        harness.send(link, datagram)
    assert len(harness.drain(now=2.65)) == 16
    assert len(harness.drain(now=2.67)) == 14


@pytest.fixture(params=each_batch())
def steady(request, make_harness):
    """Three links whose remote party has sent steadily for long enough to be connected."""
    return make_steady(make_harness(socket.AF_INET, request.param), 3)


def make_steady(harness, count):
    """Let the remote party send steadily to some links, for long enough to be connected."""
    links = [harness.open(control=True) for _ in range(count)]
    for tick in range(80):
        for link in links:
            harness.send(link, b"steady")
        assert len(harness.drain(now=1.0 + tick * 0.02)) == count
    assert len(harness.reception.steady) == count
    harness.now = 1.0 + 80 * 0.02
    return harness


def test_connected_sockets_refuse_odd_datagrams_and_keep_the_rest_in_order(steady):
    one, two, three = steady.links
    for link, data in ((one, b""), (one, b"a"), (two, bytes(1501)), (three, b"c"), (one, b"b"), (two, b"d")):
        steady.send(link, data)
    came = steady.drain(now=steady.now)
    assert [data for slot, data in came if slot == one.slot] == [b"a", b"b"]
    assert sorted(came) == [(0, b"a"), (0, b"b"), (1, b"d"), (2, b"c")]
    assert sorted(steady.refused) == [(100, "odd_datagrams"), (101, "odd_datagrams")]


def test_connected_and_other_sockets_are_drained_together(steady):
    fresh = steady.open()
    for link in steady.links:
        steady.send(link, bytes((link.slot,)))
    [(rows, lengths, slots)] = steady.reception.drain(steady.now, relayed_only=False)
    assert sorted(zip(slots.tolist(), rows[:, 0].tolist(), strict=True)) == [(i, i) for i in range(4)]
    assert lengths.tolist() == [1] * 4
    assert fresh.socket not in steady.reception.steady


def test_connected_socket_of_a_relayed_link_is_drained_in_a_hurry(steady):
    one, two, _ = steady.links
    steady.reception.relay(one, relayed=True)
    steady.send(one, b"1")
    steady.send(two, b"2")
    assert steady.drain(relayed_only=True, now=steady.now) == [(0, b"1")]
    steady.reception.relay(one, relayed=False)
    steady.send(one, b"3")
    assert steady.drain(relayed_only=True, now=steady.now) == []
    assert sorted(steady.drain(now=steady.now)) == [(0, b"3"), (1, b"2")]


def test_more_than_the_rows_of_connected_sockets_is_taken_at_once(steady):
    for turn in range(16):
        for link in steady.links:
            for _ in range(8):
                steady.send(link, bytes((turn,)))
    taken: list[tuple[int, bytes]] = []
    for _ in range(8):
        taken += steady.drain(now=steady.now)
    for link in steady.links:
        assert [data[0] for slot, data in taken if slot == link.slot] == sorted(list(range(16)) * 8)
    assert steady.refused == []


def test_connected_sockets_are_thinned_out_after_a_stall(steady):
    sound = [bytes([0x80, 0, 0, index]) + bytes(168) for index in range(30)]
    for datagram in sound:
        steady.send(steady.links[0], datagram)
    came = steady.drain(now=steady.now + 1.0)
    assert [data for _, data in came] == sound[-8:]
    assert steady.refused == [(100, "stale_datagrams")] * 22
    # It was heard just now, unlike the two others.
    assert len(steady.reception.steady) == 1


def test_link_with_a_connected_socket_leaves_and_joins(steady):
    one = steady.links[0]
    steady.reception.leave(one)
    assert len(steady.reception.steady) == 2
    steady.send(one, b"x")
    assert steady.drain(now=steady.now) == []
    steady.reception.join(one)
    assert steady.drain(now=steady.now) == [(0, b"x")]
    assert one.socket.source.heard_at < steady.now


def test_stall_of_most_sources_disconnects_none_before_a_third_of_a_second(make_harness):
    harness = make_steady(make_harness(socket.AF_INET), 10)
    for later, connected in ((0.08, 10), (0.2, 10), (0.28, 10), (0.45, 0)):
        assert harness.drain(now=harness.now + later) == []
        assert len(harness.reception.steady) == connected, later


def test_silence_of_a_few_sources_disconnects_them(make_harness):
    harness = make_steady(make_harness(socket.AF_INET), 10)
    for later in (0.05, 0.1, 0.15):
        for link in harness.links[4:]:
            harness.send(link, b"x")
        harness.drain(now=harness.now + later)
    assert [link.slot for link in harness.links if link.socket not in harness.reception.steady] == [
        0,
        1,
        2,
        3,
    ]


@pytest.mark.parametrize("batch", each_batch())
def test_relayed_links_are_awaited_and_others_are_not(batch, make_harness):
    harness = make_harness(socket.AF_INET, batch)
    mixed, relayed = harness.open(), harness.open()
    harness.reception.relay(relayed, relayed=True)
    harness.send(mixed, b"\x80" + bytes(11))
    assert not harness.reception.await_relayed(0.0)
    harness.send(relayed, b"\x80" + bytes(11))
    assert harness.reception.await_relayed(10.0)
    assert [slot for slot, _ in harness.drain(relayed_only=True)] == [relayed.slot]
    assert not harness.reception.await_relayed(0.0)
    harness.reception.relay(relayed, relayed=False)
    harness.send(relayed, b"\x80" + bytes(11))
    assert not harness.reception.await_relayed(0.0)


@pytest.mark.parametrize("most", [0, 1024])
def test_waiting_for_relayed_links_ends_in_time_whatever_the_number_of_the_descriptor(
    harness, monkeypatch, most
):
    monkeypatch.setattr(drain, "_MOST_SELECTED", most)
    link = harness.open()
    harness.reception.relay(link, relayed=True)
    # Not a millisecond too long: the next tick begins then.
    for seconds in (0.0003, 0.0017):
        waits = []
        for _ in range(20):
            begun = time.monotonic()
            assert not harness.reception.await_relayed(seconds)
            waits.append(time.monotonic() - begun)
        assert min(waits) < seconds + 0.0006
    harness.send(link, b"\x80" + bytes(11))
    assert harness.reception.await_relayed(10.0)


def test_relayed_links_whose_datagrams_others_deliver_are_not_waited_for(harness):
    link = harness.open(polled=False)
    assert not harness.reception.await_relayed(0.0)
    harness.reception.relay(link, relayed=True)
    assert harness.reception.await_relayed(10.0)
