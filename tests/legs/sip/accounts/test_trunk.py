"""Trunks: resolved, registered, limited; the caller ids they show."""

import asyncio
import socket
from typing import Any

import pytest

from softswitch.call.vocabulary.reports import LegAnswered, LegRejected
from softswitch.errors import NotNowError
from softswitch.legs.sip.accounts.trunk import Trunk
from softswitch.settings import Trunk as TrunkSettings
from softswitch.settings import User
from softswitch.sip import events as hp
from softswitch.sip.syntax.message import Request, parse
from softswitch.sip.transaction.flow import Flow
from tests.legs.sip.phone import HOST, Phone, phone, sdp
from tests.legs.sip.rig import Rig, rig, settings
from tests.support.waiting import until


def trunk(*ports: int, **fields: Any) -> TrunkSettings:
    servers = tuple(f"{HOST}:{port}" for port in ports)
    return TrunkSettings(name="t", **{"servers": servers, "username": "account", **fields})


async def until_state(here: Rig, state: str) -> None:
    await until(lambda: here.endpoints.trunks()[0].state == state, f"the trunk is {state}")


def respond(server: Phone, received: hp.RequestReceived, code: int, **fields: Any) -> None:
    server.agent.respond(received.key, code, server.driver.now(), **fields)
    server.driver.pump()


async def test_number_is_rewritten_checked_and_sent_with_who_calls():
    async with phone() as server:
        fields = {
            "rewrite": (("^00", "+"), ("^0", "+49")),
            "prefixes": ("+49",),
            "caller_id": "+4930",
            "caller_ids": ("+4931",),
        }
        async with rig(settings(trunks=(trunk(server.port, **fields),))) as here:
            here.dial("0 30-12 34", caller="666")
            invited = await server.until(hp.Invited)
            assert str(invited.request.uri) == f"sip:+49301234@{HOST}:{server.port}"
            assert invited.request.from_address.uri.user == "+4930"
            assert "+4930" in (invited.request.headers.get("P-Asserted-Identity") or "")
            assert invited.request.contact[0].uri.user == "account"
            here.dial("tel:+49-31-1", caller="+4931")
            assert (await server.until(hp.Invited, 2)).request.from_address.uri.user == "+4931"
            refused = await here.dial("001 900 1").until(LegRejected)
            assert (refused.code, "prefixes" in refused.reason) == (403, True)


async def test_anonymous_caller_is_known_to_the_provider_only():
    async with phone() as server, rig(settings(trunks=(trunk(server.port),))) as here:
        here.dial("123", caller="anonymous")
        request = (await server.until(hp.Invited)).request
        assert request.from_address.uri.host == "anonymous.invalid"
        assert request.headers.get("Privacy") == "id"
        assert request.headers.get("P-Asserted-Identity") == f"<sip:account@{HOST}>"


async def test_user_shows_his_own_number_over_a_trunk():
    alice = User(name="alice", password="secret", caller_id="+49307")
    async with phone() as server, rig(settings(trunks=(trunk(server.port),), users=(alice,))) as here:
        here.dial("123", caller="alice")
        assert (await server.until(hp.Invited)).request.from_address.uri.user == "+49307"


async def test_codecs_are_offered_in_the_order_of_the_trunk():
    async with phone() as server:
        chosen = settings(trunks=(trunk(server.port, codecs=("PCMA", "PCMU")),))
        async with rig(chosen) as here:
            here.dial("123")
            offer = (await server.until(hp.Invited)).offer
            assert offer is not None
            assert "RTP/AVP 8 0 " in offer
            assert "opus" not in offer


async def test_calls_beyond_the_bound_are_refused_and_counted():
    async with phone() as server, rig(settings(trunks=(trunk(server.port, max_calls=1),))) as here:
        first = here.dial("1")
        server.do("answer", (await server.until(hp.Invited)).session, sdp())
        await first.until(LegAnswered)
        refused = await here.dial("2").until(LegRejected)
        assert (refused.code, "max_calls" in refused.reason) == (503, True)
        view = here.endpoints.trunks()[0]
        assert (view.calls, view.calls_refused, view.max_calls) == (1, 1, 1)
        first.leg.hangup()
        assert here.endpoints.trunks()[0].calls == 0
        here.dial("3")
        await server.until(hp.Invited, 2)


async def test_calls_beyond_those_of_a_second_are_refused():
    async with phone() as server, rig(settings(trunks=(trunk(server.port, calls_per_second=2),))) as here:
        parties = [here.dial(str(number)) for number in range(4)]
        assert (await parties[3].until(LegRejected)).code == 503
        await server.until(hp.Invited, 2)


@pytest.mark.each_loop
async def test_next_server_is_called_when_the_first_is_not_there():
    async with phone() as gone:
        dead = gone.port
    async with phone() as server, rig(settings(trunks=(trunk(dead, server.port),))) as here:
        party = here.dial("123")
        async with asyncio.timeout(5):
            server.do("answer", (await server.until(hp.Invited)).session, sdp())
        await party.until(LegAnswered)


