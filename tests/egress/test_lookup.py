"""DNS over real datagrams, answered by a server of the test's own."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from softswitch.egress.lookup import Addresses, DnsLookup, ServiceRecord, Services, UnresolvedError
from tests.egress.name_server import Zone, name_server

ZONE: Zone = {
    ("pbx.test.", "A"): (120, "192.0.2.1", "192.0.2.2"),
    ("pbx.test.", "AAAA"): (60, "2001:db8::1"),
    ("four.test.", "A"): (30, "192.0.2.3"),
    ("deaf6.test.", "A"): (30, "192.0.2.4"),
    ("db.corp.test.", "A"): (30, "192.0.2.5"),
    ("_sip._udp.pbx.test.", "SRV"): (90, "10 5 5062 a.test.", "20 0 5063 b.test."),
}


@pytest.fixture
async def lookup() -> AsyncIterator[DnsLookup]:
    async with name_server(ZONE) as (_, resolver):
        yield DnsLookup(0.5, resolver)


async def test_addresses_of_both_families_are_good_for_the_shorter_time(lookup):
    addresses = await lookup.addresses("pbx.test")
    assert addresses.ttl_s == 60
    assert set(addresses.found[:2]) == {"192.0.2.1", "192.0.2.2"}  # IPv4 comes first
    assert addresses.found[2:] == ("2001:db8::1",)
    assert await lookup.addresses("four.test") == Addresses(("192.0.2.3",), 30)


async def test_a_family_without_an_answer_does_not_take_the_other_with_it(lookup):
    assert await lookup.addresses("deaf6.test") == Addresses(("192.0.2.4",), 30)


async def test_a_short_name_is_found_by_the_search_list(lookup):
    assert await lookup.addresses("db") == Addresses(("192.0.2.5",), 30)


async def test_a_service_is_not_looked_for_in_the_search_list():
    async with name_server({("db.corp.test.", "A"): (30, "192.0.2.5")}) as (server, resolver):
        assert await DnsLookup(0.5, resolver).services("_sip._udp.db") == Services(())
        assert server.asked == ["_sip._udp.db. SRV"]


async def test_services_are_read(lookup):
    services = await lookup.services("_sip._udp.pbx.test")
    assert services.ttl_s == 90
    assert set(services.found) == {ServiceRecord(10, 5, 5062, "a.test"), ServiceRecord(20, 0, 5063, "b.test")}


async def test_what_is_not_there_is_nothing(lookup):
    assert await lookup.addresses("unknown.test") == Addresses(())
    assert await lookup.services("pbx.test") == Services(())


async def test_silence_is_an_error(lookup):
    with pytest.raises(UnresolvedError, match="no answer"):
        await lookup.addresses("a.silent")


async def test_a_host_without_configuration_is_an_error_that_names_it(tmp_path: Path):
    with pytest.raises(UnresolvedError, match=r"pbx\.test: DNS gives no answer"):
        await DnsLookup(0.5, configuration=tmp_path / "resolv.conf").addresses("pbx.test")


async def test_the_configuration_is_read_again_when_it_has_changed(tmp_path: Path):
    configuration = tmp_path / "resolv.conf"
    configuration.write_text("nameserver 127.0.0.1\n")
    lookup = DnsLookup(0.5, configuration=configuration)
    assert [str(server) for server in lookup._configured().nameservers] == ["127.0.0.1"]
    before = configuration.stat()
    configuration.write_text("nameserver 127.0.0.2\n")

    os.utime(configuration, (before.st_atime, before.st_mtime + 1))
    assert [str(server) for server in lookup._configured().nameservers] == ["127.0.0.2"]
