"""A name server on loopback that answers from a table, and keeps silent for names below `silent.`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import dns.asyncresolver
import dns.message
import dns.name
import dns.rcode
import dns.rrset

Zone = dict[tuple[str, str], tuple[int | str, ...]]


class NameServer(asyncio.DatagramProtocol):
    """Answers from a zone: (name, kind) to TTL and records."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.asked: list[str] = []
        """Names and kinds, as they came."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(), question.to_text().split()[-1]
        self.asked.append(f"{name} {kind}")
        if name.endswith("silent.") or (name.startswith("deaf6.") and kind == "AAAA"):
            return
        reply = dns.message.make_response(query)
        if not any(known == name for known, _ in self.zone):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif (name, kind) in self.zone:
            ttl, *records = self.zone[name, kind]
            reply.answer.append(dns.rrset.from_text(name, int(ttl), "IN", kind, *map(str, records)))
        self.transport.sendto(reply.to_wire(), addr)


@asynccontextmanager
async def name_server(zone: Zone) -> AsyncIterator[tuple[NameServer, dns.asyncresolver.Resolver]]:
    """Run a name server, and give a resolver that asks it alone, with the search list `corp.test`."""
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NameServer(zone), local_addr=("127.0.0.1", 0)
    )
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = transport.get_extra_info("sockname")[1]
    resolver.search = [dns.name.from_text("corp.test.")]
    try:
        yield server, resolver
    finally:
        transport.close()
