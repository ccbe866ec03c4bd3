"""Phones behind a NAT whose outer address is private, and phones without one that listen at another port."""

import asyncio
import re
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from softswitch.call.vocabulary.reports import LegAnswered
from softswitch.settings import User
from tests.certificates import make_certificate
from tests.conftest import require_tool
from tests.legs.sip.rig import Rig, rig, settings
from tests.networks.raw_phone import RawPhone, StreamPhone
from tests.support.loops import LOOPS
from tests.support.loops import run as run_on

SWITCH, ROUTER, PHONE, NEAR = "10.1.0.1", "10.1.0.2", "192.168.7.2", "10.1.0.3"
PASSWORD = "authored-for-tests"
TLS_PORT = 5061


@pytest.fixture
def hosts(topology, request):
    """Return the namespaces of the switch, of a phone behind a NAT, and of the router between."""
    require_tool("nft")
    switch, router, phone = topology.host("switch"), topology.router("router"), topology.host("phone")
    _, outside = topology.join(
        switch,
        router,
        addresses=[f"{SWITCH}/24", f"{NEAR}/24"],
        other_addresses=[f"{ROUTER}/24", "10.1.0.4/24"],
    )
    topology.join(router, phone, addresses=["192.168.7.1/24"], other_addresses=[f"{PHONE}/24"])
    phone.ip("route add default via 192.168.7.1")
    router.nat(outside, getattr(request, "param", "port-restricted"))
    return switch, phone


def run(
    hosts: Any, test: Callable[[Rig, RawPhone], Coroutine[Any, Any, None]], host: str = PHONE, **sip: Any
) -> None:
    """Run a switch in its namespace, and a test with it and a phone of user 100."""
    nat = sip.pop("nat", "auto")
    users = () if "allow" in sip else (User(name="100", password=PASSWORD, nat=nat),)
    chosen = settings({"host": SWITCH} | sip, users=users)

    async def main() -> None:
        async with rig(chosen) as switch:
            phone = RawPhone(hosts[0 if host == NEAR else 1], host, (SWITCH, switch.port))
            try:
                await test(switch, phone)
            finally:
                phone.close()

    with hosts[0].entered():
        asyncio.run(asyncio.wait_for(main(), 60))


@pytest.mark.parametrize("hosts", ["port-restricted", "symmetric"], indirect=True)
def test_phone_behind_a_private_nat_is_called_and_hung_up_by_its_flow(hosts):
    async def call(switch, phone):
        assert (await phone.register(PASSWORD)).startswith("SIP/2.0 200 ")
        [view] = switch.endpoints.users()[0].contacts
        assert view.behind_nat
        assert view.address.startswith(f"{ROUTER}:")
        party = switch.dial("user:100")
        invite = await phone.receive("INVITE ")
        phone.respond(invite, 180)
        phone.respond(invite, 200, phone.sdp())
        assert (await phone.receive("ACK ")).startswith(f"ACK sip:100@{PHONE}:")
        await party.until(LegAnswered)
        party.leg.hangup()
        phone.respond(await phone.receive("BYE "), 200)

    run(hosts, call)


def test_phone_behind_a_private_nat_calls_and_is_hung_up_by_its_flow(hosts):
    async def call(switch, phone):
        phone.user = "echo"
        phone.request("INVITE", f"sip:echo@{SWITCH}", phone.sdp())
        answer = await phone.final()
        to = re.findall(r"(?m)^To: (.*?)\r$", answer)[0]
        ack = {"CSeq": "1 ACK", "To": to, "Call-ID": f"invite-{phone.user}"}
        phone.request("ACK", f"sip:echo@{SWITCH}", **ack)
        party = await switch.called()
        party.leg.hangup()
        phone.respond(await phone.receive("BYE "), 200)

    run(hosts, call, allow=("10.1.0.0/24",))


def test_keep_alives_reach_the_phone_and_silence_is_shown(hosts):
    async def keep(switch, phone):
        await phone.register(PASSWORD)
        phone.respond(await phone.receive("OPTIONS "), 200)
        phone.respond(await phone.receive("OPTIONS "), 405)
        view = switch.endpoints.users()[0].contacts[0]
        assert view.answers
        assert switch.endpoints.numbers()["keep_alives_sent"] >= 2
        assert switch.endpoints.gauges()["devices_silent"] == 0

    run(hosts, keep, keep_alive_s=0.2)


