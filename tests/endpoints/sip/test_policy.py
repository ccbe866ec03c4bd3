"""Who is answered, and with what."""

import asyncio
import socket
from typing import Self

import pytest

from softswitch.settings import Trunk, User
from softswitch.sip import happenings as hp
from softswitch.sip.digest import Credentials
from tests.endpoints.sip.phone import HOST, phone
from tests.endpoints.sip.rig import rig, settings

ALICE = User(name="alice", password="secret")
FAR = {"allow": ("192.0.2.0/24",)}
"""Loopback is not trusted then: everybody in a test is a stranger."""


def request(method: str, port: int, *, to: str = "600", tag: str = "", call_id: str = "x") -> bytes:
    lines = [
        f"{method} sip:{to}@{HOST} SIP/2.0",
        f"Via: SIP/2.0/UDP {HOST}:{port};branch=z9hG4bK{method}{call_id};rport",
        f"From: <sip:friendly-scanner@{HOST}>;tag=f",
        f"To: <sip:{to}@{HOST}>" + (f";tag={tag}" if tag else ""),
        f"Call-ID: {call_id}",
        f"CSeq: 1 {method}",
        f"Contact: <sip:s@{HOST}:{port}>",
        "Max-Forwards: 70",
        "Content-Length: 0",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


class Stranger:
    """A socket that says whatever it likes."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, 0))
        self._socket.connect((HOST, port))
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]

    async def ask(self, data: bytes, seconds: float = 0.3) -> str:
        """Send something; return the first line of the answer, "" where there is none."""
        self._socket.send(data)
        try:
            async with asyncio.timeout(seconds):
                answer = await asyncio.get_running_loop().sock_recv(self._socket, 65536)
        except TimeoutError:
            return ""
        return answer.split(b"\r\n")[0].decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._socket.close()


async def test_stranger_gets_no_answer_to_anything():
    async with rig(settings(FAR)) as here:
        with Stranger(here.port) as stranger:
            for method in ("OPTIONS", "REGISTER", "INVITE", "SUBSCRIBE", "BYE", "CANCEL", "ACK", "NONSENSE"):
                assert await stranger.ask(request(method, stranger.port), 0.1) == ""
            assert await stranger.ask(b"INVITE sip:a@b SIP/9.0\r\nVia: SIP/2.0/UDP h\r\n\r\n", 0.1) == ""
        assert here.endpoints.counters.strangers >= 6
        assert here.parties == []


async def test_neighbour_is_answered_and_forged_requests_of_a_call_get_481():
    async with rig() as here:
        with Stranger(here.port) as neighbour:
            assert "200" in await neighbour.ask(request("OPTIONS", neighbour.port), 5)
            for method in ("BYE", "INFO", "INVITE", "CANCEL"):
                answer = await neighbour.ask(request(method, neighbour.port, tag="forged", call_id=method), 5)
                assert "481" in answer, method
            assert "505" in await neighbour.ask(
                request("OPTIONS", neighbour.port).replace(b"SIP/2.0\r\nVia", b"SIP/7.0\r\nVia"), 5
            )


async def test_forged_goodbye_leaves_the_call_alone():
    async with rig() as here, phone() as caller:
        session = caller.invite(here.port)
        await caller.until(hp.Answered)
        dialog = caller.agent.dialog(session)
        assert dialog is not None
        with Stranger(here.port) as stranger:
            data = request("BYE", stranger.port, tag="guessed", call_id=dialog[0])
            assert "481" in await stranger.ask(data, 5)
        assert here.endpoints.legs == 1


async def test_user_calls_with_a_password_and_nobody_without():
    async with rig(settings(users=(ALICE,))) as here, phone() as caller:
        caller.invite(here.port, from_=f"<sip:alice@{HOST}>")
        assert (await caller.until(hp.Rejected)).code == 401
        caller.invite(here.port, credentials=Credentials("alice", "secret"))
        await caller.until(hp.Answered)
        party = await here.called()
        assert party.incoming is not None
        assert (party.incoming.source, party.incoming.caller) == ("user", "alice")


@pytest.mark.parametrize("name", ["alice", "nobody"])
async def test_unknown_user_and_wrong_password_look_the_same(name):
    async with rig(settings(users=(ALICE,))) as here, phone() as caller:
        assert await caller.register(here.port, name, "guess") == 401
        assert here.endpoints.counters.logins_failed == 1


async def test_user_registers_nobody_but_himself():
    async with rig(settings(users=(ALICE, User(name="bob", password="b")))) as here, phone() as caller:
        caller.request("REGISTER", here.port, "bob", credentials=Credentials("alice", "secret"))
        assert (await caller.until(hp.RequestAnswered)).response.code == 403


async def test_guessing_is_banned():
    chosen = settings({**FAR, "login_failures": 3}, users=(ALICE,))
    async with rig(chosen) as here, phone() as caller:
        for _ in range(3):
            caller.request("REGISTER", here.port, "alice", credentials=Credentials("alice", "guess"))
        async with asyncio.timeout(10):
            while not here.endpoints.guard.counters.bans:
                await asyncio.sleep(0.01)
        with Stranger(here.port) as same:
            assert await same.ask(request("REGISTER", same.port, to="alice")) == ""
        assert here.endpoints.guard.counters.banned


async def test_requests_of_a_stranger_are_bounded():
    chosen = settings({**FAR, "requests_per_second": 5}, users=(ALICE,))
    async with rig(chosen) as here:
        with Stranger(here.port) as stranger:
            answers = [
                await stranger.ask(request("REGISTER", stranger.port, to="alice", call_id=str(n)), 0.1)
                for n in range(12)
            ]
        assert "401" in answers[0]
        assert answers.count("") >= 4
        assert here.endpoints.guard.counters.limited >= 4


async def test_trunk_is_known_by_the_address_of_its_server_and_calls_without_proof():
    async with phone() as caller:
        trunk = Trunk(name="t", servers=(f"{HOST}:{caller.port}",), username="account", max_calls=1)
        async with rig(settings(FAR, trunks=(trunk,), users=(ALICE,))) as here:
            async with asyncio.timeout(10):
                while here.endpoints.trunks()[0].state != "ready":
                    await asyncio.sleep(0.01)
            caller.invite(here.port, "account")
            await caller.until(hp.Answered)
            party = await here.called()
            assert party.incoming is not None
            assert (party.incoming.source, party.incoming.name) == ("trunk", "t")
            assert here.endpoints.trunks()[0].calls == 1
            caller.invite(here.port, "600")
            assert (await caller.until(hp.Rejected)).code == 503
            assert here.endpoints.trunks()[0].calls_refused == 1
            party.leg.hangup()
            assert here.endpoints.trunks()[0].calls == 0


async def test_user_at_the_address_of_a_trunk_is_still_asked():
    async with phone() as caller:
        trunk = Trunk(name="t", servers=(f"{HOST}:{caller.port}",))
        async with rig(settings(trunks=(trunk,), users=(ALICE,))) as here:
            caller.invite(here.port, from_=f"<sip:alice@{HOST}>")
            assert (await caller.until(hp.Rejected)).code == 401
            assert await caller.register(here.port, "alice", "secret") == 200


async def test_number_of_a_trunk_that_calls_our_account_is_in_to():
    async with phone() as caller:
        trunk = Trunk(name="t", servers=(f"{HOST}:{caller.port}",), username="account")
        async with rig(settings(trunks=(trunk,))) as here:
            async with asyncio.timeout(10):
                while here.endpoints.trunks()[0].state != "ready":
                    await asyncio.sleep(0.01)
            with Stranger(here.port) as server:
                await server.ask(
                    request("INVITE", server.port, to="4930").replace(
                        b"INVITE sip:4930@", b"INVITE sip:account@"
                    )
                )
            party = await here.called()
            assert party.incoming is not None
            assert party.incoming.callee == "4930"


async def test_registrar_without_users_says_so_to_neighbours():
    async with rig() as here, phone() as caller:
        assert await caller.register(here.port, "alice", "secret") == 403


async def test_device_that_is_registered_may_ask_whether_we_are_there():
    async with rig(settings(FAR, users=(ALICE,))) as here, phone() as device:
        with Stranger(here.port) as same:
            assert await same.ask(request("OPTIONS", same.port, call_id="before")) == ""
            assert await device.register(here.port, "alice", "secret") == 200
            assert "200" in await same.ask(request("OPTIONS", same.port, call_id="after"), 5)


async def test_one_of_two_accounts_at_a_provider_is_told_by_what_is_called():
    async with phone() as caller:
        server = (f"{HOST}:{caller.port}",)
        trunks = tuple(Trunk(name=name, servers=server, username=name) for name in ("one", "two"))
        async with rig(settings(trunks=trunks)) as here:
            async with asyncio.timeout(10):
                while {view.state for view in here.endpoints.trunks()} != {"ready"}:
                    await asyncio.sleep(0.01)
            for called in ("two", "600"):
                caller.invite(here.port, called)
            names = [
                party.incoming.name for party in (await here.called(), await here.called()) if party.incoming
            ]
            assert names == ["two", "one"]


async def test_requests_that_nobody_serves_are_refused():
    async with rig(settings(users=(ALICE,))) as here, phone() as caller:
        proof = Credentials("alice", "secret")
        caller.request("SUBSCRIBE", here.port, "alice", headers={"Event": "mwi"}, credentials=proof)
        assert (await caller.until(hp.RequestAnswered)).response.code == 489
        caller.request(
            "MESSAGE", here.port, "alice", body=b"hi", content_type="text/plain", credentials=proof
        )
        assert (await caller.until(hp.RequestAnswered, 2)).response.code == 405
