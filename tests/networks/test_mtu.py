"""Paths whose MTU is smaller than that of the switch's own network, and what comes back of them."""

import asyncio
import socket
from dataclasses import dataclass
from random import Random

import numpy as np
import pytest

from softswitch.audio.opus import OpusBank
from softswitch.legs.sip.media.rtp_sockets import RtpSockets
from softswitch.media.rtp.sockets import MediaSocket
from softswitch.sip.transaction.flow import Flow
from tests.legs.sip.transports.wires import MESSAGE, wires
from tests.networks.topology import Impairment, Namespace, Topology

SWITCH, PEER = {4: "10.1.0.1", 6: "fd00:1::1"}, {4: "10.2.0.2", 6: "fd00:2::2"}
each_version = pytest.mark.parametrize("version", [4, 6])
NARROW = {4: 1200, 6: 1280}
"""MTU of the second link; IPv6 knows no smaller one."""


@dataclass(slots=True)
class Path:
    """The switch, a router and a peer behind a narrow link."""

    switch: Namespace
    router: Namespace
    peer: Namespace


def path(topology: Topology, mtu: int, impairment: Impairment | None = None) -> Path:
    made = Path(topology.host("switch"), topology.router("router"), topology.host("peer"))
    topology.join(
        made.switch,
        made.router,
        addresses=["10.1.0.1/24", "fd00:1::1/64"],
        other_addresses=["10.1.0.254/24", "fd00:1::fe/64"],
        impairment=impairment,
    )
    versions = 2 if mtu >= NARROW[6] else 1
    topology.join(
        made.router,
        made.peer,
        addresses=["10.2.0.254/24", "fd00:2::fe/64"][:versions],
        other_addresses=["10.2.0.2/24", "fd00:2::2/64"][:versions],
        mtu=mtu,
    )
    for host, network in ((made.switch, 1), (made.peer, 2)):
        host.ip(f"route add default via 10.{network}.0.254")
        if versions == 2:
            host.ip(f"-6 route add default via fd00:{network}::fe")
    return made


@each_version
@pytest.mark.each_loop
@pytest.mark.parametrize("octets", [1190, 1400, 4000])
async def test_sip_passes_a_narrow_network_at_once(topology, version, octets):
    net = path(topology, NARROW[version])
    data = MESSAGE.ljust(octets, b"x")
    with net.switch.entered():
        there = wires(SWITCH[version])
        here = await there.__aenter__()
    try:
        with net.peer.udp(PEER[version]) as peer:
            here.send(data, Flow("udp", *peer.getsockname()[:2]))
            assert await asyncio.to_thread(peer.recv, 65536) == data
            # One that was lost on the way and went again is no failure of the peer.
            assert here.inbox.unreachable.empty()
            assert here.counters.sends_failed == 0
            assert here.counters.icmp_too_big == (1 if version == 6 and octets > 1232 else 0)
            peer.sendto(MESSAGE, (SWITCH[version], here.transports.port))
            assert (await here.inbox.message())[0] == MESSAGE
    finally:
        await there.__aexit__(None, None, None)


@each_version
@pytest.mark.each_loop
async def test_errors_that_come_late_from_the_network_are_told_and_end_no_reception(topology, version):
    # 15 ms: long after the loop has gone to sleep again.
    net = path(topology, 1500, Impairment(delay_s=0.015))
    with net.switch.entered():
        there = wires(SWITCH[version])
        here = await there.__aenter__()
    try:
        with net.peer.udp(PEER[version]) as peer:
            for number in range(1, 4):
                with net.peer.udp(PEER[version]) as caller:
                    caller.sendto(MESSAGE, (SWITCH[version], here.transports.port))
                    _, flow = await here.inbox.message()
                here.send(b"answer", flow)
                async with asyncio.timeout(60):
                    assert await here.inbox.unreachable.get() == (flow.host, flow.port)
                peer.sendto(MESSAGE, (SWITCH[version], here.transports.port))
                assert (await here.inbox.message())[1].port == peer.getsockname()[1]
                assert here.counters.icmp_unreachable == number
    finally:
        await there.__aexit__(None, None, None)


async def test_router_that_knows_no_way_is_told_as_unreachable(topology):
    net = path(topology, 1500)
    net.router.ip("route add unreachable 10.3.0.0/24")
    with net.switch.entered():
        there = wires(SWITCH[4])
        here = await there.__aenter__()
    try:
        here.send(MESSAGE, Flow("udp", "10.3.0.1", 5060))
        async with asyncio.timeout(60):
            assert await here.inbox.unreachable.get() == ("10.3.0.1", 5060)
    finally:
        await there.__aexit__(None, None, None)


@each_version
def test_largest_audio_passes_a_narrow_network_in_one_piece(topology, version):
    net = path(topology, NARROW[version])
    bank = OpusBank()
    bank.tune(0, bitrate=128000)
    noise = np.random.default_rng(7).normal(0, 8000, (1, bank.sample_rate * 60 // 1000)).astype(np.float32)
    packets, lengths = bank.encode(noise, np.zeros(1, np.intp))
    # RTP header, audio level, tag of SRTP.
    data = bytes(12 + 8 + 16) + packets[0, : lengths[0]].tobytes()
    sockets = RtpSockets(SWITCH[version], 20000, 20100, Random(3), lambda: 0.0)
    with net.switch.entered():
        pair = sockets.open()
    try:
        with net.peer.udp(PEER[version]) as peer:
            # Not split on the way either.
            if version == 4:
                pair.rtp.setsockopt(socket.IPPROTO_IP, 10, 2)
            else:
                pair.rtp.setsockopt(socket.IPPROTO_IPV6, 62, 1)
            pair.rtp.sendto(data, peer.getsockname()[:2])
            assert peer.recv(2000) == data
    finally:
        sockets.close(pair)


def test_relayed_media_larger_than_a_network_is_split_not_lost(topology):
    net = path(topology, 1200)
    sockets = RtpSockets(SWITCH[4], 20000, 20100, Random(3), lambda: 0.0)
    with net.switch.entered():
        pair = sockets.open()
    try:
        with net.peer.udp(PEER[4]) as peer:
            member = MediaSocket(pair.rtp.fileno(), *peer.getsockname())
            try:
                for number in range(3):
                    data = bytes([number]) * 1400
                    assert member.send(data)
                    assert peer.recv(2000) == data
            finally:
                member.udp.detach()
    finally:
        sockets.close(pair)
