"""All parts together: two switches that call one another, browsers, TLS, counters."""

import asyncio
import ssl
import time

import pytest
from msgspec import structs

from softswitch.call.vocabulary.reports import LegAnswered, LegEnded
from softswitch.errors import ListenError
from softswitch.settings import Rtp, Settings, Sip, Trunk, User
from softswitch.sip import events as hp
from softswitch.sip.security.digest import Credentials, NonceCounts, answer
from softswitch.sip.syntax.authentication import readable_challenges
from softswitch.sip.syntax.message import parse
from tests.certificates import make_certificate
from tests.legs.sip.phone import HOST, phone, sdp
from tests.legs.sip.rig import rig, settings

ALICE = User(name="alice", password="secret")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_two_switches_call_one_another_and_hear_the_other_s_keys(transport):
    async with rig() as there:
        trunk = Trunk(name="t", servers=(f"{HOST}:{there.port};transport={transport}",))
        async with rig(settings(trunks=(trunk,), ports=(48000, 48999))) as here:
            there.echo = False
            party = here.dial("600")
            await party.until(LegAnswered)
            other = await there.called()
            party.leg.dtmf("13")
            await other.until_digits("13")
            party.leg.hangup()
            assert (await other.until(LegEnded)).reason == "caller"


async def test_two_switches_call_one_another_over_tls(tmp_path):
    certificate, key = make_certificate(tmp_path)
    # A TLS port has to be named: 0 in the settings means no TLS.
    port = await free_port()
    chosen = Settings(
        sip=Sip(port=0, tls_port=port, tls_cert=str(certificate), tls_key=str(key)),
        rtp=Rtp(port_min=45000, port_max=46999),
    )
    client_tls = ssl.create_default_context(cafile=str(certificate))
    async with rig(chosen) as there:
        trunk = Trunk(name="t", servers=(f"localhost:{port};transport=tls",), srtp="sdes")
        async with rig(settings(trunks=(trunk,), ports=(48000, 48999)), client_tls=client_tls) as here:
            party = here.dial("600")
            await party.until(LegAnswered)
            other = await there.called()
            assert other.incoming is not None
            assert "RTP/SAVP" in other.incoming.sdp
            party.leg.hangup()
            await other.until(LegEnded)


async def free_port() -> int:
    async with phone() as taken:
        return taken.port


async def test_two_switches_call_one_another_over_ipv6():
    chosen = [
        Settings(sip=Sip(host="::1", port=0), rtp=Rtp(host="::1", port_min=first, port_max=first + 900))
        for first in (45000, 48000)
    ]
    async with rig(chosen[0]) as there:
        trunk = Trunk(name="t", servers=(f"[::1]:{there.port}",))
        async with rig(structs.replace(chosen[1], trunk=(trunk,))) as here:
            there.echo = False
            party = here.dial("600")
            await party.until(LegAnswered)
            other = await there.called()
            party.leg.dtmf("7")
            await other.until_digits("7")
            other.leg.hangup()
            assert (await party.until(LegEnded)).reason == "callee"


