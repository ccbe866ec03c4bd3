"""Real sockets on loopback around one `Transports`."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager

from softswitch.legs.sip.counters import SipCounters
from softswitch.legs.sip.transports import TransportLimits, Transports
from softswitch.legs.sip.transports.transports import Listening
from softswitch.sip.transaction.flow import Flow

MESSAGE = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n"


class Inbox:
    """Keep what transports tell."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[tuple[bytes, Flow]] = asyncio.Queue()
        self.lost: asyncio.Queue[Flow] = asyncio.Queue()
        self.unreachable: asyncio.Queue[tuple[str, int]] = asyncio.Queue()

    def message_received(self, data: bytes, flow: Flow) -> None:
        self.messages.put_nowait((data, flow))

    def flow_lost(self, flow: Flow) -> None:
        self.lost.put_nowait(flow)

    async def message(self) -> tuple[bytes, Flow]:
        async with asyncio.timeout(60):
            return await self.messages.get()


class Wires:
    """One `Transports`, its inbox and its counters."""

    def __init__(
        self,
        limits: TransportLimits,
        client_tls: ssl.SSLContext | None,
        clock,
        *,
        trusted: bool,
        known: Container[str] | None,
    ) -> None:
        self.inbox = Inbox()
        self.counters = SipCounters()
        self.failed = asyncio.Event()
        self.transports = Transports(
            self.inbox,
            lambda transport, remote: ("127.0.0.9", 5099),
            lambda host: trusted,
            self.counters,
            limits=limits,
            client_tls=client_tls,
            clock=clock,
            known=None if known is None else known.__contains__,
        )

    def send(self, data: bytes, to: Flow) -> None:
        self.transports.send(data, to, self.failed.set)

    def look(self) -> None:
        """Let it look at its connections now."""
        if self.transports._check_timer is not None:
            self.transports._check_timer.cancel()
        self.transports._check_connections()

    async def failure(self) -> None:
        async with asyncio.timeout(60):
            await self.failed.wait()


@asynccontextmanager
async def wires(
    host: str = "127.0.0.1",
    *,
    limits: TransportLimits | None = None,
    tls: ssl.SSLContext | None = None,
    client_tls: ssl.SSLContext | None = None,
    trusted: bool = False,
    known: Container[str] | None = None,
    clock=time.monotonic,
) -> AsyncIterator[Wires]:
    made = Wires(limits or TransportLimits(), client_tls, clock, trusted=trusted, known=known)
    await made.transports.start(
        Listening(host, 0, 0 if tls else None, tls),
        lambda far, port: made.inbox.unreachable.put_nowait((far, port)),
    )
    try:
        yield made
    finally:
        await made.transports.stop()
