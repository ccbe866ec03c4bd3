"""The UDP transport, over real loopback."""

import asyncio
import errno
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from softswitch.legs.datagrams.icmp import SocketError
from softswitch.legs.sip.transports.udp import MOST_ADDRESSES, MOST_LARGE
from softswitch.legs.sip.transports.wire import plain_address
from softswitch.sip.transaction.flow import Flow
from tests.legs.sip.transports.wires import MESSAGE, wires
from tests.support.icmp import closed_port, may_be_split, provoke

pytestmark = pytest.mark.each_loop


async def exchange(local: str, remote: str) -> None:
    """Send a message each way between a transport and a plain socket."""
    family = socket.AF_INET6 if ":" in remote else socket.AF_INET
    async with wires(local) as here:
        with socket.socket(family, socket.SOCK_DGRAM) as far:
            far.settimeout(5)
            far.bind((remote, 0))
            target = remote, here.transports.port
            far.sendto(MESSAGE, target)
            data, flow = await here.inbox.message()
            assert data == MESSAGE
            assert (flow.transport, flow.host, flow.port) == ("udp", remote, far.getsockname()[1])
            assert (flow.local_host, flow.local_port) == ("127.0.0.9", 5099)
            here.send(b"answer", flow)
            assert await asyncio.to_thread(far.recv, 100) == b"answer"


async def test_datagrams_travel_both_ways():
    await exchange("127.0.0.1", "127.0.0.1")


async def test_datagrams_travel_over_ipv6():
    await exchange("::1", "::1")


async def test_socket_of_all_addresses_serves_ipv4_in_its_own_clothes():
    await exchange("::", "127.0.0.1")


@pytest.mark.parametrize("local", ["127.0.0.1", "::1", "::"])
async def test_datagrams_may_be_split_on_their_way(local):
    async with wires(local) as here:
        udp = here.transports._udp._socket
        assert udp is not None
        assert may_be_split(udp)


async def test_keep_alives_are_counted_and_go_no_further():
    async with wires() as here:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
            for data in (b"\r\n\r\n", b"\0\0\0\0", b"", MESSAGE):
                far.sendto(data, ("127.0.0.1", here.transports.port))
            assert (await here.inbox.message())[0] == MESSAGE
        assert here.counters.keep_alives == 3


async def test_peer_that_is_not_there_is_told():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with wires() as here:
        here.send(MESSAGE, Flow("udp", "127.0.0.1", port))
        async with asyncio.timeout(60):
            assert await here.inbox.unreachable.get() == ("127.0.0.1", port)
        assert here.counters.sends_failed == 1