class Browser:
    """A phone on a WebSocket that reads and writes by hand."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def receive(self) -> bytes | None:
        return await self.said.get()

    async def send(self, data: bytes) -> None:
        await self.heard.put(data)

    async def answer(self):
        async with asyncio.timeout(60):
            return parse(await self.heard.get())

    def ask(self, method: str, number: int, *more: str) -> None:
        lines = [
            f"{method} sip:{HOST} SIP/2.0", f"Via: SIP/2.0/WS x.invalid;branch=z9hG4bK{number}",
            f"From: <sip:alice@{HOST}>;tag=b", f"To: <sip:alice@{HOST}>", "Call-ID: browser",
            f"CSeq: {number} {method}", "Contact: <sip:xyz@x.invalid;transport=ws>;expires=600",
            "Max-Forwards: 70", *more, "Content-Length: 0",
        ]  # fmt: skip
        self.said.put_nowait("\r\n".join(lines).encode() + b"\r\n\r\n")


async def test_browser_registers_is_called_with_ice_and_forgotten_with_its_socket():
    async with rig(settings(users=(ALICE,))) as here, asyncio.TaskGroup() as tasks:
        browser = Browser()
        tasks.create_task(here.endpoints.serve_websocket(browser.receive, browser.send, ("192.0.2.7", 999)))
        browser.ask("REGISTER", 1)
        challenged = await browser.answer()
        assert challenged.code == 401
        # JsSIP reads the first challenge alone and knows MD5 only.
        assert "algorithm=MD5" in challenged.headers.getlist("WWW-Authenticate")[0]
        proof = prove(challenged, "alice", "secret")
        browser.ask("REGISTER", 2, f"Authorization: {proof}")
        assert (await browser.answer()).code == 200
        (contact,) = here.endpoints.users()[0].contacts
        assert (contact.transport, contact.uri) == ("ws", "sip:xyz@x.invalid;transport=ws")
        here.dial("alice")
        invite = await browser.answer()
        assert invite.method == "INVITE"
        assert str(invite.uri) == "sip:xyz@x.invalid;transport=ws"
        assert invite.via[0].transport == "WS"
        offer = invite.body.decode()
        assert "UDP/TLS/RTP/SAVPF" in offer
        assert "a=ice-ufrag" in offer
        browser.said.put_nowait(None)
        async with asyncio.timeout(60):
            while here.endpoints.users()[0].registered:
                await asyncio.sleep(0.01)


async def test_browser_that_registers_keeps_its_socket_and_one_that_only_asks_loses_it():
    now = [time.monotonic()]
    async with (
        rig(settings(users=(ALICE,)), clock=lambda: now[0]) as here,
        asyncio.TaskGroup() as tasks,
    ):
        known, asking = Browser(), Browser()
        serving = [
            tasks.create_task(here.endpoints.serve_websocket(one.receive, one.send, ("192.0.2.7", port)))
            for port, one in enumerate((known, asking), 998)
        ]
        for one in (known, asking):
            one.ask("REGISTER", 1)
            challenged = await one.answer()
        asking.ask("REGISTER", 2, f"Authorization: {prove(challenged, 'alice', 'wrong')}")
        assert (await asking.answer()).code == 401
        known.ask("REGISTER", 2, f"Authorization: {prove(challenged, 'alice', 'secret')}")
        assert (await known.answer()).code == 200
        now[0] += 31.0
        assert here.endpoints._sockets is not None
        here.endpoints._sockets._check_connections()
        async with asyncio.timeout(60):
            await serving[1]
        assert not serving[0].done()
        assert here.endpoints.numbers()["connections_unproved"] == 1
        known.said.put_nowait(None)


def prove(challenged, user: str, password: str) -> str:
    found = answer(
        readable_challenges(challenged.headers.getlist("WWW-Authenticate")),
        Credentials(user, password),
        method="REGISTER",
        uri=f"sip:{HOST}",
        cnonce="abc",
        counts=NonceCounts(),
    )
    assert found is not None
    return str(found)


async def test_office_phone_and_browser_ring_together_each_with_media_of_its_own():
    async with rig(settings(users=(ALICE,))) as here, phone() as office, asyncio.TaskGroup() as tasks:
        assert await office.register(here.port, "alice", "secret") == 200
        browser = Browser()
        tasks.create_task(here.endpoints.serve_websocket(browser.receive, browser.send, ("192.0.2.7", 999)))
        browser.ask("REGISTER", 1)
        browser.ask("REGISTER", 2, f"Authorization: {prove(await browser.answer(), 'alice', 'secret')}")
        assert (await browser.answer()).code == 200
        party = here.dial("alice")
        invited = await office.until(hp.Invited)
        assert invited.offer is not None
        assert "RTP/AVP" in invited.offer
        assert "ice-ufrag" not in invited.offer
        assert "ice-ufrag" in (await browser.answer()).body.decode()
        office.do("answer", invited.session, sdp())
        await party.until(LegAnswered)
        # The INVITE is cancelled only once it was answered provisionally (RFC 3261 section 9.1).
        party.leg.hangup()
        await party.leg.closed()
        assert here.endpoints.media.sockets.in_use == 0
        browser.said.put_nowait(None)


async def test_figures_are_plain_numbers_by_name():
    async with rig() as here:
        numbers, gauges = here.endpoints.numbers(), here.endpoints.gauges()
        assert {"calls_received", "strangers", "guard_bans", "ports_opened", "failures"} <= numbers.keys()
        assert gauges == {
            "legs": 0, "connections": 0, "devices": 0, "devices_silent": 0, "sessions": 0,
            "trunks_registered": 0,
        }  # fmt: skip


async def test_port_in_use_is_told_at_the_start():
    async with rig() as here:
        chosen = Settings(sip=Sip(port=here.port), rtp=Rtp(port_min=45000, port_max=45999))
        with pytest.raises(
            ListenError, match=f"UDP 127.0.0.1:{here.port}: address already in use; .*--sip-port"
        ):
            async with rig(chosen):
                pass