@pytest.mark.parametrize(("rport", "called"), [(False, "contact"), (True, "source")])
def test_phone_that_listens_at_another_port_is_called_at_its_contact_unless_it_sends_rport(
    hosts, rport, called
):
    async def call(switch, phone):
        with hosts[0].udp(NEAR) as listening:
            port = listening.getsockname()[1]
            phone.rport = rport
            phone.via_port = phone.contact_port = port
            source, phone.udp = phone.udp, phone.udp
            if not rport:
                # RFC 3261 section 18.2.2: responses go to the port of the Via.
                phone.udp = Twice(source, listening)
            assert (await phone.register(PASSWORD)).startswith("SIP/2.0 200 ")
            [view] = switch.endpoints.users()[0].contacts
            assert view.behind_nat is rport
            party = switch.dial("user:100")
            phone.udp = source if called == "source" else Twice(source, listening)
            invite = await phone.receive("INVITE ")
            phone.respond(invite, 200, phone.sdp())
            await phone.receive("ACK ")
            await party.until(LegAnswered)
            party.leg.hangup()
            await phone.receive("BYE ")

    run(hosts, call, NEAR)


@pytest.mark.parametrize(("nat", "called"), [("yes", "source"), ("no", "contact")])
def test_setting_of_the_user_decides(hosts, nat, called):
    async def call(switch, phone):
        with hosts[0].udp(NEAR) as listening:
            phone.contact_port = listening.getsockname()[1]
            phone.rport = nat == "no"
            await phone.register(PASSWORD)
            switch.dial("user:100")
            phone.udp, source = (phone.udp if called == "source" else listening), phone.udp
            assert (await phone.receive("INVITE ")).startswith(f"INVITE sip:100@{NEAR}:")
            phone.udp = source

    run(hosts, call, NEAR, nat=nat)


@pytest.mark.parametrize("hosts", ["symmetric"], indirect=True)
@pytest.mark.parametrize("transport", ["tcp", "tls"])
@LOOPS
def test_phone_behind_a_symmetric_nat_is_served_over_its_connection(hosts, transport, loop_factory, tmp_path):
    certificate, key = make_certificate(tmp_path)
    secure = {"tls_port": TLS_PORT, "tls_cert": str(certificate), "tls_key": str(key)}
    tls = ssl.create_default_context(cafile=str(certificate)) if transport == "tls" else None
    chosen = settings(
        {"host": SWITCH} | (secure if tls else {}), users=(User(name="100", password=PASSWORD),)
    )
    chosen = msgspec.structs.replace(chosen, rtp=msgspec.structs.replace(chosen.rtp, host=SWITCH))

    async def main() -> None:
        async with rig(chosen) as switch:
            place = SWITCH, TLS_PORT if tls else switch.port
            phone = StreamPhone(hosts[1], PHONE, place)
            await phone.connect(hosts[1], tls)
            try:
                await phone.register(PASSWORD)
                await called(switch, phone)
                # The router forgets the connection: the phone comes back with another one.
                phone.writer.close()
                await phone.connect(hosts[1], tls)
                assert (await phone.register(PASSWORD)).startswith("SIP/2.0 200 ")
                await called(switch, phone)
                [view] = switch.endpoints.users()[0].contacts
                assert (view.transport, view.address.rpartition(":")[0]) == (transport, ROUTER)
            finally:
                phone.close()

    with hosts[0].entered():
        run_on(loop_factory, asyncio.wait_for(main(), 60))


async def called(switch: Rig, phone: RawPhone) -> None:
    """Call a phone, talk and hang up, all by the way that it has opened."""
    party = switch.dial("user:100")
    invite = await phone.receive("INVITE ")
    phone.respond(invite, 200, phone.sdp())
    await phone.receive("ACK ")
    await party.until(LegAnswered)
    assert await phone.hears_echo(invite)
    party.leg.hangup()
    phone.respond(await phone.receive("BYE "), 200)


class Twice:
    """Sends by one socket and receives at another, as phones with two ports do."""

    def __init__(self, sends, receives):
        self._sends, self._receives = sends, receives
        self.sendto = sends.sendto
        self.settimeout, self.recvfrom, self.fileno = receives.settimeout, receives.recvfrom, receives.fileno

    def close(self):
        self._sends.close()
