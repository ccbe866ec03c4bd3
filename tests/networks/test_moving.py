"""A switch whose own address changes while it runs."""

import asyncio
import logging
import re

import msgspec
import pytest

from softswitch.call.interfaces import LegRequest
from softswitch.legs.address_watch import AddressWatch
from softswitch.legs.network_changes import NetworkChanges
from softswitch.legs.pyvoip import PyvoipEndpoints
from softswitch.media.engine.engine import Engine
from softswitch.settings import Trunk
from softswitch.switch.routes import Routes
from tests.legs.sip.rig import rig, settings
from tests.networks.raw_phone import RawPhone
from tests.support.loops import LOOPS
from tests.support.loops import run as run_on

BEFORE, AFTER, PHONE = "10.1.0.1", "10.1.0.9", "10.1.0.2"


@pytest.fixture
def hosts(topology):
    """Return the namespaces of switch and phone, and the device of the switch."""
    here, there = topology.host("switch"), topology.host("phone")
    device, _ = topology.join(here, there, addresses=[f"{BEFORE}/24"], other_addresses=[f"{PHONE}/24"])
    return here, there, device


def move(hosts):
    """Give the switch another address in place of the one it has."""
    switch, _, device = hosts
    switch.ip(f"addr add {AFTER}/24 dev {device}")
    switch.ip(f"addr del {BEFORE}/24 dev {device}")
    if AFTER not in switch.ip(f"addr show dev {device}"):  # a secondary address goes with the first
        switch.ip(f"addr add {AFTER}/24 dev {device}")


def run(hosts, test, **more):
    chosen = settings({"host": "0.0.0.0", "allow": ("10.1.0.0/24",)}, **more)
    chosen = msgspec.structs.replace(chosen, rtp=msgspec.structs.replace(chosen.rtp, host="0.0.0.0"))

    async def main() -> None:
        async with rig(chosen) as switch:
            await test(switch)

    with hosts[0].entered():
        asyncio.run(asyncio.wait_for(main(), 30))


def test_running_call_is_told_the_new_address_and_goes_on(hosts, caplog):
    caplog.set_level(logging.WARNING)

    async def call(switch):
        phone = RawPhone(hosts[1], PHONE, (BEFORE, switch.port))
        try:
            phone.request("INVITE", f"sip:echo@{BEFORE}", phone.sdp())
            answer = await phone.final()
            assert f"c=IN IP4 {BEFORE}\r\n" in answer
            to = re.findall(r"(?m)^To: (.*?)\r$", answer)[0]
            ack = {"CSeq": "1 ACK", "To": to, "Call-ID": f"invite-{phone.user}"}
            phone.request("ACK", f"sip:echo@{BEFORE}", **ack)
            assert await phone.hears_echo(answer)
            move(hosts)
            again = await phone.receive("INVITE ")
            assert f"c=IN IP4 {AFTER}\r\n" in again
            assert f"@{AFTER}:" in again or f"<sip:{AFTER}:" in again
            assert f"SIP/2.0/UDP {AFTER}:" in again
            phone.respond(again, 200, phone.sdp(), (AFTER, switch.port))
            await phone.receive("ACK ")
            assert await phone.hears_echo(again)
        finally:
            phone.close()

    run(hosts, call)
    [told] = [item for item in caplog.records if item.message == "own addresses have changed"]
    assert told.changes == [f"{BEFORE} -> {AFTER}"]


def test_trunk_registers_anew_with_the_new_contact(hosts):
    registrar = RawPhone(hosts[1], PHONE, (BEFORE, 0), user="trunk")
    trunk = Trunk(name="t", servers=(f"{PHONE}:{registrar.port}",), username="me", register=True)

    async def register(switch):
        first = await registrar.receive("REGISTER ")
        assert f"<sip:me@{BEFORE}:" in first
        contact = first.split("Contact: ")[1].split("\r\n")[0]
        registrar.send(granted(first, contact), (BEFORE, switch.port))
        move(hosts)
        second = await registrar.receive("REGISTER ")
        while BEFORE in second:
            second = await registrar.receive("REGISTER ")
        assert f"<sip:me@{AFTER}:" in second

    try:
        run(hosts, register, trunks=(trunk,))
    finally:
        registrar.close()