@pytest.mark.parametrize(
    ("local", "remote"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1"), ("::", "::1")]
)
async def test_errors_that_come_while_the_loop_sleeps_end_no_reception(local, remote):
    family = socket.AF_INET6 if ":" in remote else socket.AF_INET
    async with wires(local) as here:
        udp = here.transports._udp
        assert udp._socket is not None
        with closed_port(family) as closed, socket.socket(family, socket.SOCK_DGRAM) as far:
            far.bind((remote, 0))
            for number in range(1, 6):
                # In a thread: the loop waits, so epoll reports the error by itself.
                await asyncio.to_thread(udp.send, b"knock", *closed)
                await provoke(udp._socket, as_sent(local, closed), times=number)
                async with asyncio.timeout(60):
                    assert await here.inbox.unreachable.get() == closed
                far.sendto(MESSAGE, (remote, here.transports.port))
                assert (await here.inbox.message())[1].port == far.getsockname()[1]
        assert here.counters.icmp_unreachable == here.counters.sends_failed == 5
        assert here.counters.icmp_stray == 15
        assert here.counters.icmp_too_big == here.counters.icmp_passing == 0


def as_sent(local: str, address: tuple[str, int]) -> tuple[str, int]:
    """Return an address as a socket bound to `local` has it."""
    host, port = address
    return (f"::ffff:{host}" if local == "::" and ":" not in host else host), port


async def test_forged_errors_are_believed_once_for_what_was_sent():
    async with wires() as here:
        udp = here.transports._udp
        with closed_port() as closed:
            for error in [
                SocketError("unreachable", errno.ECONNREFUSED, "192.0.2.1", port) for port in range(99)
            ]:
                udp._failed(error)
            assert here.inbox.unreachable.empty()
            assert here.counters.icmp_stray == 99
            here.send(MESSAGE, Flow("udp", *closed))
            for _ in range(9):
                udp._failed(SocketError("unreachable", errno.ECONNREFUSED, *closed))
        assert here.inbox.unreachable.qsize() == 1


async def test_peer_is_told_as_its_address_was_written():
    async with wires("::1") as here:
        with closed_port(socket.AF_INET6) as closed:
            here.send(MESSAGE, Flow("udp", "0:0:0::0001", closed[1]))
            async with asyncio.timeout(60):
                assert await here.inbox.unreachable.get() == ("0:0:0::0001", closed[1])


async def test_addresses_that_errors_are_believed_of_are_bounded():
    async with wires() as here:
        for number in range(MOST_ADDRESSES + 50):
            here.transports._udp.send(b"x", "127.0.0.1", 20000 + number)
        known = list(here.transports._udp._sent_to)
        assert len(known) <= MOST_ADDRESSES
        assert known[-1] == ("127.0.0.1", 20000 + MOST_ADDRESSES + 49)


async def test_sender_that_is_gone_when_it_is_answered_ends_no_reception():
    async with wires() as here:
        for _ in range(3):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
                caller.sendto(MESSAGE, ("127.0.0.1", here.transports.port))
                _, flow = await here.inbox.message()
            here.send(b"answer", flow)
            async with asyncio.timeout(60):
                assert await here.inbox.unreachable.get() == (flow.host, flow.port)


def too_big(host: str) -> SocketError:
    return SocketError("too_big", errno.EMSGSIZE, host, 5060, 1280)


async def test_datagram_that_was_too_big_fails_no_peer_and_goes_again_in_pieces():
    async with wires("::1") as here:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as far:
            far.bind(("::1", 0))
            far.settimeout(5)
            port = far.getsockname()[1]
            big = MESSAGE.ljust(1300, b" ")
            here.send(big, Flow("udp", "::1", port))
            error = replace(too_big("::1"), port=port)
            for _ in range(3):  # however many such errors come, it goes again once
                here.transports._udp._failed(error)
            here.send(b"small", Flow("udp", "::1", port))
            here.transports._udp._failed(error)
            here.send(b"end", Flow("udp", "::1", port))
            heard = [await asyncio.to_thread(far.recv, 2000) for _ in range(4)]
        assert heard == [big, big, b"small", b"end"]
        assert here.counters.icmp_too_big == 4
        assert here.counters.sends_failed == 0
        assert here.inbox.unreachable.empty()


async def test_what_may_have_to_go_again_is_bounded():
    async with wires("::1") as here:
        for port in range(20000, 20000 + 3 * MOST_LARGE):
            here.send(MESSAGE.ljust(1300, b" "), Flow("udp", "::1", port))
        assert len(here.transports._udp._large) == MOST_LARGE


async def test_missing_fragment_fails_no_peer():
    async with wires() as here:
        here.transports._udp._failed(SocketError("passing", errno.EHOSTUNREACH, "127.0.0.1", 5060))
        assert here.counters.icmp_passing == 1
        assert here.inbox.unreachable.empty()


async def test_error_of_one_peer_loses_no_datagram_to_another():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dead:
        dead.bind(("127.0.0.1", 0))
        absent = Flow("udp", "127.0.0.1", dead.getsockname()[1])
    async with wires() as here:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
            far.settimeout(5)
            far.bind(("127.0.0.1", 0))
            alive = Flow("udp", "127.0.0.1", far.getsockname()[1])
            for number in range(20):
                here.send(MESSAGE, absent)
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


async def test_wait_in_the_kernel_is_told():
    async with wires(trusted=True) as here:
        waits: list[float] = []
        here.transports.on_wait(waits.append)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
            far.sendto(MESSAGE, ("127.0.0.1", here.transports.port))
            time.sleep(0.2)
            await here.inbox.message()
            assert 0.2 <= waits[0] < 10
            assert waits[0] <= here.transports.age_s < 10


async def test_much_that_waits_is_read_in_turns_and_its_age_told():
    async with wires(trusted=True) as here:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
            for _ in range(100):
                far.sendto(MESSAGE, ("127.0.0.1", here.transports.port))
            time.sleep(0.1)
            assert here.transports.catch_up() >= 0.1
            assert 0 < here.inbox.messages.qsize() <= 64
            while here.transports.catch_up():
                pass
            assert here.inbox.messages.qsize() == 100
            assert here.transports.catch_up() == 0.0


@contextmanager
def crowd(*hosts: str) -> Iterator[list[socket.socket]]:
    """Sockets at addresses of loopback."""
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in hosts]
        for far, host in zip(opened, hosts, strict=True):
            far.bind((host, 0))
        yield opened


