"""Which addresses are served first."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from softswitch.legs.sip.routing.known_sources import FRESH_S, MOST_PROVED, KnownSources
from softswitch.settings import Trunk, User
from tests.legs.sip.phone import HOST, phone
from tests.legs.sip.rig import Rig, rig, settings

ALICE = User(name="alice", password="secret")


def sources(here: Rig) -> KnownSources:
    assert here.endpoints._sockets is not None
    known = here.endpoints._sockets._udp._is_known
    assert isinstance(known, KnownSources)
    return known


async def test_trunk_and_trusted_network_are_known():
    trunk = Trunk("t", ("192.0.2.1",), allow=("192.0.2.128/25",))
    async with rig(settings({"allow": ("10.0.0.0/8",)}, trunks=(trunk,))) as here:
        await next(iter(here.endpoints._trunks)).refresh()
        hosts = ("192.0.2.1", "192.0.2.200", "10.1.2.3", "192.0.2.2", "127.0.0.1", "::1")
        assert [sources(here)(host) for host in hosts] == [True, True, True, False, False, False]


@pytest.mark.each_loop
async def test_right_password_makes_known_and_a_wrong_one_or_a_stray_request_does_not():
    async with rig(settings({"allow": ()}, users=(ALICE,))) as here, phone() as one:
        known = sources(here)
        assert await one.register(here.port, "alice", "wrong") == 401
        one.request("OPTIONS", here.port)
        assert not known(HOST)
        assert await one.register(here.port, "alice", "secret") == 200
        assert known(HOST)
        assert here.endpoints._phones.is_from_device(HOST)
        assert await one.register(here.port, "alice", "secret", expires=0) == 200
        assert known(HOST), "it gave a right password before"
        assert not here.endpoints._phones.is_from_device(HOST)


async def test_memory_is_bounded_and_the_settings_are_asked_again():
    now = 0.0
    trunk = Trunk("t", ("192.0.2.1",))
    async with rig(settings({"allow": ()}, trunks=(trunk,))) as here:
        endpoints = here.endpoints
        known = KnownSources(endpoints._trunks, endpoints._phones, endpoints.guard, lambda: now)
        for number in range(MOST_PROVED + 1):
            known.prove(str(number))
        assert not known("0")
        assert known("1")
        next(iter(endpoints._trunks)).targets = ()
        assert not known("192.0.2.1")
        await next(iter(endpoints._trunks)).refresh()
        assert not known("192.0.2.1")
        now += FRESH_S
        assert known("192.0.2.1")


@contextmanager
def crowd(count: int) -> Iterator[list[socket.socket]]:
    """Sockets at so many addresses of loopback."""
    with ExitStack() as stack:
        opened = []
        for number in range(count):
            far = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            far.bind((f"127.0.9.{number + 1}", 0))
            opened.append(far)
        yield opened


def register(far: socket.socket, port: int, number: int) -> bytes:
    host, own = far.getsockname()
    lines = (
        f"REGISTER sip:{HOST}:{port} SIP/2.0",
        f"Via: SIP/2.0/UDP {host}:{own};rport;branch=z9hG4bK{number}",
        f"From: <sip:x{number}@{HOST}>;tag={number}",
        f"To: <sip:x{number}@{HOST}>",
        f"Call-ID: f{number}@{host}",
        "CSeq: 1 REGISTER",
        f"Contact: <sip:x@{host}:{own}>",
        "Max-Forwards: 70",
        "Content-Length: 0",
    )
    return "\r\n".join((*lines, "", "")).encode()


@pytest.mark.each_loop
async def test_flood_of_registers_does_not_delay_a_registered_phone():
    """The flood is in the socket before the phone's request, which is served before most of it."""
    async with rig(settings({"allow": ()}, users=(ALICE,))) as here, phone() as honest:
        assert await honest.register(here.port, "alice", "secret") == 200
        before = here.endpoints.counters.challenges
        answered = asyncio.Event()
        with crowd(50) as opened:
            for number in range(250):
                far = opened[number % 50]
                far.sendto(register(far, here.port, number), (HOST, here.port))
            key = honest.request("OPTIONS", here.port)
            honest.driver.expect(key, lambda outcome: answered.set())
            async with asyncio.timeout(60):
                await answered.wait()
            assert here.endpoints.counters.challenges - before < 125
            async with asyncio.timeout(60):
                while here.endpoints.counters.challenges - before < 250:
                    await asyncio.sleep(0.01)
        assert here.endpoints.counters.strangers_dropped == 0