def test_telephone_of_pyvoip_registers_anew_and_new_calls_show_the_new_address(hosts):
    registrar = RawPhone(hosts[1], PHONE, (BEFORE, 0), user="trunk")
    trunk = Trunk(
        name="t", servers=(f"{PHONE}:{registrar.port}",), username="me", register=True, engine="pyvoip"
    )
    chosen = settings({"host": "0.0.0.0"}, trunks=(trunk,))
    chosen = msgspec.structs.replace(chosen, rtp=msgspec.structs.replace(chosen.rtp, host="0.0.0.0"))

    async def main() -> None:
        engine, routes = Engine(), Routes()
        engine.start(routes.deliver)
        phones = PyvoipEndpoints(chosen, engine, lambda call: None, routes.frames)
        await phones.start()
        try:
            first = await registrar.receive("REGISTER ")
            assert f"<sip:me@{BEFORE}:" in first
            source = BEFORE, int(re.findall(r"Contact: <sip:me@[^:>]+:(\d+)", first)[0])
            contact = first.split("Contact: ")[1].split("\r\n")[0]
            registrar.send(granted(first, contact), source)
            move(hosts)
            second = await registrar.receive("REGISTER ")
            while f"<sip:me@{BEFORE}:" in second:
                second = await registrar.receive("REGISTER ")
            assert f"<sip:me@{AFTER}:" in second
            assert f"Via: SIP/2.0/UDP {AFTER}:" in second
            registrar.send(granted(second, second.split("Contact: ")[1].split("\r\n")[0]), (AFTER, source[1]))
            phones(LegRequest("c", "a", 1, 1, callee="100", trunk="t"), lambda report: None).answer()
            invite = await registrar.receive("INVITE ")
            assert f"c=IN IP4 {AFTER}\r\n" in invite
            assert phones.numbers()["address_changes"] == 1
        finally:
            await phones.stop()
            engine.stop()

    try:
        with hosts[0].entered():
            asyncio.run(asyncio.wait_for(main(), 60))
    finally:
        registrar.close()


def test_switch_that_starts_before_its_network_serves_calls_once_it_is_there(hosts):
    switch, _, device = hosts
    switch.ip(f"addr del {BEFORE}/24 dev {device}")

    async def call(rigged):
        watch = AddressWatch(rigged.endpoints.settings)
        watching = asyncio.ensure_future(watch.run())
        assert not watch.reachable()
        switch.ip(f"addr add {AFTER}/24 dev {device}")
        while not watch.reachable():
            await asyncio.sleep(0.02)
        phone = RawPhone(hosts[1], PHONE, (AFTER, rigged.port))
        try:
            phone.request("INVITE", f"sip:echo@{AFTER}", phone.sdp())
            answer = await phone.final()
            assert f"c=IN IP4 {AFTER}\r\n" in answer
            assert await phone.hears_echo(answer)
        finally:
            phone.close()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    run(hosts, call)


@LOOPS
def test_kernel_tells_of_a_change_at_once(hosts, loop_factory):
    async def wait() -> float:
        loop = asyncio.get_running_loop()
        async with NetworkChanges(30) as changes:
            await changes.wait()  # what came before
            begin = loop.time()
            loop.call_later(0.05, move, hosts)
            await changes.wait()
            return loop.time() - begin

    with hosts[0].entered():
        assert run_on(loop_factory, wait()) < 10


def granted(request, contact):
    """Return the 200 to a REGISTER."""
    names = ("Via", "From", "Call-ID", "CSeq", "To")
    copied = [line for line in request.split("\r\n") if line.split(":")[0] in names]
    lines = ["SIP/2.0 200 OK", *copied, f"Contact: {contact};expires=600", "Content-Length: 0"]
    return "\r\n".join([*lines, "", ""])
