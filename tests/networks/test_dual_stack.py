"""Phones of both families at a switch that listens on `::`."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from tests.legs.sip.rig import Rig, rig, settings
from tests.networks.raw_phone import RawPhone

SWITCH, PHONE = {4: "10.1.0.1", 6: "fd00:1::1"}, {4: "10.1.0.2", 6: "fd00:1::2"}
OPEN = {"allow": ("10.1.0.0/24", "fd00:1::/64"), "host": "::"}


@pytest.fixture
def hosts(topology):
    """Return the namespaces of switch and phone, joined by a cable with addresses of both families."""
    here, there = topology.host("switch"), topology.host("phone")
    topology.join(
        here,
        there,
        addresses=["10.1.0.1/24", "fd00:1::1/64"],
        other_addresses=["10.1.0.2/24", "fd00:1::2/64"],
    )
    return here, there


def run(hosts: Any, test: Callable[[Rig], Coroutine[Any, Any, None]], rtp: str, **sip: Any) -> None:
    """Run a switch in its namespace, and a test with it."""
    chosen = settings(OPEN | sip)
    chosen = msgspec.structs.replace(chosen, rtp=msgspec.structs.replace(chosen.rtp, host=rtp))

    async def main() -> None:
        async with rig(chosen) as switch:
            await test(switch)

    with hosts[0].entered():
        asyncio.run(asyncio.wait_for(main(), 60))


@pytest.mark.parametrize("rtp", ["::", "0.0.0.0"])
@pytest.mark.parametrize("version", [4, 6])
def test_phone_of_each_family_is_given_an_address_that_it_can_reach(hosts, version, rtp):
    async def call(switch):
        phone = RawPhone(hosts[1], PHONE[version], (SWITCH[version], switch.port))
        try:
            phone.request("INVITE", "sip:echo@switch.example", phone.sdp())
            answer = await phone.final()
            assert answer.startswith("SIP/2.0 200 ")
            assert f"c=IN IP{version} {SWITCH[version]}\r\n" in answer
            assert SWITCH[version] in re.findall(r"Contact: (.*)", answer)[0]
            assert await phone.hears_echo(answer)
        finally:
            phone.close()

    run(hosts, call, rtp)


@pytest.mark.parametrize("version", [4, 6])
def test_media_of_the_other_family_than_signalling_are_answered_in_their_own(hosts, version):
    other = 10 - version

    async def call(switch):
        phone = RawPhone(hosts[1], PHONE[version], (SWITCH[version], switch.port))
        media = phone.media
        phone.media = hosts[1].udp(PHONE[other])
        try:
            phone.request("INVITE", "sip:echo@switch.example", phone.sdp(PHONE[other]))
            answer = await phone.final()
            assert f"c=IN IP{other} {SWITCH[other]}\r\n" in answer
            assert await phone.hears_echo(answer)
        finally:
            phone.close()
            media.close()

    run(hosts, call, "::")


@pytest.mark.parametrize("version", [4, 6])
def test_tcp_is_served_to_both_families(hosts, version):
    async def connect(switch):
        request = (
            f"OPTIONS sip:switch SIP/2.0\r\nVia: SIP/2.0/TCP {PHONE[version]};branch=z9hG4bKx\r\n"
            "From: <sip:a@b>;tag=1\r\nTo: <sip:switch>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n"
            "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        ).replace(PHONE[6], f"[{PHONE[6]}]")
        with hosts[1].entered():
            reader, writer = await asyncio.open_connection(SWITCH[version], switch.port)
        writer.write(request.encode())
        assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"SIP/2.0 ")
        writer.close()

    run(hosts, connect, "::")
