"""Copies of messages that a receiver on loopback gets, and those that nothing gets."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_network
from typing import Any

from softswitch.egress.lookup import UnresolvedError
from softswitch.egress.names import Asker
from softswitch.legs.sip.counters import SipCounters
from softswitch.legs.sip.hep import HepSender
from softswitch.sip import events as hp
from softswitch.sip.transaction.flow import Flow
from tests.legs.sip.phone import phone
from tests.legs.sip.rig import rig, settings
from tests.sip.test_hep import decode

LOOPBACK = (ip_network("127.0.0.0/8"),)
FLOW = Flow("udp", "192.0.2.1", 5060, 0, "192.0.2.9", 5060)


@contextlib.asynccontextmanager
async def homer() -> AsyncIterator[tuple[int, asyncio.Queue[bytes]]]:
    """Give the port of a receiver, and what it receives."""
    got: asyncio.Queue[bytes] = asyncio.Queue()

    class Receiver(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            got.put_nowait(data)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Receiver, local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1], got
    finally:
        transport.close()


def sender(
    host: str, port: int, counters: SipCounters, *, allow: bool = True, known: bool = True
) -> HepSender:
    async def resolve(name: str, asker: Asker) -> Sequence[str]:
        if not known:
            raise UnresolvedError(name)
        return ["127.0.0.1"]

    return HepSender(
        host,
        port,
        agent=7,
        key="",
        allow=LOOPBACK if allow else (),
        resolve=resolve,
        counters=counters,
        clock=lambda: 5.0,
    )


async def started(made: HepSender) -> "asyncio.Task[None]":
    """Let the sender look its server up."""
    running = asyncio.create_task(made.run())
    for _ in range(10):
        await asyncio.sleep(0)
    return running


async def test_message_is_sent_without_its_secrets():
    counters = SipCounters()
    async with homer() as (port, got):
        made = sender("homer.example.org", port, counters)
        running = await started(made)
        made.add(
            b"BYE a SIP/2.0\r\nCall-ID: x@y\r\nCSeq: 1 BYE\r\nAuthorization: Digest secret\r\n\r\n",
            FLOW,
            sent=False,
        )
        async with asyncio.timeout(60):
            chunks = decode(await got.get())
        running.cancel()
        await asyncio.wait([running])
    assert b"Authorization: Digest ***" in chunks[15]
    assert b"secret" not in chunks[15]
    assert chunks[17] == b"x@y"
    assert (counters.hep_sent, counters.hep_dropped) == (1, 0)


async def test_message_is_dropped_where_the_server_is_not_allowed_or_not_found():
    for allow, known in ((False, True), (True, False)):
        counters = SipCounters()
        made = sender("homer.example.org", 9060, counters, allow=allow, known=known)
        made.add(b"x", FLOW, sent=True)
        running = await started(made)
        made.add(b"x", FLOW, sent=True)
        running.cancel()
        await asyncio.wait([running])
        assert (counters.hep_sent, counters.hep_dropped) == (0, 2)


async def test_socket_that_takes_nothing_costs_the_copy_alone():
    counters = SipCounters()
    made = sender("127.0.0.1", 9060, counters)
    running = await started(made)
    assert made._socket is not None

    class Full(socket.socket):
        def sendto(self, *_: object) -> int:
            raise BlockingIOError

    made._socket.close()
    made._socket = Full(socket.AF_INET, socket.SOCK_DGRAM)
    made.add(b"x", FLOW, sent=True)
    running.cancel()
    await asyncio.wait([running])
    assert (counters.hep_sent, counters.hep_dropped) == (0, 1)


async def test_homer_gets_both_directions_of_a_call():
    async with homer() as (port, got), rig(settings({"hep": f"127.0.0.1:{port}"})) as here, phone() as caller:
        async with asyncio.timeout(60):
            hep = here.endpoints.driver.hep
            assert hep is not None
            while hep._target is None:
                await asyncio.sleep(0.01)
        caller.invite(here.port)
        await caller.until(hp.Answered)
        packets: list[dict[int, Any]] = []
        async with asyncio.timeout(60):
            while not any(chunks[15].startswith(b"ACK") for chunks in packets):
                packets.append(decode(await got.get()))
    first = packets[0]
    assert first[15].startswith(b"INVITE sip:echo@")
    assert int.from_bytes(first[7]) == caller.port
    answers = [chunks for chunks in packets if chunks[15].startswith(b"SIP/2.0 200")]
    assert answers
    assert int.from_bytes(answers[0][8]) == caller.port
    assert len({chunks[17] for chunks in packets}) == 1
