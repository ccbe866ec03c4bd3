"""The kit itself: what the other tests believe of their networks."""

import contextlib
import socket
import time
from pathlib import Path

import pytest

from tests.networks.topology import Impairment, Namespace, Topology


def pair(topology: Topology, **link) -> tuple[Namespace, Namespace]:
    one, other = topology.host("one"), topology.host("other")
    topology.join(
        one,
        other,
        addresses=["10.1.0.1/24", "fd00:1::1/64"],
        other_addresses=["10.1.0.2/24", "fd00:1::2/64"],
        **link,
    )
    return one, other


@pytest.mark.parametrize("impairment", [None, Impairment()], ids=["cable", "slow link"])
@pytest.mark.parametrize("address", ["10.1.0.{}", "fd00:1::{}"])
def test_hosts_hear_each_other_and_nobody_else(topology, address, impairment):
    one, other = pair(topology, impairment=impairment)
    with one.udp(address.format(1)) as a, other.udp(address.format(2)) as b:
        a.sendto(b"there", b.getsockname()[:2])
        assert b.recvfrom(100)[0] == b"there"
        b.sendto(b"back", a.getsockname()[:2])
        assert a.recvfrom(100)[0] == b"back"
    with pytest.raises(OSError, match="assign"):
        topology.host("third").udp(address.format(1))


def test_slow_link_delays_both_ways(topology):
    one, other = pair(topology, impairment=Impairment(delay_s=0.05))
    with one.udp("10.1.0.1") as a, other.udp("10.1.0.2") as b:
        began = time.monotonic()
        a.sendto(b"there", b.getsockname())
        b.sendto(*b.recvfrom(100))
        a.recv(100)
        assert time.monotonic() - began >= 0.1


def test_lossy_link_loses_its_share(topology):
    one, other = pair(topology, impairment=Impairment(loss=0.5))
    with one.udp("10.1.0.1") as a, other.udp("10.1.0.2") as b:
        for number in range(200):
            a.sendto(b"%d" % number, b.getsockname())
        b.settimeout(1.0)
        heard = 0
        with contextlib.suppress(TimeoutError):
            while b.recv(100):
                heard += 1
        assert 60 <= heard <= 140


def test_mtu_holds(topology):
    one, _ = pair(topology, mtu=1300)
    with one.udp("10.1.0.1") as a:
        a.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER: never split
        a.sendto(bytes(1300 - 28), ("10.1.0.2", 9))
        with pytest.raises(OSError, match="too long"):
            a.sendto(bytes(1300 - 27), ("10.1.0.2", 9))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_is_left(topology):
    before = descriptors()
    with Topology() as made:
        pair(made, impairment=Impairment())
        assert descriptors() > before
    assert descriptors() <= before  # some of earlier tests may be collected meanwhile
    assert not [device for device in Path("/sys/class/net").iterdir() if device.name in ("n0", "n1")]
