"""Loops that look names up without threads."""

import asyncio
import socket
import threading
from pathlib import Path

import pytest

from softswitch.egress.hosts import HostsFile
from softswitch.egress.lookup import Addresses, Services
from softswitch.egress.loops import SelectorLoop, uvloop_factory
from softswitch.egress.names import Names
from tests.support.leaks import descriptors
from tests.support.loops import LOOPS, run


class Book:
    """DNS that knows one name."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def addresses(self, name: str) -> Addresses:
        self.asked.append(name)
        return Addresses(("127.0.0.1", "::1") if name == "good.test" else ())

    async def services(self, name: str) -> Services:
        return Services(())


class Keeping(asyncio.DatagramProtocol):
    """Keeps its transport, as those of ICE and DNS do: the two wait for the garbage collector together."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_names_and_addresses_are_found_without_a_thread(kind: str, tmp_path: Path) -> None:
    book = Book()
    names = Names(book, HostsFile(tmp_path / "none"))
    factory = uvloop_factory(names) if kind == "uvloop" else lambda: SelectorLoop(names)

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo("good.test", 80, type=socket.SOCK_STREAM)
        assert [entry[4][:2] for entry in found] == [("127.0.0.1", 80), ("::1", 80)]
        found = await loop.getaddrinfo("good.test", 80, family=socket.AF_INET6, type=socket.SOCK_DGRAM)
        assert [entry[4][:2] for entry in found] == [("::1", 80)]
        [(*_, place)] = await loop.getaddrinfo("192.0.2.1", 5060, type=socket.SOCK_DGRAM)
        assert place == ("192.0.2.1", 5060)
        assert await loop.getaddrinfo(None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        with pytest.raises(socket.gaierror, match="knows no address"):
            await loop.getaddrinfo("bad.test", 80)
        with pytest.raises(socket.gaierror, match="family"):
            await loop.getaddrinfo("127.0.0.1", 80, family=socket.AF_INET6)
        assert book.asked == ["good.test", "bad.test"]

    before = threading.active_count()
    run(factory, scene())
    assert threading.active_count() == before


@LOOPS
def test_a_connection_to_an_address_needs_no_thread(loop_factory, monkeypatch) -> None:
    """uvloop's `sock_connect` would look numeric addresses up in libuv's threads: the switch is first."""
    asked: list[str] = []

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        plain = type(loop).getaddrinfo

        async def noted(self, host, port, **options):
            asked.append(host)
            return await plain(self, host, port, **options)

        monkeypatch.setattr(type(loop), "getaddrinfo", noted)
        with socket.socket() as server, socket.socket() as client:
            server.bind(("127.0.0.1", 0))
            server.listen()
            client.setblocking(False)
            await loop.sock_connect(client, server.getsockname())
            assert client.getpeername() == server.getsockname()

    run(loop_factory, scene())
    assert asked in ([], ["127.0.0.1"])


@LOOPS
def test_an_endpoint_that_is_cancelled_while_it_is_made_leaves_no_socket(loop_factory) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        before = descriptors()
        for steps in range(12):
            task = asyncio.ensure_future(loop.create_datagram_endpoint(Keeping, local_addr=("127.0.0.1", 0)))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            told = await asyncio.gather(task, return_exceptions=True)
            if isinstance(told[0], tuple):
                told[0][0].close()
        for _ in range(5):
            await asyncio.sleep(0)
        assert descriptors() == before

    run(loop_factory, scene())
