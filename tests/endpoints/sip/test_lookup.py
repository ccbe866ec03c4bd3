"""DNS over real datagrams, answered by a server of the test's own."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from softswitch.endpoints.sip.lookup import Addresses, DnsLookup, ServiceRecord, Services, UnresolvedError

ZONE = {
    ("pbx.test.", "A"): (120, "192.0.2.1", "192.0.2.2"),
    ("pbx.test.", "AAAA"): (60, "2001:db8::1"),
    ("four.test.", "A"): (30, "192.0.2.3"),
    ("_sip._udp.pbx.test.", "SRV"): (90, "10 5 5062 a.test.", "20 0 5063 b.test."),
}


class Server(asyncio.DatagramProtocol):
    """Answer from `ZONE`; names below `silent.` get no answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(), question.to_text().split()[-1]
        if name.endswith("silent."):
            return
        reply = dns.message.make_response(query)
        if not any(known == name for known, _ in ZONE):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif (name, kind) in ZONE:
            ttl, *records = ZONE[name, kind]
            reply.answer.append(dns.rrset.from_text(name, int(ttl), "IN", kind, *map(str, records)))
        self.transport.sendto(reply.to_wire(), addr)


@pytest.fixture
async def lookup() -> AsyncIterator[DnsLookup]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        Server, local_addr=("127.0.0.1", 0)
    )
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = transport.get_extra_info("sockname")[1]
    yield DnsLookup(0.5, resolver)
    transport.close()


async def test_addresses_of_both_families_are_good_for_the_shorter_time(lookup):
    addresses = await lookup.addresses("pbx.test")
    assert addresses.ttl_s == 60
    assert set(addresses.found[:2]) == {"192.0.2.1", "192.0.2.2"}  # IPv4 comes first
    assert addresses.found[2:] == ("2001:db8::1",)
    assert await lookup.addresses("four.test") == Addresses(("192.0.2.3",), 30)


async def test_services_are_read(lookup):
    services = await lookup.services("_sip._udp.pbx.test")
    assert services.ttl_s == 90
    assert set(services.found) == {ServiceRecord(10, 5, 5062, "a.test"), ServiceRecord(20, 0, 5063, "b.test")}


async def test_what_is_not_there_is_nothing(lookup):
    assert await lookup.addresses("nobody.test") == Addresses(())
    assert await lookup.services("pbx.test") == Services(())


async def test_silence_is_an_error(lookup):
    with pytest.raises(UnresolvedError, match="no answer"):
        await lookup.addresses("a.silent")