async def test_known_source_is_served_before_all_that_came_earlier():
    async with wires(known={"127.0.0.77"}) as here:
        with crowd("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.77") as (one, two, three, known):
            to = "127.0.0.1", here.transports.port
            for far, count in ((one, 100), (two, 2), (three, 1), (known, 3)):
                for _ in range(count):
                    far.sendto(MESSAGE, to)
            order = [(await here.inbox.message())[1].host[-1] for _ in range(16 + 2 + 1 + 3)]
        # Then one of each in turn, and at most 16 of one source at once.
        assert "".join(order[:9]) == "777234232"
        assert set(order[9:]) == {"2"}
        assert here.counters.strangers_dropped == 84


async def test_response_to_a_request_is_awaited_like_a_known_source():
    async with wires(known=set()) as here:
        with crowd("127.0.0.2", "127.0.0.3", "127.0.0.4") as (stranger, callee, challenged):
            to = "127.0.0.1", here.transports.port
            here.send(b"INVITE sip:a@b SIP/2.0\r\n\r\n", Flow("udp", *callee.getsockname()))
            here.send(b"SIP/2.0 401 Unauthorized\r\n\r\n", Flow("udp", *challenged.getsockname()))
            for far in (stranger, challenged, callee):
                far.sendto(MESSAGE, to)
            order = [(await here.inbox.message())[1].host[-1] for _ in range(3)]
        assert order == ["3", "2", "4"]


async def test_unknown_sources_leave_half_of_the_time_to_others():
    async with wires(known=set()) as here:
        busy = 0.0
        received = here.inbox.message_received

        def slow(data: bytes, flow: Flow) -> None:
            nonlocal busy
            begin = time.monotonic()
            time.sleep(0.001)
            busy += time.monotonic() - begin
            received(data, flow)

        here.inbox.message_received = slow  # type: ignore[method-assign]
        hosts = [f"127.0.1.{number}" for number in range(1, 31)]
        with crowd(*hosts) as opened:
            for far in opened:
                for _ in range(5):
                    far.sendto(MESSAGE, ("127.0.0.1", here.transports.port))
            begin = time.monotonic()
            for _ in range(150):
                await here.inbox.message()
            # The last turn needs no pause behind it.
            assert time.monotonic() - begin >= 1.8 * busy - 0.02
        assert here.counters.strangers_dropped == 0


async def test_many_errors_of_one_peer_are_told_once_in_a_turn():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with wires() as here:
        for _ in range(40):
            here.send(MESSAGE, Flow("udp", "127.0.0.1", port))
        async with asyncio.timeout(60):
            await here.inbox.unreachable.get()
        await asyncio.sleep(0.05)
        assert here.counters.sends_failed <= 3
