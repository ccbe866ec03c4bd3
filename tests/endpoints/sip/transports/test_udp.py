"""The datagram socket, over real loopback."""

import asyncio
import socket

import pytest

from softswitch.endpoints.sip.transports.wire import plain_address
from softswitch.sip.flow import Flow
from tests.endpoints.sip.transports.wires import MESSAGE, wires


async def exchange(ours: str, theirs: str) -> None:
    """Send a message each way between a transport and a plain socket."""
    family = socket.AF_INET6 if ":" in theirs else socket.AF_INET
    async with wires(ours) as here:
        with socket.socket(family, socket.SOCK_DGRAM) as far:
            far.settimeout(5)
            far.bind((theirs, 0))
            target = theirs, here.transports.port
            far.sendto(MESSAGE, target)
            data, flow = await here.inbox.message()
            assert data == MESSAGE
            assert (flow.transport, flow.host, flow.port) == ("udp", theirs, far.getsockname()[1])
            assert (flow.local_host, flow.local_port) == ("127.0.0.9", 5099)
            here.send(b"answer", flow)
            assert await asyncio.to_thread(far.recv, 100) == b"answer"


async def test_datagrams_travel_both_ways():
    await exchange("127.0.0.1", "127.0.0.1")


async def test_datagrams_travel_over_ipv6():
    await exchange("::1", "::1")


async def test_socket_of_all_addresses_serves_ipv4_in_its_own_clothes():
    await exchange("::", "127.0.0.1")


async def test_keep_alives_are_counted_and_go_no_further():
    async with wires() as here:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
            for data in (b"\r\n\r\n", b"\0\0\0\0", b"", MESSAGE):
                far.sendto(data, ("127.0.0.1", here.transports.port))
            assert (await here.inbox.message())[0] == MESSAGE
        assert here.counters.keep_alives == 3


async def test_far_end_that_is_not_there_is_told():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with wires() as here:
        here.send(MESSAGE, Flow("udp", "127.0.0.1", port))
        async with asyncio.timeout(10):
            assert await here.inbox.unreachable.get() == ("127.0.0.1", port)
        assert here.counters.sends_failed == 1


async def test_error_of_one_far_end_loses_no_datagram_to_another():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dead:
        dead.bind(("127.0.0.1", 0))
        nobody = Flow("udp", "127.0.0.1", dead.getsockname()[1])
    async with wires() as here:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
            far.settimeout(5)
            far.bind(("127.0.0.1", 0))
            alive = Flow("udp", "127.0.0.1", far.getsockname()[1])
            for number in range(20):
                here.send(MESSAGE, nobody)
                here.send(b"%d" % number, alive)
            heard = [await asyncio.to_thread(far.recv, 100) for _ in range(20)]
    assert heard == [b"%d" % number for number in range(20)]


async def test_datagram_that_cannot_leave_fails_at_once():
    async with wires() as here:
        here.send(b"x" * 70000, Flow("udp", "127.0.0.1", 9))
        await here.failure()
        assert here.counters.sends_dropped == 1


async def test_port_in_use_is_an_error():
    async with wires() as here:
        with pytest.raises(OSError, match="in use"):
            async with wires() as other:
                other.transports._udp.open("127.0.0.1", here.transports.port)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("2001:db8::0:1", "2001:db8::1"),
    ],
)
def test_address_is_plain_whatever_family_it_came_by(written, plain):
    assert plain_address(written) == plain