async def test_registration_is_shown_refreshed_and_taken_back():
    async with (
        phone() as server,
        rig(settings(trunks=(trunk(server.port, register=True, password="p"),))) as here,
    ):
        first = await server.until(hp.RequestReceived)
        assert here.endpoints.trunks()[0].state == "registering"
        assert first.request.method == "REGISTER"
        assert first.request.to_address.uri.user == "account"
        contact = str(first.request.contact[0].uri)
        assert contact == f"sip:account@{HOST}:{here.port}"
        respond(server, first, 200, contacts=(f"<{contact}>;expires=60",))
        await until_state(here, "registered")
        view = here.endpoints.trunks()[0]
        assert (view.code, view.expires_s) == (200, 60)
        assert view.server == f"udp:{HOST}:{server.port}"
        assert here.endpoints.gauges()["trunks_registered"] == 1
        stopping = asyncio.create_task(here.endpoints.drain())
        last = await server.until(hp.RequestReceived, 2)
        assert last.request.expires == 0 or "expires=0" in str(last.request.headers.get("Contact"))
        respond(server, last, 200)
        await stopping
        assert here.endpoints.trunks()[0].state == "unregistered"


@pytest.mark.parametrize("code", [403, 500])
async def test_refused_registration_is_shown_with_the_reason_and_the_next_try(code):
    async with phone() as server, rig(settings(trunks=(trunk(server.port, register=True),))) as here:
        respond(server, await server.until(hp.RequestReceived), code, reason="Go Away")
        await until_state(here, "failed")
        view = here.endpoints.trunks()[0]
        assert (view.code, view.reason) == (code, "Go Away")
        assert view.retry_s > 0


async def test_server_that_dns_does_not_know_is_shown():
    settings_ = TrunkSettings(name="t", servers=("unknown.invalid:5060",))
    async with rig(settings(trunks=(settings_,))) as here:
        async with asyncio.timeout(60):
            while not here.endpoints.trunks()[0].reason:
                await asyncio.sleep(0.01)
        view = here.endpoints.trunks()[0]
        assert view.state == "unresolved"
        assert "unknown.invalid" in view.reason
        assert (await here.dial("1").until(LegRejected)).code == 503


async def test_place_of_a_call_is_given_back_once():
    async with rig(settings(trunks=(trunk(5999, max_calls=1),))) as here:
        own = here.endpoints._trunks.get("t")
        assert isinstance(own, Trunk)
        release = own.admit_call()
        with pytest.raises(NotNowError):
            own.admit_call()
        release()
        release()
        assert own.calls == 0


async def test_networks_of_a_trunk_are_its_sources_too():
    chosen = trunk(5999, allow=("192.0.2.0/24",), servers=("198.51.100.1",))
    async with rig(settings(trunks=(chosen,))) as here:
        await until_state(here, "ready")
        own = here.endpoints._trunks.get("t")
        assert isinstance(own, Trunk)
        assert own.owns("192.0.2.77")
        assert own.owns("198.51.100.1")
        assert not own.owns("203.0.113.1")


class Demanding(Phone):
    """A provider that wants proof of every BYE."""

    def message_received(self, data: bytes, flow: Flow) -> None:
        if data.startswith(b"BYE ") and b"Authorization:" not in data:
            message = parse(data)
            assert isinstance(message, Request)
            value = 'Digest realm="t", nonce="n", qop="auth"'
            self.agent.respond_stateless(message, flow, 401, headers={"WWW-Authenticate": value})
            self.driver.pump()
        else:
            super().message_received(data, flow)


async def test_trunk_that_wants_proof_of_our_bye_gets_it():
    async with phone(made=Demanding()) as server:
        there = trunk(server.port, password="secret", register=False)
        async with rig(settings(trunks=(there,))) as here:
            await wait(lambda: bool(here.endpoints.trunks()[0].server))
            server.invite(here.port)
            await server.until(hp.Answered)
            here.parties[0].leg.hangup()
            assert (await server.until(hp.Ended)).reason == "bye"


async def wait(condition) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


LONG = {"X-Long": "x" * 1000}


async def test_call_too_large_for_a_datagram_reaches_a_trunk_by_tcp_and_all_of_it_does():
    async with phone() as server, rig(settings(trunks=(trunk(server.port),))) as here:
        party = here.dial("123", headers=LONG)
        invited = await server.until(hp.Invited)
        assert invited.flow.transport == "tcp"
        server.do("answer", invited.session, sdp())
        await party.until(LegAnswered)
        await server.until(hp.Confirmed)
        party.leg.hangup()
        assert (await server.until(hp.Ended)).reason == "bye"


@pytest.mark.parametrize("transport", ["", ";transport=udp"])
async def test_call_too_large_for_a_datagram_reaches_a_trunk_that_has_udp_alone(transport):
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((HOST, 0))
        server.setblocking(False)
        there = trunk(servers=(f"{HOST}:{server.getsockname()[1]}{transport}",))
        async with rig(settings(trunks=(there,))) as here:
            here.dial("123", headers=LONG)
            async with asyncio.timeout(60):
                data = await loop.sock_recv(server, 65536)
            assert data.startswith(b"INVITE ")
            assert b"Via: SIP/2.0/UDP" in data
            counters = here.endpoints.driver.agent.counters
            assert counters["without_tcp"] == (0 if transport else 1)
