"""A name server for which every name is this machine or the far host, and which can fall silent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast

import dns.message
import dns.rdatatype
import dns.rrset

from tests.support.far_host import FAR


class NameServer(asyncio.DatagramProtocol):
    """A name server for which every name is this machine; it can fall silent."""

    def __init__(self) -> None:
        self.silent = False
        self.ignored = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket."""
        self.transport = cast("asyncio.DatagramTransport", transport)
        self.port = int(transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer, unless silent."""
        if self.silent:
            self.ignored += 1
            return
        answer = dns.message.make_response(dns.message.from_wire(data))
        [question] = answer.question
        if question.rdtype == dns.rdatatype.A:
            answer.answer.append(
                dns.rrset.from_text(question.name, 1, "IN", "A", self.address(str(question.name)))
            )
        self.transport.sendto(answer.to_wire(), addr)

    @staticmethod
    def address(name: str) -> str:
        """Return where a name leads: to the far host if it begins so."""
        return FAR if name.startswith("far") else "127.0.0.1"


@contextlib.asynccontextmanager
async def name_server() -> AsyncIterator[NameServer]:
    """Run a name server on a port of its own."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
    try:
        yield server
    finally:
        transport.close()
