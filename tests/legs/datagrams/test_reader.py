"""A socket is read on after every ICMP error, on both event loops."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from softswitch.legs.datagrams.icmp import SocketError, ask_for_errors
from softswitch.legs.datagrams.reader import DatagramReader
from tests.support.icmp import LOOPBACK, bound, closed_port, provoke
from tests.support.waiting import until

pytestmark = pytest.mark.each_loop

each_family = pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
each_report = pytest.mark.parametrize("asked", [True, False], ids=["asked", "unasked"])


class Ear:
    """A socket, its reader, and all that they tell."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET, *, asked: bool = True) -> None:
        self.udp = bound(family)
        if asked:
            ask_for_errors(self.udp)
        self.heard: list[bytes] = []
        self.errors: list[SocketError] = []
        self.told: list[str] = []
        self.wakes = 0
        self.reader = DatagramReader(self.udp, self.read, self.failed)

    def read(self) -> None:
        self.wakes += 1
        try:
            self.heard.append(self.udp.recv(100))
        except OSError:
            return
        self.told.append("datagram")

    def failed(self, error: SocketError) -> None:
        self.wakes += 1
        self.errors.append(error)
        self.told.append("error")

    async def hears(self, data: bytes) -> None:
        """Send a datagram, from where the socket is connected to if it is, and wait until it was read."""
        with socket.socket(self.udp.family, socket.SOCK_DGRAM) as far:
            far.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                far.bind(self.udp.getpeername()[:2])
            except OSError:
                far.bind((LOOPBACK[self.udp.family], 0))
            far.sendto(data, self.udp.getsockname()[:2])
            await until(lambda: data in self.heard)
        assert data in self.heard


@asynccontextmanager
async def ear(family: socket.AddressFamily = socket.AF_INET, *, asked: bool = True) -> AsyncIterator[Ear]:
    made = Ear(family, asked=asked)
    try:
        yield made
    finally:
        made.reader.close()
        made.udp.close()


@each_family
@each_report
async def test_unconnected_socket_is_read_after_errors(family, asked):
    with closed_port(family) as closed:
        async with ear(family, asked=asked) as made:
            for number in range(5):
                await provoke(made.udp, closed, times=1 + number)
                await made.hears(b"%d" % number)
            if asked:
                told = {(error.kind, error.host, error.port) for error in made.errors}
                # An error that comes between two looks is pending without an entry in the queue.
                assert told - {("unreachable", "", 0)} == {("unreachable", *closed)}
            else:
                assert made.errors == []  # Linux tells an unconnected socket of none


@each_family
@each_report
async def test_connected_socket_is_read_after_errors(family, asked):
    with bound(family) as gone:
        address = gone.getsockname()
    async with ear(family, asked=asked) as made:
        made.udp.connect(address)
        for number in range(5):
            await provoke(made.udp, None, times=1 + number)
            await made.hears(b"%d" % number)
        assert {error.kind for error in made.errors} == {"unreachable"}
        assert {error.host for error in made.errors} == ({address[0]} if asked else {""})


async def test_error_that_another_took_before_the_loop_came_deafens_nothing():
    with closed_port() as closed:
        async with ear() as made:

            def steal() -> None:
                with contextlib.suppress(OSError):
                    made.udp.recvmsg(0, 512, socket.MSG_ERRQUEUE)

            for number in range(5):
                # The loop may be woken by an error that is gone when it looks.
                await provoke(made.udp, closed)
                asyncio.get_running_loop().call_soon(steal)
                made.udp.sendto(b"x", closed)
                await made.hears(b"%d" % number)


async def test_datagrams_are_told_before_errors():
    with closed_port() as closed, bound() as far:
        async with ear() as made:
            made.udp.sendto(b"x", closed)
            far.sendto(b"answer", made.udp.getsockname())
            await until(lambda: len(made.told) == 2)
            assert made.told == ["datagram", "error"]


async def test_errors_leave_nothing_that_keeps_the_loop_busy():
    with closed_port() as closed:
        async with ear() as made:
            await provoke(made.udp, closed, times=200)
            await made.hears(b"after")
            wakes = made.wakes
            for _ in range(50):
                await asyncio.sleep(0)
            assert made.wakes == wakes


async def test_closed_reader_reads_nothing_and_leaves_the_socket_open():
    async with ear() as made:
        made.reader.close()
        made.reader.close()
        with bound() as far:
            far.sendto(b"x", made.udp.getsockname())
            for _ in range(20):
                await asyncio.sleep(0)
        assert made.heard == []
        assert made.udp.recv(10) == b"x"


async def test_owner_may_close_the_reader_from_within():
    with closed_port() as closed:
        async with ear() as made:
            made.reader._readable = made.reader.close
            await provoke(made.udp, closed)
            with bound() as far:
                far.sendto(b"x", made.udp.getsockname())
            await until(lambda: made.reader._epoll.closed)
            assert made.heard == []
